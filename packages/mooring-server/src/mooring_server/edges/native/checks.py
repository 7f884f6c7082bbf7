"""Route: whether the data directory is whole."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Query

from mooring_server.edges.native.access import OWNER, guarded_router, needs
from mooring_server.edges.native.common import ROOT
from mooring_server.services.checks.checker import check
from mooring_server.services.views import ReportView
from mooring_server.settings import Home
from mooring_server.store.database import Database


def routes(home: Home, database: Database) -> APIRouter:
    """The route; the server has been running since this call."""
    router = guarded_router("server")
    since = time.time()

    @router.get(f"{ROOT}/check", operation_id="check")
    @needs(OWNER)
    def check_home(
        deep: Annotated[bool, Query(description="Also read every blob and compare its digest.")] = False,
    ) -> ReportView:
        """Whether the database, the content and what runs fit together."""
        report = check(home, database, deep=deep, since=since).to_json()
        return ReportView(ok=report["ok"], findings=report["findings"], checked=report["checked"])

    return router
