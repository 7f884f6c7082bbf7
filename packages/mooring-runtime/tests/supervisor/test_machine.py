from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mooring_runtime.supervisor import recycling, status
from mooring_runtime.supervisor.failure import Failure
from mooring_runtime.supervisor.machine import Machine
from mooring_runtime.supervisor.model import (
    Action,
    Exit,
    FrontState,
    KillFront,
    Policy,
    Quit,
    SignalWorker,
    StartFront,
    StartWorker,
    StopFront,
    Worker,
    WorkerState,
)
from mooring_runtime.supervisor.spec import RevisionSpec, Spec

POLICY = Policy()


def revision(name: str = "1", workers: int = 1) -> RevisionSpec:
    return RevisionSpec(name, "python", "/worker", "/app", "score.py", workers=workers)


def spec(name: str = "1", workers: int = 1, **fields: object) -> Spec:
    return replace(Spec("svc", revision(name, workers)), **fields)  # type: ignore[arg-type]


def died(code: str = "InitExited", phase: str = "Init") -> Exit:
    return Exit("exit status 1", Failure(code, phase, "it died", revision="1"))


def machine() -> Machine:
    made = Machine(POLICY, Random(1))
    made.front.port = 1234
    return made


def started(actions: list[Action]) -> list[str]:
    return [action.worker.id for action in actions if isinstance(action, StartWorker)]


def signals(actions: list[Action]) -> list[tuple[str, str]]:
    return [(action.worker, action.signal) for action in actions if isinstance(action, SignalWorker)]


def serving(workers: int = 1, now: float = 0.0) -> tuple[Machine, list[str]]:
    """A machine whose first revision is ready."""
    made = machine()
    made.apply(spec(workers=workers), now)
    names = started(made.plan(now))
    made.front.listening(now)
    for name in names:
        made.worker_ready(name, "text", None, now)
    assert made.plan(now) == []
    assert status.phase(made) == "Ready"
    return made, names


def dispatched(made: Machine) -> list[tuple[str, bool]]:
    sync = status.front_sync(made)
    assert sync is not None
    return [(worker["id"], worker["drain"]) for worker in sync["workers"]]


def test_first_apply_starts_front_and_workers() -> None:
    made = machine()
    made.apply(spec(workers=2), 0)
    actions = made.plan(0)
    assert StartFront("127.0.0.1", 1234, None) in actions
    assert started(actions) == ["w1", "w2"]
    assert status.phase(made) == "Starting"
    made.worker_ready("w1", "text", None, 1)
    assert made.active is None
    assert dispatched(made) == []
    made.worker_ready("w2", "text", None, 1)
    assert status.active_revision(made) == "1"
    assert dispatched(made) == [("w1", False), ("w2", False)]


def test_a_switch_drains_the_old_workers() -> None:
    made, (old,) = serving()
    made.apply(spec("2"), 1)
    (new,) = started(made.plan(1))
    assert status.phase(made) == "Switching"
    assert dispatched(made) == [(old, False)]
    made.worker_ready(new, "text", None, 2)
    assert dispatched(made) == [(new, False), (old, True)]
    assert made.plan(2) == []
    made.worker_drained(old, 3)
    assert signals(made.plan(3)) == [(old, "TERM")]
    assert signals(made.plan(3 + POLICY.term_grace)) == [(old, "KILL")]
    made.worker_exited(old, died(), 9)
    assert made.leaving == []
    assert status.phase(made) == "Ready"


def test_draining_ends_even_if_the_front_says_nothing() -> None:
    made, (old,) = serving()
    made.apply(spec("2", scoring_timeout_ms=1000), 1)
    made.worker_ready(started(made.plan(1))[0], "text", None, 2)
    assert made.wake_at() == 2 + 1 + POLICY.drain_extra
    assert signals(made.plan(2 + 1 + POLICY.drain_extra)) == [(old, "TERM")]


def test_a_failing_target_goes_whole_and_the_active_stays() -> None:
    made, (old,) = serving()
    made.apply(spec("2", workers=2), 1)
    first, second = started(made.plan(1))
    made.worker_exited(first, died(), 2)
    assert status.phase(made) == "Failed"
    assert signals(made.plan(2)) == [(second, "TERM")]
    assert dispatched(made) == [(old, False)]
    assert started(made.plan(1000)) == []
    made.worker_ready(second, "text", None, 3)  # too late
    assert status.active_revision(made) == "1"


