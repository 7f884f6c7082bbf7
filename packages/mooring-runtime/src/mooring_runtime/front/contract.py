"""What a revision's worker says of its script, as the front uses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mooring_runtime.front.cors import Cors
from mooring_runtime.front.exchange import Headers
from mooring_runtime.front.identity import SERVER_VERSION
from mooring_runtime.front.swagger import Swagger


class Contract:
    """The contract of the active revision; `mooring_runtime.worker.contract` describes what is reported.

    Args:
        service: the service's name.
        reported: by the worker; None while there is none.

    Attributes:
        cors: for ``AML_CORS_ORIGINS``; None without it.
        routes: paths that score besides ``/score``.
        swagger: the descriptions at ``/swagger.json``.
        version: the header that names the server; empty if it is not to be shown.
        scoring_timeout_ms: ``SCORING_TIMEOUT_MS``; None if it is not set.
    """

    def __init__(self, service: str, reported: Mapping[str, Any] | None) -> None:
        reported = reported or {}
        settings: Mapping[str, Any] = reported.get("settings", {})
        origins = settings.get("AML_CORS_ORIGINS")
        self.cors = Cors(origins) if origins else None
        shown = settings.get("SERVER_VERSION_LOG_RESPONSE_ENABLED", "true").lower() == "true"
        self.version: Headers = [("x-ms-server-version", SERVER_VERSION)] if shown else []
        self.scoring_timeout_ms: int | None = settings.get("SCORING_TIMEOUT_MS")
        self.routes = frozenset(reported.get("routes", ()))
        self.swagger = Swagger(service, reported)
