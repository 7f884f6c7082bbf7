"""Assembles the server: stores, use cases, controllers, edges. Nothing else happens here."""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol

from fastapi import FastAPI

import mooring_server
from mooring_server.controllers.function_apps import FunctionAppController
from mooring_server.controllers.garbage import Housekeeper
from mooring_server.controllers.images import ImageController
from mooring_server.controllers.profiles import ProfileController
from mooring_server.controllers.runner import Runner
from mooring_server.controllers.webservices import ServiceController
from mooring_server.domain.access import Principal
from mooring_server.domain.init_timeout import DEFAULT_INIT_SECONDS
from mooring_server.edges.arm import ArmParts, add_arm, registry_of_token
from mooring_server.edges.attempts import Attempts
from mooring_server.edges.audit import AuditLog
from mooring_server.edges.blob.changes import signal
from mooring_server.edges.blob.service import blob_service
from mooring_server.edges.mlflow import proxy as mlflow_edge
from mooring_server.edges.native import az as az_edge
from mooring_server.edges.native import backup as backup_edge
from mooring_server.edges.native import bases as base_edge
from mooring_server.edges.native import checks as check_edge
from mooring_server.edges.native import function_apps as function_edge
from mooring_server.edges.native import images as image_edge
from mooring_server.edges.native import models as model_edge
from mooring_server.edges.native import operations as operation_edge
from mooring_server.edges.native import profiles as profile_edge
from mooring_server.edges.native import registries as registry_edge
from mooring_server.edges.native import server as server_edge
from mooring_server.edges.native import service_bus as bus_edge
from mooring_server.edges.native import services as service_edge
from mooring_server.edges.native import storage as storage_edge
from mooring_server.edges.native import tokens as token_edge
from mooring_server.edges.native import workspaces as workspace_edge
from mooring_server.edges.native.common import ROOT
from mooring_server.edges.native.errors import install_error_handlers
from mooring_server.edges.native.guard import Gate, Guard, signature
from mooring_server.edges.native.openapi import install_openapi
from mooring_server.edges.queue.service import queue_service
from mooring_server.edges.registry import registry_app
from mooring_server.edges.storage.gate import StorageGate
from mooring_server.images.builder import ImageBuilder
from mooring_server.images.scratch import Scratch
from mooring_server.images.unpack import Unpacker
from mooring_server.servicebus.process import BrokerProcess, Place
from mooring_server.services.backups import Backup
from mooring_server.services.bases import Bases
from mooring_server.services.bus_entities import entities
from mooring_server.services.context import Context
from mooring_server.services.environments import Environments
from mooring_server.services.function_apps import FunctionApps
from mooring_server.services.images import Images
from mooring_server.services.models import Models
from mooring_server.services.operations import Operations
from mooring_server.services.plans import Plans
from mooring_server.services.profiles import Profiles
from mooring_server.services.pulling import Puller
from mooring_server.services.registries import Registries
from mooring_server.services.repositories import Repositories
from mooring_server.services.resource_groups import ResourceGroups
from mooring_server.services.service_bus import ServiceBus
from mooring_server.services.sign_ins import TOKEN_USER, SignIns
from mooring_server.services.storage.accounts import StorageAccounts
from mooring_server.services.storage.open_accounts import OpenAccounts
from mooring_server.services.tokens import Tokens
from mooring_server.services.webservices import SCOPES, Webservices
from mooring_server.services.workspace_registries import WorkspaceRegistries, pull_sources
from mooring_server.services.workspaces import Workspaces
from mooring_server.settings import (
    Collection,
    Home,
    allowed_imports,
    external_tracking,
    layer_packing,
    remove_temporary,
)
from mooring_server.store.content import ContentStore
from mooring_server.store.database import Database
from mooring_server.store.pushes import Pushes
from mooring_server.store.tables import now
from mooring_server.targets.container import ContainerTarget
from mooring_server.targets.process import ProcessTarget
from mooring_server.targets.sandbox import SandboxSettings
from mooring_server.targets.supervised import SupervisedTarget
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
    az: az_edge.Listener | None = None,
    scheme: str = "http",
    init_seconds: float = DEFAULT_INIT_SECONDS,
    bus_place: Place | None = None,
    target: str = "process",
) -> StorageGate:
    """The server's application: what is for a storage account, and behind it all the rest.

    Args:
        home: its data directory; the caller holds its lock.
        token: what callers of the native API must show.
        address: ``host:port`` under which it is reached.
        az: opens the listener for `az`; None where there is none.
        scheme: ``https`` when it speaks TLS.
        init_seconds: what ``init()`` may take where the image does not say.
        bus_place: where the Service Bus broker listens; None for loopback.
        target: where workers run, one of `settings.TARGETS`.
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
    operations, bases = Operations(context), Bases(context, Scratch(home.cache / "bases"))
    tracking = TrackingServer(home.path / "mlflow", home.path / "logs" / "mlflow.log")
    workspaces, repositories = Workspaces(context, tracking.forget), Repositories(context)
    accounts = StorageAccounts(context)
    builder = ImageBuilder(store, home.cache, layer_packing(os.environ))
    pushes = Pushes(store, home.content / "pushes")
    unpacker = Unpacker(store, home.cache / "unpacked", home.cache / "pythons")
    sandbox = SandboxSettings.load(os.environ, home.path, int(address.rpartition(":")[2]))
    place = _place(target, home, context, unpacker, sandbox)
    broker = BrokerProcess(
        home.bus,
        home.path / "logs" / "servicebus.log",
        lambda: entities(context.db),
        bus_place or Place(),
    )
    housekeeper = Housekeeper(context, operations, place, Collection.from_environment(os.environ))
    puller = Puller(
        context,
        repositories,
        workspaces.authenticate_registry,
        lambda: () if az is None else az.addresses,
    )
    runners = _runners(
        context,
        ImageController(context, operations, builder),
        ServiceController(context, operations, place),
        FunctionAppController(context, place, puller, accounts.complete),
        ProfileController(context, operations, place),
        Runner(housekeeper, _HOUSEKEEPING_THREADS),
    )
    storage = OpenAccounts(accounts, home.storage, lambda name: context.signals.notify(signal(name)))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        context.signals.attach(asyncio.get_running_loop())
        tidied = (builder, unpacker, place, storage, bases, pushes)
        await asyncio.to_thread(_tidy, home, store, operations, tidied)
        place.on_loss(context.supervisor_lost)
        for runner in runners:
            runner.start()
        await asyncio.to_thread(broker.start)
        yield
        context.signals.attach(None)
        await asyncio.to_thread(tracking.close)
        await asyncio.to_thread(storage.close)
        await asyncio.to_thread(broker.close)
        await asyncio.to_thread(_stop, runners, place, context.db)

    app = FastAPI(
        title="Mooring",
        version=mooring_server.__version__,
        openapi_url=f"{ROOT}/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    tokens, audit = Tokens(context), AuditLog(home.audit)
    identities = _Identities(context, tokens, workspaces)
    app.add_middleware(Guard, gate=Gate(token, identities.authenticate, Attempts(), audit))
    install_error_handlers(app, home.path)
    app.state.stopping = context.signals.stop

    apps, plans, bus = FunctionApps(context, accounts), Plans(context), ServiceBus.over(context, broker)
    contents = [apps.delete_group, accounts.delete_group, plans.delete_group, bus.namespaces.delete_group]
    groups = ResourceGroups(context, contents)
    routers = [
        server_edge.routes(home, started),
        backup_edge.routes(lambda: Backup(home, store, context.retention, storage)),
        token_edge.routes(tokens, audit),
        check_edge.routes(home, context.db),
        workspace_edge.routes(workspaces),
        registry_edge.routes(WorkspaceRegistries(context)),
        mlflow_edge.routes(workspaces, tracking, external_tracking(os.environ)),
        model_edge.blob_routes(workspaces, store),
        model_edge.model_routes(Models(context)),
        model_edge.environment_routes(Environments(context)),
        base_edge.routes(bases),
        image_edge.routes(Images(context, operations)),
        profile_edge.routes(Profiles(context)),
        *(service_edge.routes(Webservices(context, scope), scope, place) for scope in SCOPES),
        storage_edge.routes(accounts),
        bus_edge.routes(bus),
        operation_edge.routes(operations, context.signals),
        registry_app(store, repositories, identities.authenticate_registry, pushes),
        function_edge.routes(groups, plans, apps, place),
    ]
    if az is not None:
        routers.append(az_edge.routes(az, identities.sign_ins.tenant))
    for router in routers:
        app.include_router(router)
    add_arm(app, identities, ArmParts(groups, repositories, accounts, plans, apps, place, bus))

    install_openapi(app)
    services = {"blob": blob_service, "queue": queue_service}
    return StorageGate(app, accounts=storage, signals=context.signals, services=services)


class _Identities:
    """Who shows a token, and what opens a registry: our own credentials, and those that sign-ins hand out."""

    def __init__(self, context: Context, tokens: Tokens, workspaces: Workspaces) -> None:
        self._tokens = tokens
        self._workspaces = workspaces
        self.registries = Registries(context)
        self.sign_ins = SignIns(tokens, bytes.fromhex(context.sign("sign-ins")))

    def authenticate(self, token: str) -> Principal | None:
        """Who shows it, or None."""
        return self._tokens.authenticate(token) or self.sign_ins.authenticate(token)

    def authenticate_registry(self, user: str, password: str) -> str | None:
        """The registry that they open, or None."""
        if user == TOKEN_USER:
            return registry_of_token(self.sign_ins, self.registries, password)
        return self._workspaces.authenticate_registry(user, password)


def _runners(
    context: Context,
    images: ImageController,
    services: ServiceController,
    apps: FunctionAppController,
    profiles: ProfileController,
    housekeeping: Runner,
) -> list[Runner]:
    """The controllers' threads, which the use cases wake."""
    runners = [
        Runner(images, _BUILD_THREADS),
        Runner(services, _SERVICE_THREADS),
        Runner(apps, _SERVICE_THREADS),
        Runner(profiles, 1),  # two would measure each other
    ]
    context.wake_image, context.wake_service, context.wake_function_app, context.wake_profile = (
        r.wake for r in runners
    )
    return [*runners, housekeeping]


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


def _place(
    target: str, home: Home, context: Context, unpacker: Unpacker, sandbox: SandboxSettings
) -> SupervisedTarget:
    if target == "container":
        network = "none" if sandbox.network == "none" else "default"
        sources = partial(pull_sources, context)
        return ContainerTarget(home.services, context.store, unpacker, sources, network=network)
    return ProcessTarget(home.services, unpacker, sandbox=sandbox)


def _stop(runners: list[Runner], target: SupervisedTarget, database: Database) -> None:
    for runner in runners:
        runner.stop(_STOP_SECONDS)
    target.close()
    database.close()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in containers
        return str(os.getuid())