def test_a_failed_revision_is_tried_again_with_a_new_generation_only() -> None:
    made = machine()
    made.apply(spec(), 0)
    made.worker_exited(started(made.plan(0))[0], died(), 1)
    assert not made.apply(spec(), 2)
    assert made.failure is not None
    assert made.apply(spec(generation=2), 2)
    assert made.failure is None
    assert started(made.plan(2)) == ["w2"]


def test_an_init_that_takes_too_long() -> None:
    made = machine()
    made.apply(spec(), 0)
    (name,) = started(made.plan(0))
    made.front.listening(0)
    assert made.wake_at() == 300
    assert signals(made.plan(299.9)) == []
    assert signals(made.plan(300)) == [(name, "ABRT")]
    assert [worker.timed_out for worker in made.workers()] == [True]
    assert signals(made.plan(301)) == []
    assert signals(made.plan(300 + POLICY.abort_grace)) == [(name, "KILL")]


def test_a_dead_worker_is_replaced_with_back_off_until_it_was_stable() -> None:
    made, (name,) = serving()
    now = 1.0
    delays = []
    for _ in range(4):
        made.worker_exited(name, died(), now)
        assert status.phase(made) == "Degraded"
        wake = made.wake_at()
        assert wake is not None
        delays.append(wake - now)
        assert started(made.plan(wake - 0.001)) == []
        now = wake
        (name,) = started(made.plan(now))
        made.worker_ready(name, "text", None, now)
    for number, delay in enumerate(delays):
        assert 0.05 * 2**number <= delay <= 0.1 * 2**number
    now += POLICY.stable
    made.plan(now)
    made.worker_exited(name, died(), now)
    wake = made.wake_at()
    assert wake is not None
    assert wake - now <= 0.1


def test_a_crash_loop_is_a_failure_until_it_recovers() -> None:
    made, (name,) = serving()
    now = 1.0
    for _ in range(POLICY.crash_limit):
        made.worker_exited(name, died("WorkerCrashLoop", "Run"), now)
        now = made.wake_at() or now
        (name,) = started(made.plan(now))
    assert made.failure is not None
    assert made.failure.code == "WorkerCrashLoop"
    assert "it died" in made.failure.message
    assert status.phase(made) == "Failed"
    made.worker_ready(name, "text", None, now)
    assert made.wake_at() == now + POLICY.stable
    made.plan(now + POLICY.stable)
    assert status.phase(made) == "Ready"


def test_running_out_of_memory_again_and_again_keeps_its_code() -> None:
    made, (name,) = serving()
    now = 1.0
    for _ in range(POLICY.crash_limit):
        made.worker_exited(name, died("OutOfMemory", "Run"), now)
        now = made.wake_at() or now
        (name,) = started(made.plan(now))
    assert made.failure is not None
    assert made.failure.code == "OutOfMemory"


def test_a_stuck_worker_is_replaced_at_once() -> None:
    made, (first, second) = serving(2)
    assert made.worker_stuck(first, 1) == [SignalWorker(first, "ABRT")]
    assert made.worker_stuck(first, 1) == []
    assert dispatched(made) == [(second, False)]
    assert signals(made.plan(1 + POLICY.abort_grace)) == [(first, "KILL")]
    made.worker_exited(first, died(), 4)
    assert started(made.plan(4)) == ["w3"]


def test_a_worker_without_a_connection_ends_by_itself_or_is_killed() -> None:
    made, (first, second) = serving(2)
    made.worker_lost(first, 1)
    made.worker_lost(first, 1.1)
    assert dispatched(made) == [(second, False)]
    assert signals(made.plan(1)) == []
    assert made.wake_at() == 1 + POLICY.lost_grace
    assert signals(made.plan(1 + POLICY.lost_grace)) == [(first, "KILL")]
    made.worker_lost(second, 2)
    made.worker_exited(second, died(), 2)
    assert started(made.plan(made.wake_at() or 2)) == ["w3"]


