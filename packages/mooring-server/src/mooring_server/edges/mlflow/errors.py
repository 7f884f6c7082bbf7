"""Errors as MLflow's clients read them: its fields beside Mooring's."""

from __future__ import annotations

from fastapi.responses import JSONResponse

from mooring_server.domain.errors import MooringError
from mooring_server.edges.native.errors import error_response

# MLflow's error codes (databricks.proto) by HTTP status.
_CODES = {
    400: "INVALID_PARAMETER_VALUE",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    429: "REQUEST_LIMIT_EXCEEDED",
    501: "FEATURE_DISABLED",
    503: "TEMPORARILY_UNAVAILABLE",
}


def is_mlflow(path: str) -> bool:
    """Whether a path of the native API is one of MLflow's below it."""
    return "/mlflow/api/" in path


def mlflow_error(error: MooringError) -> JSONResponse:
    """The error in Mooring's shape with ``error_code`` and ``message`` beside it."""
    response = error_response(error)
    text = f"{error.code}: {error.message} {error.hint}".strip()
    code = _CODES.get(error.http_status, "INTERNAL_ERROR")
    body = {"error_code": code, "message": text, "error": error.to_json()}
    headers = {k: v for k, v in response.headers.items() if k == "www-authenticate"}
    return JSONResponse(body, status_code=error.http_status, headers=headers)
