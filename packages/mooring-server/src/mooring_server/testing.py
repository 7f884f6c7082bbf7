"""Fakes for the seams of the server, for our tests and for those who write targets or builders."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from mooring_server.domain.errors import MooringError
from mooring_server.images.types import BuildRequest, BuiltImage, Reporter
from mooring_server.services.context import Context
from mooring_server.store.content import ContentStore
from mooring_server.store.database import Database
from mooring_server.targets.base import Observation, ServiceSpec


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
        digest = "sha256:" + hashlib.sha256(repr(request).encode()).hexdigest()
        empty = self.store.put_bytes(b"")
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