def test_scaling() -> None:
    made, (first,) = serving()
    made.apply(spec(workers=3), 1)
    assert started(made.plan(1)) == ["w2", "w3"]
    assert status.phase(made) == "Switching"
    assert dispatched(made) == [(first, False)]
    made.worker_ready("w2", "text", None, 2)
    made.worker_ready("w3", "text", None, 2)
    assert status.phase(made) == "Ready"
    made.apply(spec(workers=1), 3)
    assert dispatched(made) == [(first, False), ("w2", True), ("w3", True)]


def test_keys_only() -> None:
    made, _ = serving()
    assert made.apply(spec(auth_keys=("k",)), 1)
    assert made.plan(1) == []
    sync = status.front_sync(made)
    assert sync is not None
    assert sync["auth_keys"] == ["k"]


def test_an_unknown_worker_is_of_no_interest() -> None:
    made, _ = serving()
    made.worker_exited("w99", died(), 1)
    made.worker_ready("w99", "text", None, 1)
    made.worker_drained("w99", 1)
    assert made.worker_stuck("w99", 1) == []
    made.worker_lost("w99", 1)
    assert status.phase(made) == "Ready"


def test_restore_brings_both_back() -> None:
    made = machine()
    made.restore(revision("1"), spec("2"))
    assert started(made.plan(0)) == ["w1", "w2"]
    made.worker_exited("w2", died(), 1)
    made.worker_exited("w1", died(), 1)
    assert started(made.plan(2)) == ["w3"]
    made.worker_ready("w3", "text", None, 3)
    assert status.active_revision(made) == "1"
    assert status.phase(made) == "Failed"


def test_restore_of_what_served_does_not_give_up() -> None:
    made = machine()
    made.restore(revision("1"), spec("1"))
    (name,) = started(made.plan(0))
    assert status.phase(made) == "Starting"
    made.worker_exited(name, died(), 1)
    assert started(made.plan(2)) == ["w2"]


def test_stop_ends_the_front_then_the_workers() -> None:
    made, (name,) = serving()
    made.stop(5, 1)
    assert made.plan(1) == [StopFront(5)]
    assert made.plan(2) == []
    made.front.exited("exit status 0", "", 3)
    assert signals(made.plan(3)) == [(name, "TERM")]
    made.worker_exited(name, died(), 4)
    assert made.plan(4) == [Quit()]


def test_stop_kills_what_does_not_end() -> None:
    made, (name,) = serving()
    made.stop(5, 0)
    made.plan(0)
    assert made.plan(5 + POLICY.term_grace) == [KillFront()]
    made.front.exited("signal 9 (SIGKILL)", "", 10)
    made.plan(10)
    assert signals(made.plan(10 + POLICY.term_grace)) == [(name, "KILL")]


def test_stop_without_a_spec() -> None:
    made = machine()
    made.stop(5, 0)
    assert made.plan(0) == [Quit()]


def test_a_dead_front_is_replaced() -> None:
    made, _ = serving()
    made.front.exited("signal 9 (SIGKILL)", "", 1)
    assert status.phase(made) == "Degraded"
    assert made.plan(1) == []
    assert made.plan(1.1) == [StartFront("127.0.0.1", 1234, None)]
    made.front.listening(2)
    assert status.phase(made) == "Ready"


def test_a_front_crash_loop() -> None:
    made, _ = serving()
    now = 1.0
    for _ in range(POLICY.crash_limit):
        made.front.exited("exit status 1", "last words", now)
        now += 60
        made.plan(now)
    failure = status.failure(made)
    assert failure is not None
    assert failure.code == "FrontCrashLoop"
    assert failure.evidence["log"] == "last words"
    made.front.listening(now)
    assert status.failure(made) is None


def test_a_front_that_never_listens() -> None:
    made = machine()
    made.apply(spec(), 0)
    made.plan(0)
    assert made.wake_at() == POLICY.front_start
    assert made.plan(POLICY.front_start) == [KillFront()]
    assert made.plan(POLICY.front_start + 1) == []


def test_a_front_that_cannot_bind() -> None:
    made, _ = serving()
    made.front.failed("address in use")
    made.front.exited("exit status 1", "", 1)
    failure = status.failure(made)
    assert failure is not None
    assert failure.code == "PortUnavailable"
    assert "address in use" in failure.message


