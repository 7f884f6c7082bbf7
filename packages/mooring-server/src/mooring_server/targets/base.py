"""What every target offers: the seam between control plane and the places where services run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class FunctionsSpec:
    """What makes a service a function app.

    Attributes:
        host_id: stable name in the storage that the triggers use: lower-case letters, digits and ``-``, at most 32.
        keys: by name; ``_master`` opens everything.
    """

    host_id: str
    keys: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class ServiceSpec:
    """One service as it shall run.

    Attributes:
        uid: identity of the service, stable over updates.
        revision: number of the image-and-resources combination; another one starts new workers.
        generation: number of the request; grows with every change.
        image_digest: manifest in the content store.
        auth_keys: accepted keys; empty: no authentication.
        certificate: chain and key (PEM) for https; None: http.
        cpu_cores: ceiling once the service is ready.
        memory_bytes: hard limit of each worker.
        port: a fixed port, or 0 for one that the target chooses once.
        init_seconds: what ``init()`` may take.
        env: variables beside those of the image (``SERVICE_NAME``, ...).
        functions: of a function app; None for a web service.
    """

    uid: str
    name: str
    generation: int
    revision: int
    image_digest: str
    auth_keys: tuple[str, ...]
    cpu_cores: float
    memory_bytes: int
    certificate: tuple[str, str] | None = field(default=None, repr=False)
    port: int = 0
    workers: int = 1
    scoring_timeout_ms: int = 60_000
    init_seconds: float = 300.0
    env: Mapping[str, str] = field(default_factory=dict)
    functions: FunctionsSpec | None = None


@dataclass(frozen=True)
class Observation:
    """What runs.

    Attributes:
        phase: ``Starting, Ready, Switching, Degraded, Failed`` or ``Absent`` (nothing runs).
        active_revision: the revision that answers, or None.
        target_revision: the revision last asked for.
        failure: the error JSON of the target revision's failure, or None.
        isolation: how the workers are confined.
        functions: of a function app, by name: ``type``, ``state``, and ``code``, ``message``, ``hint`` of what keeps
            its trigger from working.
    """

    phase: str
    url: str | None = None
    active_revision: int | None = None
    target_revision: int | None = None
    generation: int = 0
    failure: Mapping[str, Any] | None = None
    isolation: str | None = None
    workers: tuple[Mapping[str, Any], ...] = ()
    functions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Usage:
    """What the workers of a service have used.

    Attributes:
        cpu_seconds: of processors, since they were started.
        memory_bytes: resident at most, as far as is known; what can be freed at any time is not counted.
    """

    cpu_seconds: float
    memory_bytes: int


class Target(Protocol):
    """A place where services run. All calls are idempotent and may be repeated after a crash."""

    def prepare(self, image_digest: str) -> None:
        """Make the image ready to start (unpack, pull)."""
        ...

    def apply(self, spec: ServiceSpec) -> None:
        """Make ``spec`` what shall run; returns at once.

        Raises:
            MooringError: with phase ``Start`` when it cannot even be begun.
        """
        ...

    def observe(self, uid: str) -> Observation:
        """What runs now."""
        ...

    def usage(self, uid: str) -> Usage | None:
        """What its workers have used so far; None while none runs."""
        ...

    def logs(self, uid: str, tail: int) -> str:
        """The last ``tail`` lines of the service's output, also after its processes are gone."""
        ...

    def follow_logs(self, uid: str, tail: int) -> Iterator[str]:
        """The last lines, then what follows, until the service is gone."""
        ...

    def delete(self, uid: str) -> None:
        """Stop it and remove everything it left."""
        ...

    def known(self) -> list[str]:
        """The uids of all services of which anything is here, running or not, asked for or not."""
        ...

    def prune(self, keep: Callable[[], set[str]]) -> None:
        """Remove what was prepared for images other than those ``keep`` gives (manifest digests).

        It is called when no image is being prepared, so that what it does not name yet is not there either.
        """
        ...
