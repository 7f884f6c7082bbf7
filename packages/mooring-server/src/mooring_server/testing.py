"""Fakes for the seams of the server, for our tests and for those who write targets or builders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mooring_server.controllers.images import ImageController
from mooring_server.controllers.webservices import ServiceController
from mooring_server.domain.errors import MooringError
from mooring_server.images.types import BuildRequest, BuiltImage, Reporter
from mooring_server.servicebus.counts import QueueCounts
from mooring_server.services.context import Context, WorkspaceRef
from mooring_server.services.images import Images
from mooring_server.services.operations import Operations
from mooring_server.services.views import OperationView, ServiceView
from mooring_server.services.webservices import Webservices
from mooring_server.store.content import ContentStore
from mooring_server.store.database import Database
from mooring_server.targets.base import Observation, ServiceSpec, Usage

SCRIPT = b"def init(): pass\ndef run(data): return data\n"


def make_context(directory: Path) -> Context:
    """A context over a new database and content store below ``directory``."""
    return Context(
        Database.open(directory / "mooring.db"),
        ContentStore(directory / "content"),
        address="127.0.0.1:5000",
        user="tester",
    )


@dataclass
class FakeBuilder:
    """Builds nothing: the digest is that of the request. ``outcome`` may raise instead."""

    store: ContentStore
    outcome: Callable[[BuildRequest], None] = lambda _request: None
    built: list[BuildRequest] = field(default_factory=list)

    def build(self, request: BuildRequest, reporter: Reporter) -> BuiltImage:
        """Record the request, walk through the phases, and finish."""
        self.built.append(request)
        reporter.phase("Resolve")
        reporter.log("resolving nothing")
        self.outcome(request)
        reporter.phase("Build")
        empty = self.store.put_bytes(b"")
        identity = hashlib.sha256(repr(request).encode()).hexdigest()
        # As much of a manifest as garbage collection reads.
        manifest = {"config": {"digest": empty}, "layers": [], "annotations": {"request": identity}}
        digest = self.store.put_bytes(json.dumps(manifest).encode())
        return BuiltImage(digest, 0, "3.11", empty, empty, ("nothing was changed",))


@dataclass
class FakeTarget:
    """A target in memory. A new revision becomes ready when `finish` says so, or fails when `break_` does."""

    specs: dict[str, ServiceSpec] = field(default_factory=dict)
    seen: dict[str, Observation] = field(default_factory=dict)
    prepared: list[str] = field(default_factory=list)
    refuse: MooringError | None = None

    def prepare(self, image_digest: str) -> None:
        """Remember the image."""
        self.prepared.append(image_digest)

    def apply(self, spec: ServiceSpec) -> None:
        """Accept, as a supervisor would: the same revision only takes the new settings."""
        if self.refuse is not None:
            raise self.refuse
        before = self.seen.get(spec.uid, Observation("Absent"))
        same = before.active_revision == spec.revision
        self.specs[spec.uid] = spec
        self.seen[spec.uid] = replace(
            before,
            phase="Ready" if same else "Switching" if before.active_revision is not None else "Starting",
            url="http://127.0.0.1:9",
            target_revision=spec.revision,
            generation=spec.generation,
            failure=None,
        )

    def finish(self, uid: str) -> None:
        """The revision asked for is ready."""
        self.seen[uid] = replace(
            self.seen[uid], phase="Ready", active_revision=self.specs[uid].revision, failure=None
        )

    def break_(self, uid: str, code: str = "InitRaised") -> None:
        """The revision asked for has failed."""
        failure = {
            "code": code,
            "phase": "Init",
            "message": "init() raised",
            "evidence": {"traceback": "..."},
        }
        self.seen[uid] = replace(self.seen[uid], phase="Failed", failure=failure)

    def lose(self, uid: str) -> None:
        """All its processes are gone."""
        self.seen.pop(uid)

    def observe(self, uid: str) -> Observation:
        """What was made of it."""
        return self.seen.get(uid, Observation("Absent"))

    def usage(self, uid: str) -> Usage | None:
        """Nothing is used."""
        return Usage(0.0, 0) if uid in self.seen else None

    def logs(self, uid: str, tail: int) -> str:
        """Nothing."""
        return f"{uid} {tail}\n"

    def follow_logs(self, uid: str, tail: int) -> Iterator[str]:
        """The same, once."""
        yield self.logs(uid, tail)

    def delete(self, uid: str) -> None:
        """Forget it."""
        self.specs.pop(uid, None)
        self.seen.pop(uid, None)

    def known(self) -> list[str]:
        """What runs."""
        return sorted(self.seen)

    def prune(self, keep: Callable[[], set[str]]) -> None:
        """Forget the other images."""
        kept = keep()
        self.prepared = [d for d in self.prepared if d in kept]


@dataclass
class FakeBroker:
    """A Service Bus broker that nobody connects to. ``refuse`` is raised when it is needed."""

    tls: bool = False
    endpoint: str | None = "sb://127.0.0.1:5671/"
    refuse: MooringError | None = None
    refreshed: int = 0
    known: dict[str, QueueCounts] = field(default_factory=dict)

    def ensure(self) -> None:
        """Be there."""
        if self.refuse is not None:
            raise self.refuse

    def refresh(self) -> None:
        """Count the times."""
        self.refreshed += 1

    def counts(self, queues: list[str]) -> dict[str, QueueCounts]:
        """What a test put in."""
        return {uid: self.known.get(uid, QueueCounts()) for uid in queues}


@dataclass
class Scenario:
    """One workspace with a service ``svc``; the controllers are called by hand, in the order a test wants."""

    context: Context
    ref: WorkspaceRef

    def __post_init__(self) -> None:
        """Over a builder and a target in memory; everything else is real."""
        self.operations = Operations(self.context)
        self.services = Webservices(self.context, "services")
        self.images = Images(self.context, self.operations)
        self.builder = FakeBuilder(self.context.store)
        self.target = FakeTarget()
        self.image_controller = ImageController(self.context, self.operations, self.builder)
        self.controller = ServiceController(self.context, self.operations, self.target)

    def script(self, source: bytes = SCRIPT) -> dict[str, Any]:
        """An image request for a script."""
        digest = self.context.store.put_bytes(source)
        return {
            "entryScript": "score.py",
            "files": [{"path": "score.py", "digest": digest}],
            "modelIds": [],
            "environment": {},
        }

    def deploy(self, source: bytes = SCRIPT, **more: Any) -> ServiceView:
        """Ask for the service."""
        request = {"name": "svc", "computeType": "ACI", "imageRequest": self.script(source), **more}
        return self.services.create(self.ref, request)

    def build(self) -> None:
        """Build what is to be built."""
        for key in self.image_controller.known():
            self.image_controller.reconcile(key)

    def look(self) -> None:
        """What the runner would do: look until nothing changes at once."""
        for key in list(self.controller.known()):
            for _ in range(10):
                if self.controller.reconcile(key) != 0.0:
                    break

    def run(self, *, finish: bool = True) -> ServiceView:
        """Build and bring up, to the end if ``finish``."""
        self.build()
        self.look()
        for uid in list(self.target.specs):
            if finish and self.target.seen[uid].failure is None:
                self.target.finish(uid)
        self.look()
        return self.view()

    def view(self) -> ServiceView:
        """The service as callers see it."""
        return self.services.get(self.ref, "svc")

    def operation(self, view: ServiceView) -> OperationView:
        """The operation of a service's view."""
        return self.operations.get(self.ref, view["operationId"])

    def uid(self) -> str:
        """By which the target knows it."""
        return self.services.uid(self.ref, "svc")
