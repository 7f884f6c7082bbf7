"""The supervisor's decisions, without I/O.

Facts come in by methods (`apply`, `worker_ready`, ...); `plan` says what to do about the state reached.
Both are level-triggered: a fact that comes twice changes nothing, and `plan` may be called at any time. Times
are seconds on a clock of the caller's.

A revision has slots. The *active* group serves. A *target* group is starting and takes over when all its
slots are ready; if one of its workers fails, the whole group goes and the failure is kept. Workers that
belong to no slot any more (drained, superseded, scaled away) are *leaving*.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from random import Random
from typing import Any

from mooring_runtime.supervisor import recycling
from mooring_runtime.supervisor.backoff import Backoff
from mooring_runtime.supervisor.failure import Failure
from mooring_runtime.supervisor.front_control import FrontControl
from mooring_runtime.supervisor.model import (
    Action,
    Exit,
    FrontState,
    Group,
    Policy,
    Quit,
    SignalWorker,
    Slot,
    StartWorker,
    Worker,
    WorkerState,
    crash_loop,
    init_overdue,
)
from mooring_runtime.supervisor.spec import RevisionSpec, Spec


class Machine:
    """What runs, what shall run, and what to do next.

    Attributes:
        spec: the last one applied.
        active: the group that serves.
        target: the group that is starting.
        leaving: workers on their way out.
        failure: why the target revision, or what serves, does not run.
        restarts: workers of the active group that were replaced, by cause.
        front: the front's part of the decisions.
        stopping: `stop` was asked for.
    """

    def __init__(self, policy: Policy, random: Random) -> None:
        self._policy = policy
        self._random = random
        self._count = 0
        self._drain_seconds = 0.0
        self.spec: Spec | None = None
        self.active: Group | None = None
        self.target: Group | None = None
        self.leaving: list[Worker] = []
        self.failure: Failure | None = None
        self.restarts: Counter[str] = Counter()
        self.front = FrontControl(policy, random)
        self.stopping = False

    # Facts

    def restore(self, active: RevisionSpec | None, spec: Spec) -> None:
        """What the supervisor before this one left: ``active`` served, ``spec`` was asked for.

        What served is brought back with all patience, as workers that crashed; a revision that never served
        is tried as a new one.
        """
        self.spec = spec
        if active is not None and active.same_processes(spec.revision):
            self.active = self._group(spec.revision)
            return
        self.active = self._group(active) if active is not None else None
        self.target = self._group(spec.revision)

    def apply(self, spec: Spec, now: float) -> bool:
        """Makes ``spec`` what shall run.

        Returns:
            Whether anything differs from before. The same spec again is no change; the same revision with
            another generation tries a failed revision again.
        """
        if spec == self.spec or self.stopping:
            return False
        self.spec = spec
        revision = spec.revision
        if self.active is not None and revision.same_processes(self.active.revision):
            self._drop_target(now)
            self.failure = None
            self._resize(self.active, revision, now)
        elif self.target is not None and revision.same_processes(self.target.revision):
            self._resize(self.target, revision, now)
            self._promote_if_ready(now)
        else:
            self._drop_target(now)
            self.failure = None
            self.target = self._group(revision)
        return True

    def stop(self, drain_seconds: float, now: float) -> None:
        """Ends the service: requests get ``drain_seconds`` to finish."""
        if self.stopping:
            return
        self.stopping = True
        self._drain_seconds = drain_seconds
        self._drop_target(now)
        self.front.stop(drain_seconds, now)

    def worker_ready(self, name: str, mode: str, schema: Mapping[str, Any] | None, now: float) -> None:
        """``init()`` of a worker has returned."""
        worker = self._worker(name)
        if worker is None or worker.state is not WorkerState.STARTING:
            return
        worker.state = WorkerState.READY
        worker.ready_at = now
        worker.mode = mode
        worker.schema = schema
        self._succeed(worker, now)
        self._promote_if_ready(now)

    def measured(self, name: str, rss: int) -> None:
        """What a worker has in memory as ``init()`` returns."""
        worker = self._worker(name)
        if worker is not None:
            worker.ready_rss = rss

    def worker_exited(self, name: str, how: Exit, now: float) -> None:
        """A worker's process has ended, or could not be started."""
        self.leaving = [worker for worker in self.leaving if worker.id != name]
        if self._successor_exited(name, now):
            return
        slot = self._slot(name)
        if slot is None or slot.worker is None:
            return
        worker = slot.worker
        recycling.take_over(slot)
        slot.last_exit = how.summary
        if self.target is not None and slot in self.target.slots:
            self._drop_target(now)
            self.failure = how.failure
            return
        slot.restarts += 1
        self.restarts["ScoringTimeout" if worker.stuck else how.failure.code] += 1
        if worker.ready_at is not None and now - worker.ready_at >= self._policy.stable:
            slot.backoff.reset()
        if worker.stuck:
            slot.restart_at = now  # the script was slow, the process sound
            return
        slot.restart_at = now + slot.backoff.failed()
        if slot.backoff.count >= self._policy.crash_limit and not self.stopping:
            self.failure = crash_loop(how, slot.backoff.count)

    def worker_drained(self, name: str, now: float) -> None:
        """The front has nothing left to do with a worker."""
        for worker in self.leaving:
            if worker.id == name and worker.state is WorkerState.DRAINING:
                worker.drain_by = now

    def worker_stuck(self, name: str, now: float) -> list[Action]:
        """A worker exceeded the scoring timeout; it is aborted, which dumps its stacks into the log."""
        worker = self._worker(name)
        if worker is None or worker.kill_at is not None:
            return []
        worker.stuck = True
        worker.kill_at = now + self._policy.abort_grace
        return [SignalWorker(name, "ABRT")]

    def worker_lost(self, name: str, now: float) -> None:
        """The front has lost its connection to a worker, which has a moment to end by itself.

        One that lives on has answered with something that is no answer, or has lost its end of the connection.
        """
        worker = self._worker(name)
        if worker is not None and worker.kill_at is None:
            worker.lost = True
            worker.kill_at = now + self._policy.lost_grace

    def front_drops(self, now: float) -> None:
        """The front died, and with it all that was in flight: nothing is left to drain."""
        for worker in self.leaving:
            if worker.state is WorkerState.DRAINING:
                worker.drain_by = now

    # Decisions

    def plan(self, now: float) -> list[Action]:
        """What to do now; the state is changed as if it had been done."""
        actions: list[Action] = []
        if self.spec is not None:
            actions += self.front.plan(self.spec.host, self.spec.tls, now)
        if self.stopping:
            if self.front.record.state is FrontState.DOWN:
                self._dismiss_all(now)
        else:
            actions += self._starts(now)
            self._settle(now)
        for worker in self.leaving:
            if (
                worker.state is WorkerState.DRAINING
                and worker.drain_by is not None
                and worker.drain_by <= now
            ):
                worker.state = WorkerState.STOPPING
            if worker.state is WorkerState.STOPPING and worker.kill_at is None:
                worker.kill_at = now + self._policy.term_grace
                actions.append(SignalWorker(worker.id, "TERM"))
        actions += self._deadlines(now)
        if self.stopping and self.front.record.state is FrontState.DOWN and not any(self.workers()):
            actions.append(Quit())
        return actions

    def wake_at(self) -> float | None:
        """When `plan` has something to do even if no fact comes."""
        times = self.front.wake_times() if self.spec is not None else []
        for worker in self.workers():
            if worker.kill_at is not None:
                if not worker.killed:
                    times.append(worker.kill_at)
            elif worker.state is WorkerState.DRAINING and worker.drain_by is not None:
                times.append(worker.drain_by)
            elif worker.state is WorkerState.STARTING:
                times.append(worker.started_at + worker.revision.init_deadline_seconds)
        if not self.stopping:
            times += self._slot_times()
        return min(times, default=None)

    def workers(self) -> Iterator[Worker]:
        """All processes there are."""
        for slot in self._slots():
            for worker in (slot.worker, slot.successor):
                if worker is not None:
                    yield worker
        yield from self.leaving

    # Inside

    def _group(self, revision: RevisionSpec) -> Group:
        return Group(revision, [Slot(Backoff(self._random)) for _ in range(revision.workers)])

    def _slots(self) -> Iterator[Slot]:
        for group in (self.active, self.target):
            if group is not None:
                yield from group.slots

    def _slot(self, name: str) -> Slot | None:
        return next(
            (slot for slot in self._slots() if slot.worker is not None and slot.worker.id == name), None
        )

    def _worker(self, name: str) -> Worker | None:
        return next((worker for worker in self.workers() if worker.id == name), None)

    def _dismiss(self, slots: list[Slot], now: float) -> None:
        """Moves the workers of ``slots`` to those leaving; ready ones may finish what they have."""
        for slot in slots:
            serves = self.active is not None and slot in self.active.slots
            for worker in (recycling.take_over(slot), recycling.take_over(slot)):
                if worker is not None:
                    self._leave(worker, serves, now)

    def _leave(self, worker: Worker, serves: bool, now: float) -> None:
        ready = worker.state is WorkerState.READY
        if ready and serves and self.spec is not None and not self.stopping:
            worker.state = WorkerState.DRAINING
            worker.drain_by = now + self.spec.scoring_timeout_ms / 1000 + self._policy.drain_extra
        else:
            worker.state = WorkerState.STOPPING
        self.leaving.append(worker)

    def _slot_times(self) -> Iterator[float]:
        """When a slot's worker starts, has recovered, or is replaced."""
        for slot in self._slots():
            if slot.worker is None:
                yield slot.restart_at
            elif slot.worker.ready_at is not None and slot.backoff.count:
                yield slot.worker.ready_at + self._policy.stable
        grown = self._grown()
        if grown is not None:
            yield grown.restart_at

    def _grown(self) -> Slot | None:
        return recycling.due(self.active) if self.active is not None and self.target is None else None

    def _succeed(self, worker: Worker, now: float) -> None:
        """A successor that is ready takes its place."""
        slot = next((slot for slot in self._slots() if slot.successor is worker), None)
        old = recycling.take_over(slot) if slot is not None else None
        if slot is None or old is None:
            return
        slot.restarts += 1
        slot.last_exit = recycling.said(old)
        self.restarts[recycling.CAUSE] += 1
        self._leave(old, True, now)

    def _successor_exited(self, name: str, now: float) -> bool:
        """Whether it was one; the worker that it was to replace goes on."""
        for slot in self._slots():
            if slot.successor is not None and slot.successor.id == name:
                slot.successor = None
                slot.restart_at = now + recycling.PAUSE_SECONDS
                return True
        return False

    def _dismiss_all(self, now: float) -> None:
        for group in (self.active, self.target):
            if group is not None:
                self._dismiss(group.slots, now)
        for worker in self.leaving:
            worker.state = WorkerState.STOPPING

    def _drop_target(self, now: float) -> None:
        if self.target is not None:
            self._dismiss(self.target.slots, now)
            self.target = None

    def _resize(self, group: Group, revision: RevisionSpec, now: float) -> None:
        surplus = group.slots[revision.workers :]
        self._dismiss(surplus, now)
        missing = revision.workers - len(group.slots)
        group.slots = group.slots[: revision.workers]
        group.slots += self._group(replace(revision, workers=max(missing, 0))).slots
        group.revision = revision
        for slot in group.slots:
            for worker in (slot.worker, slot.successor):
                if worker is not None:
                    worker.revision = revision

    def _promote_if_ready(self, now: float) -> None:
        if self.target is None or not self.target.ready:
            return
        if self.active is not None:
            self._dismiss(self.active.slots, now)
        self.active, self.target = self.target, None
        self.failure = None

    def _starts(self, now: float) -> list[Action]:
        actions: list[Action] = []
        for group in (self.active, self.target):
            for slot in group.slots if group is not None else ():
                if group is None or slot.worker is not None or slot.restart_at > now:
                    continue
                slot.worker = self._new_worker(group, now)
                actions.append(StartWorker(slot.worker))
        grown = self._grown()
        if self.active is not None and grown is not None and grown.restart_at <= now:
            grown.successor = self._new_worker(self.active, now)
            actions.append(StartWorker(grown.successor))
        return actions

    def _new_worker(self, group: Group, now: float) -> Worker:
        self._count += 1
        return Worker(f"w{self._count}", group.revision, now)

    def _deadlines(self, now: float) -> list[Action]:
        actions: list[Action] = []
        for worker in self.workers():
            if worker.kill_at is not None:
                if worker.kill_at <= now and not worker.killed:
                    worker.killed = True
                    actions.append(SignalWorker(worker.id, "KILL"))
            elif init_overdue(worker, now):
                worker.timed_out = True
                worker.kill_at = now + self._policy.abort_grace
                actions.append(SignalWorker(worker.id, "ABRT"))
        return actions

    def _settle(self, now: float) -> None:
        """Forgets the crashes of workers that have been well for long enough."""
        if self.active is None:
            return
        for slot in self.active.slots:
            ready_at = slot.worker.ready_at if slot.worker is not None else None
            if ready_at is not None and ready_at + self._policy.stable <= now:
                slot.backoff.reset()
        recovered = self.active.ready and not any(slot.backoff.count for slot in self.active.slots)
        if recovered and self.failure is not None and self.failure.phase == "Run":
            self.failure = None
