"""Which of MLflow's routes are open: what its clients need to track, log and register; and who may call them.

Its server has many more (gateway, assistant, jobs, webhooks, traces, workspaces): they run code, call other hosts or
see all workspaces, and stay closed. So do the routes by which the server itself would read places a client names
(``artifacts/list``, ``get-artifact``) and multipart uploads, which local storage has not.
"""

from __future__ import annotations

from mooring_server.domain.access import Need, Role

_V2 = "/api/2.0/mlflow"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_READ = Need(Role.READER, quiet=True)
# What is logged to a run comes in thousands; that the run exists is in the audit log.
_LOG = Need(Role.CONTRIBUTOR, quiet=True)
_CHANGE = Need(Role.CONTRIBUTOR)

_TABLE: dict[Need, dict[str, tuple[str, ...]]] = {
    _READ: {
        "GET": (
            "/experiments/get",
            "/experiments/get-by-name",
            "/experiments/search",
            "/logged-models/{model_id}",
            "/metrics/get-history",
            "/metrics/get-history-bulk-interval",
            "/model-versions/get",
            "/model-versions/get-download-uri",
            "/model-versions/search",
            "/registered-models/alias",
            "/registered-models/get",
            "/registered-models/get-latest-versions",
            "/registered-models/search",
            "/runs/get",
        ),
        "POST": (
            "/experiments/search",
            "/logged-models/search",
            "/registered-models/get-latest-versions",
            "/runs/search",
        ),
    },
    _LOG: {
        "POST": (
            "/logged-models/{model_id}/params",
            "/runs/delete-tag",
            "/runs/log-batch",
            "/runs/log-inputs",
            "/runs/log-metric",
            "/runs/log-model",
            "/runs/log-parameter",
            "/runs/outputs",
            "/runs/set-tag",
            "/runs/update",
        ),
        "PATCH": ("/logged-models/{model_id}", "/logged-models/{model_id}/tags"),
        "DELETE": ("/logged-models/{model_id}/tags/{key}",),
    },
    _CHANGE: {
        "POST": (
            "/experiments/create",
            "/experiments/delete",
            "/experiments/delete-experiment-tag",
            "/experiments/restore",
            "/experiments/set-experiment-tag",
            "/experiments/update",
            "/logged-models",
            "/model-versions/create",
            "/model-versions/set-tag",
            "/model-versions/transition-stage",
            "/registered-models/alias",
            "/registered-models/create",
            "/registered-models/rename",
            "/registered-models/set-tag",
            "/runs/create",
            "/runs/delete",
            "/runs/restore",
        ),
        "PATCH": ("/model-versions/update", "/registered-models/update"),
        "DELETE": (
            "/logged-models/{model_id}",
            "/model-versions/delete",
            "/model-versions/delete-tag",
            "/registered-models/alias",
            "/registered-models/delete",
            "/registered-models/delete-tag",
        ),
    },
}

ALLOWED: tuple[tuple[str, str, Need], ...] = (
    *(
        (method, _V2 + path, need)
        for need, methods in _TABLE.items()
        for method, paths in methods.items()
        for path in paths
    ),
    ("GET", "/api/3.0/mlflow/server-info", _READ),
    ("GET", ARTIFACTS, _READ),
    ("GET", ARTIFACTS + "/{path:path}", _READ),
    ("PUT", ARTIFACTS + "/{path:path}", _LOG),
    ("DELETE", ARTIFACTS + "/{path:path}", _CHANGE),
)