def test_another_port_moves_the_front() -> None:
    made, _ = serving()
    made.front.port = 4321
    assert made.plan(1) == [StopFront(0.0)]
    made.front.exited("exit status 0", "", 2)
    assert made.plan(2) == [StartFront("127.0.0.1", 4321, None)]
    assert made.front.record.restarts == 0


def test_a_dead_front_has_nothing_to_drain() -> None:
    made, (old,) = serving()
    made.apply(spec("2"), 1)
    made.worker_ready(started(made.plan(1))[0], "text", None, 2)
    made.front_drops(3)
    assert signals(made.plan(3)) == [(old, "TERM")]


def test_a_worker_that_has_grown_is_replaced_first_and_drained_then() -> None:
    made, (first, second) = serving(workers=2)
    for worker in made.workers():
        worker.grown_to = 1 << 30
    (successor,) = started(made.plan(1.0))
    assert made.plan(1.5) == []  # one at a time
    assert dispatched(made) == [(first, False), (second, False)]
    made.worker_ready(successor, "text", None, 2.0)
    (other,) = started(made.plan(2.0))
    assert dispatched(made) == [(successor, False), (second, False), (first, True)]
    assert status.phase(made) == "Ready"
    made.worker_drained(first, 2.5)
    assert signals(made.plan(2.5)) == [(first, "TERM")]
    made.worker_ready(other, "text", None, 3.0)
    assert made.plan(3.0) == []
    assert made.restarts == {"MemoryGrowth": 2}
    assert [slot.restarts for slot in made.active.slots] == [1, 1] if made.active is not None else False


def test_a_replacement_that_does_not_come_up_changes_nothing() -> None:
    made, (first,) = serving()
    next(made.workers()).grown_to = 1 << 30
    (successor,) = started(made.plan(1.0))
    made.worker_exited(successor, died(), 2.0)
    assert made.plan(2.0) == []
    assert dispatched(made) == [(first, False)]
    assert made.failure is None
    again = made.wake_at()
    assert again is not None
    (second,) = started(made.plan(again))
    # The one that had grown dies itself: the replacement is what its slot waits for.
    made.worker_exited(first, died("OutOfMemory", "Run"), again)
    assert started(made.plan(again + 1)) == []
    made.worker_ready(second, "text", None, again + 2)
    assert dispatched(made) == [(second, False)]
    assert made.restarts == {"OutOfMemory": 1}


def test_when_a_worker_has_grown() -> None:
    limited = replace(revision(), env={"MOORING_WORKER_MAX_RSS": "100"})
    worker = Worker("w1", limited, 0.0, WorkerState.READY, ready_at=5.0, ready_rss=50 << 20)
    assert not recycling.has_grown(worker, 100 << 20, 20.0)
    assert recycling.has_grown(worker, (100 << 20) + 1, 20.0)
    assert not recycling.has_grown(worker, 200 << 20, 9.0)  # it has served for less than it took to start
    worker.ready_rss = 101 << 20
    assert not recycling.has_grown(worker, 200 << 20, 20.0)


