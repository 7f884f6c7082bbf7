"""What all use cases share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from mooring_server.domain.errors import NotFound
from mooring_server.domain.init_timeout import DEFAULT_INIT_SECONDS
from mooring_server.domain.names import workspace_key
from mooring_server.services.phase_ages import PhaseAges
from mooring_server.services.signals import Signals
from mooring_server.store.content import ContentStore
from mooring_server.store.database import Database
from mooring_server.store.function_tables import FunctionApp
from mooring_server.store.retention import Retention
from mooring_server.store.tables import Counter, Service, Workspace


@dataclass(frozen=True)
class WorkspaceRef:
    """The names by which a caller speaks of a workspace."""

    subscription: str
    resource_group: str
    name: str


@dataclass(frozen=True)
class GroupRef:
    """The names by which a caller speaks of a resource group."""

    subscription: str
    name: str

    @property
    def key(self) -> str:
        """Its identity; Azure compares these names without regard to case."""
        return f"{self.subscription}/{self.name}".lower()


def _unsigned(_path: str) -> str:
    """Where nobody serves links, they need no signature."""
    return ""


def _nobody(_id: int) -> None:
    """Before the controllers run there is nobody to wake; they look at everything when they start."""


@dataclass
class Context:
    """Stores, signals and the way to wake the controllers.

    Attributes:
        ages: how long phases have been running.
        init_seconds: what ``init()`` may take where the image does not say.
        allowed_imports: dangerous imports that pickles of any model may have.
        address: ``host:port`` of this server, as callers and registry clients reach it.
        scheme: ``http`` or ``https``.
        user: the name recorded as creator.
        retention: keeps garbage collection away while somebody reads.
        sign: makes the signature by which a link may be opened without the token, from its path.
    """

    db: Database
    store: ContentStore
    signals: Signals = field(default_factory=Signals)
    retention: Retention = field(default_factory=Retention)
    ages: PhaseAges = field(default_factory=PhaseAges)
    init_seconds: float = DEFAULT_INIT_SECONDS
    allowed_imports: frozenset[str] = frozenset()
    address: str = "127.0.0.1:0"
    scheme: str = "http"
    user: str = "unknown"
    sign: Callable[[str], str] = _unsigned
    wake_image: Callable[[int], None] = _nobody
    wake_service: Callable[[int], None] = _nobody
    wake_function_app: Callable[[int], None] = _nobody
    wake_profile: Callable[[int], None] = _nobody

    def supervisor_lost(self, uid: str) -> None:
        """Look at the service or function app whose supervisor has ended."""
        with self.db.read() as session:
            service = session.scalar(select(Service.id).where(Service.uid == uid))
            app = session.scalar(select(FunctionApp.id).where(FunctionApp.uid == uid))
        if service is not None:
            self.wake_service(service)
        if app is not None:
            self.wake_function_app(app)


def find_workspace(session: Session, ref: WorkspaceRef) -> Workspace:
    """The workspace a caller named.

    Raises:
        NotFound: ``WorkspaceNotFound``.
    """
    key = workspace_key(ref.subscription, ref.resource_group, ref.name)
    workspace = session.scalar(select(Workspace).where(Workspace.key == key))
    if workspace is None:
        raise NotFound(
            "WorkspaceNotFound",
            f"There is no workspace {ref.name!r} in resource group {ref.resource_group!r}, "
            f"subscription {ref.subscription!r}.",
            hint="Create it with Workspace.create(...) or `mooring workspace create`.",
            target=ref.name,
        )
    return workspace


def next_version(session: Session, workspace: Workspace, kind: str, name: str) -> int:
    """The next version for a name; never one that was given before."""
    counter = session.get(Counter, (workspace.id, kind, name))
    if counter is None:
        counter = Counter(workspace_id=workspace.id, kind=kind, name=name, last=0)
        session.add(counter)
    counter.last += 1
    return counter.last
