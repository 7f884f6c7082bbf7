"""The records that `machine.Machine` decides over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mooring_runtime.supervisor.backoff import Backoff
from mooring_runtime.supervisor.failure import Failure
from mooring_runtime.supervisor.spec import RevisionSpec, TlsSpec


class WorkerState(str, Enum):
    """A worker's state, as docs/protocols.md spells it (Stopping is reported as Draining)."""

    STARTING = "Starting"
    READY = "Ready"
    DRAINING = "Draining"
    STOPPING = "Stopping"


@dataclass(slots=True, eq=False)
class Worker:
    """A worker process.

    Attributes:
        id: unique in the supervisor's life.
        started_at: on the loop's clock, as all times here.
        ready_at: when ``init()`` had returned.
        mode: the input mode it reported.
        schema: the input and output schema it reported, or None.
        timed_out: it exceeded its init deadline and was aborted.
        stuck: it exceeded the scoring timeout and was aborted.
        ready_rss: resident bytes when ``init()`` had returned.
        grown_to: resident bytes for which it is to be replaced; None if it is not.
        lost: its connection to the front ended, and it had to be killed.
        drain_by: when waiting for the front's ``drained`` ends.
        kill_at: when SIGKILL follows; None while nothing has been asked of it.
        killed: SIGKILL was sent.
    """

    id: str
    revision: RevisionSpec
    started_at: float
    state: WorkerState = WorkerState.STARTING
    ready_at: float | None = None
    mode: str = "text"
    schema: Mapping[str, Any] | None = None
    timed_out: bool = False
    stuck: bool = False
    ready_rss: int = 0
    grown_to: int | None = None
    lost: bool = False
    drain_by: float | None = None
    kill_at: float | None = None
    killed: bool = False


@dataclass(slots=True, eq=False)
class Slot:
    """A place that is to be filled by a worker.

    Attributes:
        successor: is starting, to take the place of a worker that has grown.
    """

    backoff: Backoff
    worker: Worker | None = None
    successor: Worker | None = None
    restarts: int = 0
    last_exit: str | None = None
    restart_at: float = 0.0


@dataclass(slots=True)
class Group:
    """The workers of a revision."""

    revision: RevisionSpec
    slots: list[Slot]

    @property
    def ready(self) -> bool:
        """Whether every slot has a ready worker."""
        return all(slot.worker is not None and slot.worker.state is WorkerState.READY for slot in self.slots)


class FrontState(str, Enum):
    """The front's state."""

    DOWN = "Exited"
    STARTING = "Starting"
    READY = "Ready"
    STOPPING = "Stopping"


@dataclass(slots=True)
class FrontRecord:
    """The front.

    Attributes:
        address: host, port and certificate it was started with.
        said: why it could not serve, in its own words.
        unusable: what it could not serve for is its certificate.
    """

    backoff: Backoff
    state: FrontState = FrontState.DOWN
    address: tuple[str, int, TlsSpec | None] | None = None
    started_at: float = 0.0
    ready_at: float | None = None
    restarts: int = 0
    restart_at: float = 0.0
    last_exit: str | None = None
    said: str | None = None
    unusable: bool = False
    kill_at: float | None = None
    killed: bool = False


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended.

    Attributes:
        summary: ``exit status 3``, ``signal 11 (SIGSEGV)``, for `last_exit`.
        failure: the diagnosis.
    """

    summary: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class StartWorker:
    """Start a process for this worker."""

    worker: Worker


@dataclass(frozen=True, slots=True)
class SignalWorker:
    """Send a signal: ``ABRT`` (dumps the stacks), ``TERM``, or ``KILL`` (with all it started)."""

    worker: str
    signal: str


@dataclass(frozen=True, slots=True)
class StartFront:
    """Start a front on this address."""

    host: str
    port: int
    tls: TlsSpec | None


@dataclass(frozen=True, slots=True)
class StopFront:
    """Ask the front to finish its requests and end."""

    drain_seconds: float


@dataclass(frozen=True, slots=True)
class KillFront:
    """Send SIGKILL to the front."""


@dataclass(frozen=True, slots=True)
class Quit:
    """Everything has ended."""


Action = StartWorker | SignalWorker | StartFront | StopFront | KillFront | Quit


@dataclass(frozen=True, slots=True)
class Policy:
    """Durations in seconds, and counts.

    Attributes:
        stable: a process that was ready for so long has recovered.
        crash_limit: failures in a row that make a crash loop.
        abort_grace: between SIGABRT and SIGKILL.
        lost_grace: for a worker to end by itself after its connection to the front has ended.
        term_grace: between SIGTERM and SIGKILL.
        front_start: how long a front may take to listen.
        drain_extra: how much longer than the scoring timeout draining may take.
    """

    stable: float = 10.0
    crash_limit: int = 5
    abort_grace: float = 2.0
    lost_grace: float = 0.5
    term_grace: float = 5.0
    front_start: float = 30.0
    drain_extra: float = 5.0


def init_overdue(worker: Worker, now: float) -> bool:
    """Whether a worker has exceeded its init deadline."""
    deadline = worker.started_at + worker.revision.init_deadline_seconds
    return worker.state is WorkerState.STARTING and deadline <= now


# What stays the cause when it happens again and again: a worker that cannot run is not one that dies.
_LASTING = {
    "OutOfMemory",
    "EngineUnavailable",
    "EngineDiskFull",
    "ImageNotInEngine",
    "ArchitectureMismatch",
    "ContainerNotStarted",
}


def crash_loop(how: Exit, count: int) -> Failure:
    """The failure of a worker that keeps dying."""
    cause = how.failure
    code = cause.code if cause.code in _LASTING else "WorkerCrashLoop"
    return Failure(
        code,
        "Run",
        f"A worker has died {count} times in a row. The last time: {cause.message}",
        cause.hint or "See the log for what it did last.",
        cause.evidence,
        cause.revision,
    )
