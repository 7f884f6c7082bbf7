"""Mooring's errors as MLflow's callers expect them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mooring.sdk.exceptions import AuthenticationException, AzureMLException

# By cause code, else by its ending.
_CODES = {
    "Forbidden": "PERMISSION_DENIED",
    "ServiceExists": "RESOURCE_ALREADY_EXISTS",
    "WebserviceExists": "RESOURCE_ALREADY_EXISTS",
    "TooManyAttempts": "REQUEST_LIMIT_EXCEEDED",
    "TrackingServerNotInstalled": "FEATURE_DISABLED",
    "TrackingServerTooOld": "FEATURE_DISABLED",
    "TrackingDataTooNew": "FEATURE_DISABLED",
}
_BY_STATUS = {400: "INVALID_PARAMETER_VALUE", 404: "RESOURCE_DOES_NOT_EXIST", 503: "TEMPORARILY_UNAVAILABLE"}
_REQUEST = ("Validate", "Resolve")


@contextmanager
def as_mlflow() -> Iterator[None]:
    """Raise ``MlflowException`` with the same text for what the SDK raises.

    ``error_code`` is one of MLflow's; the SDK's exception is its ``__cause__``.
    """
    try:
        yield
    except AzureMLException as error:
        raise exception(str(error), code_of(error)) from error


def exception(message: str, code: str) -> Any:
    """An ``MlflowException`` with the error code of that name."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos import databricks_pb2

    return MlflowException(message, error_code=getattr(databricks_pb2, code))


def code_of(error: AzureMLException) -> str:
    """MLflow's error code for an error of the SDK."""
    if error.code.isupper():  # MLflow's own, of the tracking server
        return error.code
    if error.code in _CODES:
        return _CODES[error.code]
    if isinstance(error, AuthenticationException):
        return "UNAUTHENTICATED"
    if error.code.endswith("NotFound"):
        return "RESOURCE_DOES_NOT_EXIST"
    status = getattr(error, "status_code", None)
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return "INVALID_PARAMETER_VALUE" if error.phase in _REQUEST else "INTERNAL_ERROR"
