"""Calls of what belongs to the whole server, not to a workspace."""

from __future__ import annotations

from typing import Any

from mooring.cli import workspaces as places


def call(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """The answer's JSON; ``path`` begins behind the API's root.

    Raises:
        MooringError: what the server says.
    """
    from mooring.sdk.client import ROOT
    from mooring.sdk.connection import configured
    from mooring.sdk.http import Http
    from mooring.sdk.local_server import ensure_server

    config = places.nearest_config()
    http = Http(configured(config.settings if config else None) or ensure_server())
    try:
        return http.json(method, ROOT + path, body=body)[0]
    finally:
        http.close()
