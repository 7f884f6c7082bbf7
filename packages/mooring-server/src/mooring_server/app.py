"""Assembles the server: stores, use cases, controllers, edges. Nothing else happens here."""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Protocol

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

import mooring_server
from mooring_server.controllers.garbage import Housekeeper
from mooring_server.controllers.images import ImageController
from mooring_server.controllers.runner import Runner
from mooring_server.controllers.webservices import ServiceController
from mooring_server.domain.init_timeout import DEFAULT_INIT_SECONDS
from mooring_server.edges.attempts import Attempts
from mooring_server.edges.audit import AuditLog
from mooring_server.edges.mlflow import proxy as mlflow_edge
from mooring_server.edges.native import backup as backup_edge
from mooring_server.edges.native import checks as check_edge
from mooring_server.edges.native import images as image_edge
from mooring_server.edges.native import models as model_edge
from mooring_server.edges.native import operations as operation_edge
from mooring_server.edges.native import server as server_edge
from mooring_server.edges.native import services as service_edge
from mooring_server.edges.native import tokens as token_edge
from mooring_server.edges.native import workspaces as workspace_edge
from mooring_server.edges.native.common import ROOT
from mooring_server.edges.native.errors import install_error_handlers
from mooring_server.edges.native.guard import Gate, Guard, signature
from mooring_server.edges.native.openapi import ERROR_SCHEMA
from mooring_server.edges.registry import registry_app
from mooring_server.images.builder import ImageBuilder
from mooring_server.images.unpack import Unpacker
from mooring_server.services.backups import Backup
from mooring_server.services.context import Context
from mooring_server.services.environments import Environments
from mooring_server.services.images import Images
from mooring_server.services.models import Models
from mooring_server.services.operations import Operations
from mooring_server.services.repositories import Repositories
from mooring_server.services.tokens import Tokens
from mooring_server.services.webservices import SCOPES, Webservices
from mooring_server.services.workspaces import Workspaces
from mooring_server.settings import Collection, Home, allowed_imports, external_tracking, remove_temporary
from mooring_server.store.content import ContentStore
from mooring_server.store.database import Database
from mooring_server.store.tables import now
from mooring_server.targets.process import ProcessTarget
from mooring_server.targets.sandbox import SandboxSettings
from mooring_server.tracking.process import TrackingServer

_BUILD_THREADS = 2
_SERVICE_THREADS = 4
# One for the deadlines, which must not wait while the other ends a service that nobody knows.
_HOUSEKEEPING_THREADS = 2
_STOP_SECONDS = 3.0


def create_app(
    home: Home,
    *,
    token: str,
    address: str,
    scheme: str = "http",
    init_seconds: float = DEFAULT_INIT_SECONDS,
) -> FastAPI:
    """The server's application.

    Args:
        home: its data directory; the caller holds its lock.
        token: what callers of the native API must show.
        address: ``host:port`` under which it is reached.
        scheme: ``https`` when it speaks TLS.
        init_seconds: what ``init()`` may take where the image does not say.
    """
    started = now()
    store = ContentStore(home.content)
    context = Context(
        Database.open(home.database),
        store,
        address=address,
        scheme=scheme,
        user=_user(),
        init_seconds=init_seconds,
        allowed_imports=allowed_imports(os.environ),
        sign=partial(signature, token.encode()),
    )
    operations = Operations(context)
    tracking = TrackingServer(home.path / "mlflow", home.path / "logs" / "mlflow.log")
    workspaces = Workspaces(context, tracking.forget)
    builder = ImageBuilder(store, home.cache)
    unpacker = Unpacker(store, home.cache / "unpacked", home.cache / "pythons")
    sandbox = SandboxSettings.load(os.environ, home.path, int(address.rpartition(":")[2]))
    target = ProcessTarget(home.services, unpacker, sandbox=sandbox)
    housekeeper = Housekeeper(context, operations, target, Collection.from_environment(os.environ))
    runners = [
        Runner(ImageController(context, operations, builder), _BUILD_THREADS),
        Runner(ServiceController(context, operations, target), _SERVICE_THREADS),
        Runner(housekeeper, _HOUSEKEEPING_THREADS),
    ]
    context.wake_image, context.wake_service = runners[0].wake, runners[1].wake

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        context.signals.attach(asyncio.get_running_loop())
        await asyncio.to_thread(_tidy, home, store, operations, (builder, unpacker, target))
        target.on_loss(context.supervisor_lost)
        for runner in runners:
            runner.start()
        yield
        context.signals.attach(None)
        await asyncio.to_thread(tracking.close)
        await asyncio.to_thread(_stop, runners, target, context.db)

    app = FastAPI(
        title="Mooring",
        version=mooring_server.__version__,
        openapi_url=f"{ROOT}/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    tokens, audit = Tokens(context), AuditLog(home.audit)
    app.add_middleware(Guard, gate=Gate(token, tokens.authenticate, Attempts(), audit))
    install_error_handlers(app, home.path)

    app.include_router(server_edge.routes(home, started))
    app.include_router(backup_edge.routes(lambda: Backup(home, store, context.retention)))
    app.include_router(token_edge.routes(tokens, audit))
    app.include_router(check_edge.routes(home, context.db))
    app.include_router(workspace_edge.routes(workspaces))
    app.include_router(mlflow_edge.routes(workspaces, tracking, external_tracking(os.environ)))
    app.include_router(model_edge.blob_routes(workspaces, store))
    app.include_router(model_edge.model_routes(Models(context)))
    app.include_router(model_edge.environment_routes(Environments(context)))
    app.include_router(image_edge.routes(Images(context, operations)))
    for collection in SCOPES:
        services = Webservices(context, collection)
        app.include_router(service_edge.routes(services, collection, target))
    app.include_router(operation_edge.routes(operations, context.signals))
    app.include_router(registry_app(store, Repositories(context), workspaces.authenticate_registry))

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
            schema["components"]["schemas"]["Error"] = ERROR_SCHEMA
            schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            schema["security"] = [{"token": []}]
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app


class _Tidied(Protocol):
    """What may have left something when it was killed."""

    def clean_stale(self) -> int: ...


def _tidy(home: Home, store: ContentStore, operations: Operations, parts: Iterable[_Tidied]) -> None:
    """Remove what a server that was killed has left. We hold the home's lock: nobody else works here."""
    remove_temporary(home)
    store.remove_stale_uploads(0)
    for part in parts:
        part.clean_stale()
    operations.resume()


def _stop(runners: list[Runner], target: ProcessTarget, database: Database) -> None:
    for runner in runners:
        runner.stop(_STOP_SECONDS)
    target.close()
    database.close()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in containers
        return str(os.getuid())
