"""The token for plain ``http://`` tracking URIs, when ``MLFLOW_TRACKING_AUTH=mooring``."""

from __future__ import annotations

from typing import Any

from mlflow.tracking.request_auth.abstract_request_auth_provider import RequestAuthProvider

from mooring.mlflow.address import connection_of


class MooringAuthProvider(RequestAuthProvider):  # type: ignore[misc]  # MLflow has no types
    """MLflow asks it for every request, whatever the server: only Mooring's gets its token."""

    def get_name(self) -> str:
        """``mooring``."""
        return "mooring"

    def get_auth(self) -> Any:
        """What ``requests`` calls with the request it is about to send."""
        return _show_token


def _show_token(request: Any) -> Any:
    endpoint, found, _ = request.url.partition("/mooring/v1/")
    token = connection_of(endpoint).token if found else ""
    if token:
        request.headers["Authorization"] = f"Bearer {token}"
    return request