class Life(RuleBasedStateMachine):
    """Whatever happens in whatever order, and then left alone, the last revision that can serve serves."""

    @initialize()
    def begin(self) -> None:
        self.machine = machine()
        self.now = 0.0
        self.alive: dict[str, str] = {}
        self.front = False
        self.broken: set[str] = set()
        self.good: set[str] = set()
        self.quit = False
        self.perform()

    def perform(self) -> None:
        for _ in range(50):
            actions = self.machine.plan(self.now)
            if not actions:
                return
            for action in actions:
                if isinstance(action, StartWorker):
                    assert action.worker.id not in self.alive
                    self.alive[action.worker.id] = action.worker.revision.id
                elif isinstance(action, SignalWorker):
                    assert action.worker in self.alive
                    if action.signal != "ABRT":
                        self.end(action.worker)
                elif isinstance(action, StartFront):
                    assert not self.front
                    self.front = True
                elif isinstance(action, (StopFront, KillFront)):
                    self.front = False
                    self.machine.front.exited("exit status 0", "", self.now)
                elif isinstance(action, Quit):
                    assert not self.alive
                    self.quit = True
                    return
        raise AssertionError("plan never comes to rest")

    def end(self, name: str) -> None:
        del self.alive[name]
        self.machine.worker_exited(name, died(), self.now)

    @rule(name=st.sampled_from("abc"), workers=st.integers(1, 3), broken=st.booleans())
    def apply(self, name: str, workers: int, broken: bool) -> None:
        if broken:
            # What was good stays good: its workers are not started anew just because it is asked for again.
            self.broken |= {name} - self.good
        else:
            self.broken.discard(name)
            self.good.add(name)
        generation = self.machine.spec.generation + 1 if self.machine.spec else 1
        self.machine.apply(spec(name, workers, generation=generation), self.now)
        self.perform()

    @rule(pick=st.integers(0, 10))
    def advance_a_worker(self, pick: int) -> None:
        starting = [
            w for w in self.machine.workers() if w.state is WorkerState.STARTING and w.id in self.alive
        ]
        if starting:
            worker = starting[pick % len(starting)]
            if worker.revision.id in self.broken:
                self.end(worker.id)
            else:
                self.machine.worker_ready(worker.id, "text", None, self.now)
            self.perform()

    @rule(pick=st.integers(0, 10))
    def kill_a_worker(self, pick: int) -> None:
        if self.alive:
            self.end(sorted(self.alive)[pick % len(self.alive)])
            self.perform()

    @rule(pick=st.integers(0, 10))
    def a_worker_hangs(self, pick: int) -> None:
        if self.alive:
            for action in self.machine.worker_stuck(sorted(self.alive)[pick % len(self.alive)], self.now):
                assert isinstance(action, SignalWorker)
                self.end(action.worker)
            self.perform()

    @rule(pick=st.integers(0, 10))
    def a_worker_grows(self, pick: int) -> None:
        ready = [worker for worker in self.machine.workers() if worker.state is WorkerState.READY]
        if ready:
            ready[pick % len(ready)].grown_to = 1 << 30

    @rule(pick=st.integers(0, 10), ends=st.booleans())
    def a_connection_is_lost(self, pick: int, ends: bool) -> None:
        if self.alive:
            name = sorted(self.alive)[pick % len(self.alive)]
            self.machine.worker_lost(name, self.now)
            if ends:
                self.end(name)
            self.perform()

    @rule()
    def drain(self) -> None:
        for worker in list(self.machine.leaving):
            self.machine.worker_drained(worker.id, self.now)
        self.perform()

    @rule()
    def kill_the_front(self) -> None:
        if self.front:
            self.front = False
            self.machine.front.exited("signal 9 (SIGKILL)", "", self.now)
            self.machine.front_drops(self.now)
            self.perform()

    @rule(seconds=st.sampled_from([0.05, 1.0, 60.0, 400.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.perform()

    @rule()
    def stop(self) -> None:
        self.machine.stop(1, self.now)
        self.perform()

    @invariant()
    def known(self) -> None:
        if not hasattr(self, "machine"):
            return
        assert {worker.id for worker in self.machine.workers()} == set(self.alive)
        for name, drain in dispatched(self.machine) if self.machine.spec else ():
            worker = next(w for w in self.machine.workers() if w.id == name)
            assert worker.state is (WorkerState.DRAINING if drain else WorkerState.READY)
        wake = self.machine.wake_at()
        assert wake is None or wake > self.now or self.quit

    def teardown(self) -> None:
        """Left alone, it comes to rest in the state that was asked for."""
        if not hasattr(self, "machine"):
            return
        for _ in range(200):
            self.now += 31
            if self.front and self.machine.front.record.state is FrontState.STARTING:
                self.machine.front.listening(self.now)
            for pick in range(len(self.alive)):
                self.advance_a_worker(pick)
            self.drain()
        if self.machine.stopping:
            assert self.quit
            return
        wanted = self.machine.spec
        if wanted is None:
            return
        if wanted.revision.id not in self.broken:
            if self.machine.failure is None:
                assert status.phase(self.machine) == "Ready"
                assert len(self.alive) == wanted.revision.workers
        else:
            assert status.phase(self.machine) == "Failed"


Life.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestLife = Life.TestCase


@given(st.integers(0, 60))
def test_back_off_stays_in_its_bounds(failures: int) -> None:
    from mooring_runtime.supervisor.backoff import Backoff

    backoff = Backoff(Random(failures))
    for _ in range(failures):
        assert 0.05 <= backoff.failed() <= 30
    backoff.reset()
    assert backoff.failed() <= 0.1
