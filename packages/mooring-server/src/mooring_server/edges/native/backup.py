"""Route: a backup, streamed while it is made."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from mooring_server.edges.native.access import OWNER, guarded_router, needs
from mooring_server.edges.native.common import ROOT
from mooring_server.services.backups import Backup


def routes(begin: Callable[[], Backup]) -> APIRouter:
    """The route over the use case; ``begin`` makes a backup."""
    router = guarded_router("server")

    @router.get(f"{ROOT}/backup", response_class=StreamingResponse)
    @needs(OWNER, everywhere=True)
    def backup() -> StreamingResponse:
        """Everything but caches, as a tar file; `Mooring-Backup` has its summary. It holds keys and tokens."""
        return _Download(begin())

    return router


class _Download(StreamingResponse):
    """Lets go of the backup however the answer ends, also when its caller goes away before it begins."""

    def __init__(self, backup: Backup) -> None:
        self._backup = backup
        headers = {
            "Content-Length": str(backup.size),
            "Content-Disposition": 'attachment; filename="mooring-backup.tar"',
            "Mooring-Backup": json.dumps(backup.summary),
        }
        super().__init__(self._stream(), media_type="application/x-tar", headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await run_in_threadpool(self._backup.close)

    async def _stream(self) -> AsyncIterator[bytes]:
        while data := await run_in_threadpool(self._backup.read):
            yield data
