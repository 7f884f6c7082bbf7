"""Who is compared, and with which settings."""

from __future__ import annotations

from pathlib import Path

from benchmarks.scoring.servers import WORKERS, Server

REFERENCE = "azureml-inference-server-http"
BARE = "granian, bare"
MOORING = "Mooring"
BATCHING = "Mooring, batching"


def _azureml(environment: Path, port: int) -> list[str]:
    flags = ["--entry_script", "score.py", "--model_dir", ".", "--port", str(port)]
    return [str(environment / "bin" / "azmlinfsrv"), *flags, "--worker_count", str(WORKERS)]


def _kserve(environment: Path, port: int) -> list[str]:
    flags = ["--http_port", str(port), "--workers", str(WORKERS), "--enable_grpc", "false"]
    quiet = ["--log_config_file", "logging.json", "--enable_latency_logging", "false"]
    return [str(environment / "bin" / "python"), "kserve_server.py", *flags, *quiet]


def _bentoml(environment: Path, port: int) -> list[str]:
    command = [str(environment / "bin" / "bentoml"), "serve", "bentoml_service:Scorer"]
    return [*command, "--host", "127.0.0.1", "--port", str(port)]


def _litserve(environment: Path, port: int) -> list[str]:
    return [str(environment / "bin" / "python"), "litserve_server.py", str(port)]


def _mlflow(environment: Path, port: int) -> list[str]:
    command = [str(environment / "bin" / "mlflow"), "models", "serve", "-m", "mlflow-model"]
    return [
        *command,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        str(WORKERS),
        "--env-manager",
        "local",
    ]


def _granian(environment: Path, port: int) -> list[str]:
    command = [str(environment / "bin" / "granian"), "--interface", "wsgi", "--http", "1", "--no-ws"]
    options = [
        "--workers",
        str(WORKERS),
        "--blocking-threads",
        "1",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    return [*command, *options, "granian_app:app"]


SERVERS = (
    Server(
        MOORING,
        "model",
        "mooring-runtime",
        "as the process target deploys it: supervisor, front, 2 sandboxed workers; keys, limits, headers, metrics",
    ),
    Server(
        BATCHING,
        "model",
        "mooring-runtime",
        "the same, with @batched(max_size=32) on run()",
        script="score_batched.py",
    ),
    Server(
        BARE,
        "granian",
        "granian",
        "WSGI, 2 processes of 1 thread, HTTP/1 only; the function in the server's own process and nothing else",
        command=_granian,
    ),
    Server(
        REFERENCE,
        "azureml",
        "azureml-inference-server-http",
        "azmlinfsrv --worker_count 2, a logging.json without a line for each request",
        command=_azureml,
    ),
    Server(
        "KServe",
        "kserve",
        "kserve",
        "ModelServer with --workers 2, v1 protocol, no gRPC, no latency or access log, uvloop (its default)",
        path="/v1/models/model:predict",
        field="instances",
        command=_kserve,
    ),
    Server(
        "BentoML",
        "bentoml",
        "bentoml",
        "@bentoml.service(workers=2), a synchronous method, no access log",
        path="/predict",
        command=_bentoml,
    ),
    Server(
        "LitServe",
        "litserve",
        "litserve",
        "workers_per_device=2, as many HTTP processes (its default), fast_queue=True, no access log",
        path="/predict",
        command=_litserve,
    ),
    Server(
        "MLflow",
        "mlflow",
        "mlflow",
        "mlflow models serve --workers 2, scikit-learn, no signature, 'instances' (no DataFrame), no access log",
        path="/invocations",
        field="instances",
        command=_mlflow,
    ),
)
PEERS = (REFERENCE, "KServe", "BentoML", "LitServe", "MLflow")
