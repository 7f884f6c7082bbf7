"""The life of an operation, driven by every sequence of events hypothesis can think of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_server.domain.errors import MooringError, PhaseFailed
from mooring_server.domain.lifecycle import (
    PHASE_DEADLINES,
    PLANS,
    WAITING_DEADLINE,
    IllegalTransition,
    OperationState,
    Progress,
)

ERROR = PhaseFailed("InitRaised", "init() raised", phase="Init")


def states(progress: Progress) -> list[str]:
    return [p.state for p in progress.phases]


def test_the_ordinary_way() -> None:
    progress = Progress.plan("BuildAndDeploy")
    assert progress.state is OperationState.NOT_STARTED
    for at, phase in enumerate(PLANS["BuildAndDeploy"]):
        progress = progress.enter(phase, at, f"doing {phase}")
        assert progress.current is not None
        assert progress.current.name == phase
        assert progress.state is OperationState.RUNNING
    progress = progress.succeed(9)
    assert progress.state is OperationState.SUCCEEDED
    assert states(progress) == ["Succeeded"] * len(PLANS["BuildAndDeploy"])
    assert progress.phases[-1].ended == 9


def test_phases_that_were_not_needed_are_skipped() -> None:
    progress = Progress.plan("BuildAndDeploy").enter("Unpack", 1)
    assert states(progress) == ["Skipped", "Skipped", "Skipped", "Running", "Pending", "Pending"]


def test_phases_that_will_not_be_are_not_there() -> None:
    progress = Progress.plan("CreateImage", without=("Push",))
    assert [phase.name for phase in progress.phases] == ["Resolve", "Build"]


def test_a_reconciler_that_starts_over_changes_nothing() -> None:
    progress = Progress.plan("Deploy").enter("Unpack", 1).enter("Start", 2)
    assert progress.enter("Start", 3) == progress
    assert progress.enter("Unpack", 4) == progress


def test_failure_keeps_the_phase_and_the_reason() -> None:
    progress = Progress.plan("Deploy").enter("Init", 1).fail(ERROR, 2)
    assert progress.state is OperationState.FAILED
    assert states(progress) == ["Skipped", "Skipped", "Failed"]
    assert progress.error is not None
    assert progress.error["code"] == "InitRaised"


def test_a_phase_past_its_deadline_ends_the_operation() -> None:
    progress = Progress.plan("Deploy").enter("Start", 100)
    assert progress.expire(PHASE_DEADLINES["Start"] - 1, 10**9) is None
    expired = progress.expire(PHASE_DEADLINES["Start"], 0)
    assert expired is not None
    assert expired.state is OperationState.TIMED_OUT
    assert expired.error is not None
    assert expired.error["phase"] == "Start"


def test_an_operation_does_not_wait_for_ever_to_begin() -> None:
    waiting = Progress.plan("BuildAndDeploy")
    assert waiting.expire(WAITING_DEADLINE - 1, 0) is None
    expired = waiting.expire(WAITING_DEADLINE, 0)
    assert expired is not None
    assert (expired.state, states(expired)) == (OperationState.TIMED_OUT, ["Skipped"] * len(waiting.phases))
    assert expired.error is not None
    assert (expired.error["code"], expired.error["phase"]) == ("PhaseTimeout", "Resolve")


EVENTS = st.one_of(
    st.sampled_from([p for plan in PLANS.values() for p in plan]),
    st.sampled_from(["!succeed", "!fail", "!cancel", "!expire"]),
)


@given(st.sampled_from(sorted(PLANS)), st.lists(EVENTS, max_size=12))
def test_any_events_leave_a_legal_state(plan: str, events: list[str]) -> None:
    progress = Progress.plan(plan)
    for now, event in enumerate(events, 1):
        before = progress
        try:
            if event == "!succeed":
                progress = progress.succeed(now)
            elif event == "!fail":
                progress = progress.fail(ERROR, now)
            elif event == "!cancel":
                progress = progress.cancel(MooringError("Superseded", "newer"), now)
            elif event == "!expire":
                progress = progress.expire(10_000, now) or progress
            else:
                progress = progress.enter(event, now)
        except IllegalTransition:
            assert before.state.ended
            continue
        running = [p for p in progress.phases if p.state == "Running"]
        assert len(running) <= 1
        assert all(p.deadline_seconds > 0 for p in progress.phases)
        if progress.state.ended:
            assert not running
            assert "Pending" not in states(progress)
        ends = [p.ended for p in progress.phases if p.ended is not None]
        assert ends == sorted(ends)


@pytest.mark.parametrize("event", ["succeed", "fail", "cancel", "enter"])
def test_nothing_follows_the_end(event: str) -> None:
    ended = Progress.plan("Delete").enter("Delete", 1).succeed(2)
    with pytest.raises(IllegalTransition):
        {
            "succeed": lambda: ended.succeed(3),
            "fail": lambda: ended.fail(ERROR, 3),
            "cancel": lambda: ended.cancel(ERROR, 3),
            "enter": lambda: ended.enter("Delete", 3),
        }[event]()
    assert ended.expire(10**9, 10**9) is None
