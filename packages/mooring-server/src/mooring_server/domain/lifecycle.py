"""The life of an operation, as a pure state machine.

    NotStarted ──begin──▶ Running ──phase──▶ Running ──succeed──▶ Succeeded
        │                    ├──fail──▶ Failed
        │                    ├──expire──▶ TimedOut      (a phase passed its deadline)
        └──────cancel────────┴──cancel──▶ Cancelled     (superseded, or its resource is gone)

Every non-terminal phase carries a deadline, so that no operation can stay `Running` for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import Any

from mooring_server.domain.errors import MooringError, PhaseFailed


class OperationState(str, Enum):
    """Azure's operation states."""

    NOT_STARTED = "NotStarted"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    TIMED_OUT = "TimedOut"
    CANCELLED = "Cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing can follow."""
        return self not in {OperationState.NOT_STARTED, OperationState.RUNNING}


# Seconds. Resolve and Build wait for the package index; Init is the user's model loading.
PHASE_DEADLINES: Mapping[str, float] = MappingProxyType(
    {
        "Resolve": 600,
        "Build": 3600,
        "Push": 3600,
        "Unpack": 600,
        "Start": 60,
        "Init": 300,
        "Measure": 600,
        "Delete": 60,
    }
)

# Seconds an operation may wait for its first phase: while others build, which have deadlines of their own.
WAITING_DEADLINE = 7200.0

PLANS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "CreateImage": ("Resolve", "Build", "Push"),
        "BuildAndDeploy": ("Resolve", "Build", "Push", "Unpack", "Start", "Init"),
        "Deploy": ("Unpack", "Start", "Init"),
        "Profile": ("Resolve", "Build", "Push", "Unpack", "Start", "Init", "Measure"),
        "Delete": ("Delete",),
    }
)


@dataclass(frozen=True)
class Phase:
    """One step of an operation; times are seconds since the epoch, for people: they decide nothing."""

    name: str
    state: str = "Pending"
    started: float | None = None
    ended: float | None = None
    deadline_seconds: float = 0
    detail: str = ""


@dataclass(frozen=True)
class Progress:
    """State and phases of one operation. Methods return the successor; ended ones have none.

    Raises (all transitions):
        IllegalTransition: the operation has ended.
    """

    state: OperationState
    phases: tuple[Phase, ...]
    error: Mapping[str, Any] | None = None

    @classmethod
    def plan(
        cls, name: str, deadlines: Mapping[str, float] | None = None, without: Collection[str] = ()
    ) -> Progress:
        """A new operation.

        Args:
            name: its phases are those of ``PLANS[name]``.
            deadlines: replace those of `PHASE_DEADLINES`.
            without: phases that it will not have.
        """
        allowed = {**PHASE_DEADLINES, **(deadlines or {})}
        return cls(
            OperationState.NOT_STARTED,
            tuple(Phase(p, deadline_seconds=allowed[p]) for p in PLANS[name] if p not in without),
        )

    @property
    def current(self) -> Phase | None:
        """The phase that runs now."""
        return next((p for p in self.phases if p.state == "Running"), None)

    def enter(self, name: str, now: float, detail: str = "") -> Progress:
        """Begin phase ``name``: what ran before it has succeeded, what was skipped over is skipped.

        Entering the phase that runs already, or one that lies behind, changes nothing but the detail:
        reconcilers start over after a crash and must be able to say again where they are.
        """
        self._assert_open(f"enter {name}")
        names = [p.name for p in self.phases]
        if name not in names:
            return replace(self, state=OperationState.RUNNING)
        index = names.index(name)
        running = next((i for i, p in enumerate(self.phases) if p.state == "Running"), None)
        if running == index:
            phase = replace(self.phases[index], detail=detail or self.phases[index].detail)
            return replace(self, phases=_with(self.phases, index, phase))
        if running is not None and running > index:
            return self
        phases = list(self.phases)
        for i, phase in enumerate(phases[:index]):
            if phase.state == "Running":
                phases[i] = replace(phase, state="Succeeded", ended=now)
            elif phase.state == "Pending":
                phases[i] = replace(phase, state="Skipped")
        if phases[index].state == "Pending":
            phases[index] = replace(phases[index], state="Running", started=now, detail=detail)
        return replace(self, state=OperationState.RUNNING, phases=tuple(phases))

    def resume(self, now: float) -> Progress:
        """After a restart of the server: the phase that runs begins again, and so does its deadline."""
        self._assert_open("resume")
        phases = tuple(replace(p, started=now) if p.state == "Running" else p for p in self.phases)
        return replace(self, phases=phases)

    def succeed(self, now: float) -> Progress:
        """Everything is done."""
        self._assert_open("succeed")
        return replace(self, state=OperationState.SUCCEEDED, phases=self._close(now, "Succeeded"))

    def fail(self, error: MooringError, now: float) -> Progress:
        """It stopped, for a reason."""
        self._assert_open("fail")
        return replace(
            self, state=OperationState.FAILED, phases=self._close(now, "Failed"), error=error.to_json()
        )

    def expire(self, age: float, now: float) -> Progress | None:
        """The successor if the running phase, or the wait for the first, has passed its deadline, else None.

        Args:
            age: seconds for which the phase has been running, by a clock that does not jump.
            now: the time of day to record.
        """
        phase = self.current
        if self.state.ended or age < (phase.deadline_seconds if phase else WAITING_DEADLINE):
            return None
        if phase is None:
            error = PhaseFailed(
                "PhaseTimeout",
                f"The operation did not begin within {WAITING_DEADLINE:g} s.",
                phase=self.phases[0].name,
                hint="Other builds kept the server busy; `mooring status` and its log say which. Try again.",
            )
        else:
            error = PhaseFailed(
                "PhaseTimeout",
                f"Phase {phase.name} did not end within {phase.deadline_seconds:g} s.",
                phase=phase.name,
                hint="Look at the log of the operation for what it was waiting for.",
                evidence={"detail": phase.detail} if phase.detail else {},
            )
        return replace(
            self, state=OperationState.TIMED_OUT, phases=self._close(now, "Failed"), error=error.to_json()
        )

    def cancel(self, reason: MooringError, now: float) -> Progress:
        """Something newer took its place, or its resource is gone."""
        self._assert_open("cancel")
        return replace(
            self, state=OperationState.CANCELLED, phases=self._close(now, "Skipped"), error=reason.to_json()
        )

    def _close(self, now: float, state: str) -> tuple[Phase, ...]:
        return tuple(
            replace(p, state=state, ended=now)
            if p.state == "Running"
            else replace(p, state="Skipped")
            if p.state == "Pending"
            else p
            for p in self.phases
        )

    def _assert_open(self, event: str) -> None:
        if self.state.ended:
            raise IllegalTransition(f"cannot {event}: the operation is {self.state.value}")


class IllegalTransition(RuntimeError):
    """A bug: an event that the state does not allow."""


def _with(phases: tuple[Phase, ...], index: int, phase: Phase) -> tuple[Phase, ...]:
    return (*phases[:index], phase, *phases[index + 1 :])
