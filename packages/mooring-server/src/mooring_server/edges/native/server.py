"""Routes: the server itself."""

from __future__ import annotations

import os
from typing import Any

from fastapi import APIRouter

import mooring_server
from mooring_server.edges.native import common
from mooring_server.edges.native.access import READER, guarded_router, needs
from mooring_server.edges.native.common import ROOT
from mooring_server.settings import Home
from mooring_server.store.database import HEAD


def routes(home: Home, started: str) -> APIRouter:
    """The routes for a server that has its data in ``home``."""
    router = guarded_router("server")

    @router.get("/livez")
    @needs(None)
    def livez() -> dict[str, str]:
        """Whether the server answers; needs no token."""
        return {"status": "ok", "version": mooring_server.__version__, "api": common.API}

    @router.get(f"{ROOT}/info")
    @needs(READER)
    def info() -> dict[str, Any]:
        """What server this is."""
        return {
            "version": mooring_server.__version__,
            "api": common.API,
            "pid": os.getpid(),
            "home": str(home.path),
            "startedTime": started,
            "dataVersion": HEAD,
        }

    return router
