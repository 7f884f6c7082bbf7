"""``python -m mooring_server.tracking FOLDER FD``: MLflow's tracking server on a socket it inherits.

It trusts who connects: the socket lies in a directory that only the server's user can enter, and the server has
checked the caller. It ends when its standard input does, which is when the server has ended, however that happened.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvicorn

from mooring_server.tracking import FORGOTTEN

HEADER = b"x-mlflow-workspace"
_STOP_SECONDS = 3


class Workspaces:
    """ASGI middleware: a workspace of MLflow's is there when the server first names it."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app
        self._known: set[str] = set()
        self._lock = threading.Lock()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on."""
        from starlette.concurrency import run_in_threadpool

        name = dict(scope.get("headers", ())).get(HEADER, b"").decode()
        if name and name not in self._known:
            await run_in_threadpool(self._make, name)
        await self._app(scope, receive, send)

    def _make(self, name: str) -> None:
        from mlflow.entities import Workspace
        from mlflow.exceptions import MlflowException
        from mlflow.server.workspace_helpers import _get_workspace_store

        with self._lock:
            store = _get_workspace_store()
            try:
                store.get_workspace(name)
            except MlflowException:
                store.create_workspace(Workspace(name=name))
            self._known.add(name)


def main() -> None:
    """Serve until SIGTERM, or until the server is gone."""
    folder, listener = Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
    threading.Thread(target=_end_with_server, daemon=True).start()
    server = uvicorn.Server(
        uvicorn.Config(
            Workspaces(_application(folder)),
            log_level="warning",
            ws="none",
            timeout_graceful_shutdown=_STOP_SECONDS,
            server_header=False,
            proxy_headers=False,
        )
    )
    server.run(sockets=[listener])


def _application(folder: Path) -> Any:
    database, artifacts = folder / "mlflow.db", folder / "artifacts"
    artifacts.mkdir(mode=0o700, exist_ok=True)
    # MLflow reads these when its modules are imported.
    os.environ.update(
        {
            "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{database}",
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(artifacts),
            "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
            "MLFLOW_ENABLE_WORKSPACES": "true",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
    )
    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import initialize_backend_stores
    from mlflow.store.db.utils import _upgrade_db, create_sqlalchemy_engine

    uri = os.environ["_MLFLOW_SERVER_FILE_STORE"]
    if database.exists():  # perhaps of an older MLflow
        engine = create_sqlalchemy_engine(uri)
        _upgrade_db(engine)
        engine.dispose()
    initialize_backend_stores(uri, default_artifact_root=os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"])
    _forget(folder)
    return app


def _forget(folder: Path) -> None:
    """Delete what workspaces had that are gone."""
    from mlflow.entities.workspace import WorkspaceDeletionMode
    from mlflow.server.workspace_helpers import _get_workspace_store

    store = _get_workspace_store()
    known = {workspace.name for workspace in store.list_workspaces()}
    for mark in sorted((folder / FORGOTTEN).glob("*")):
        if mark.name in known:
            store.delete_workspace(mark.name, mode=WorkspaceDeletionMode.CASCADE)
        shutil.rmtree(folder / "artifacts" / "workspaces" / mark.name, ignore_errors=True)
        mark.unlink()


def _end_with_server() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
