"""A registry over a real database and a real disk, reached by HTTP."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from sqlalchemy import delete

from mooring_server.edges.registry import registry_app
from mooring_server.services.context import Context
from mooring_server.services.repositories import Repositories
from mooring_server.services.workspaces import Workspaces
from mooring_server.store.content import ContentStore
from mooring_server.store.database import Database
from mooring_server.store.pushes import Pushes
from mooring_server.store.tables import PushedBlob, PushedManifest, PushedTag, Workspace, now


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The application on a free port; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()  # who connects before it accepts waits in the listener's queue
        try:
            yield "http://{}:{}".format(*listener.getsockname())
        finally:
            server.should_exit = True
            thread.join()


@dataclass
class Registry:
    """Two registries, `mine` and `yours`, with the password `secret`."""

    context: Context
    client: httpx.Client
    root: Path

    @property
    def store(self) -> ContentStore:
        return self.context.store


def add_workspace(context: Context, registry: str) -> None:
    with context.db.write() as session:
        fields = dict.fromkeys(("location", "friendly_name", "description"), "")
        session.add(
            Workspace(
                key=registry,
                subscription="s",
                resource_group="g",
                name=registry,
                uid=registry,
                tags={},
                registry_name=registry,
                registry_password="secret",
                registry_password2="second",
                created=now(),
                **fields,
            )
        )


@pytest.fixture(scope="session")
def registry_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    root = tmp_path_factory.mktemp("registry")
    store = ContentStore(root / "content")
    context = Context(Database.open(root / "mooring.db"), store)
    for name in ("mine", "yours"):
        add_workspace(context, name)
    app = FastAPI()
    pushes = Pushes(store, root / "pushes")
    authenticate = Workspaces(context).authenticate_registry
    app.include_router(registry_app(store, Repositories(context), authenticate, pushes))
    with (
        served(app) as address,
        httpx.Client(base_url=address, auth=("mine", "secret"), timeout=60) as client,
    ):
        yield Registry(context, client, root)
    context.db.close()


@pytest.fixture
def registry(registry_server: Registry) -> Iterator[Registry]:
    """With nothing in it."""
    yield registry_server
    with registry_server.context.db.write() as session:
        for table in (PushedManifest, PushedTag, PushedBlob):
            session.execute(delete(table))
    for digest in list(registry_server.store.digests()):
        registry_server.store.delete(digest)
    for folder in (registry_server.root / "pushes").glob("*"):
        shutil.rmtree(folder)
