from __future__ import annotations

from typing import Any

import pytest

from azureml.exceptions import WebserviceException
from mooring.sdk.operations import PhasePrinter, failure, follow, seconds


def phase(
    name: str, state: str, start: int | None = None, end: int | None = None, detail: str = ""
) -> dict[str, Any]:
    def time(second: int | None) -> str | None:
        return None if second is None else f"2026-01-01T00:00:{second:02d}Z"

    return {"name": name, "state": state, "startedTime": time(start), "endTime": time(end), "detail": detail}


ZERO = seconds("2026-01-01T00:00:00Z") or 0


class Shown:
    def __init__(self) -> None:
        self.text = ""
        self.printer = PhasePrinter(self.write)

    def write(self, text: str, end: str) -> None:
        self.text += text + end

    def feed(self, *phases: dict[str, Any], log: Any = (), at: float = 0) -> str:
        before = self.text
        self.printer.feed({"phases": list(phases), "log": list(log)}, ZERO + at)
        return self.text[len(before) :]


def test_phases_as_they_happen() -> None:
    shown = Shown()
    assert shown.feed(phase("Resolve", "Running", 0), phase("Build", "Pending")) == "Resolve ..."
    assert (
        shown.feed(phase("Resolve", "Succeeded", 0, 2), phase("Build", "Running", 2), at=2)
        == " 2.0 s\nBuild ..."
    )
    done = phase("Build", "Succeeded", 2, 3, "7 packages")
    assert shown.feed(phase("Resolve", "Succeeded", 0, 2), done) == " 1.0 s (7 packages)\n"
    assert shown.feed(phase("Resolve", "Succeeded", 0, 2), done) == ""


def test_log_lines_only_of_phases_that_take_long() -> None:
    shown = Shown()
    line = {"seq": 1, "phase": "Build", "message": "compiling"}
    assert shown.feed(phase("Build", "Running", 0), log=[line], at=1) == "Build ..."
    assert shown.feed(phase("Build", "Running", 0), log=[line], at=9) == "\n  compiling\n"
    assert shown.feed(phase("Build", "Failed", 0, 10), at=10) == "Build ... 10.0 s Failed\n"


def test_phases_that_were_over_before_the_first_look() -> None:
    shown = Shown()
    text = shown.feed(phase("A", "Succeeded", 0, 1), phase("B", "Skipped"), phase("C", "Running", 1), at=1)
    assert text == "A ... 1.0 s\nC ..."
    shown.printer.close()
    assert shown.text.endswith("C ...\n")


def test_a_long_phase_says_how_long_it_may_take() -> None:
    shown = Shown()

    def init(elapsed: float, state: str = "Running") -> dict[str, Any]:
        return {**phase("Init", state, 0), "elapsedSeconds": elapsed, "deadlineSeconds": 300}

    assert shown.feed(init(1)) == "Init ..."
    assert shown.feed(init(12.3)) == " 12 s of at most 300 s\n"
    assert shown.feed(init(20)) == ""
    assert shown.feed(init(25)) == "Init ... 25 s of at most 300 s\n"
    assert shown.feed(init(31, "Succeeded")) == "Init ... 31.0 s\n"


def test_clocks_that_differ_do_not_matter() -> None:
    shown = Shown()
    running = {**phase("Init", "Running", 0), "elapsedSeconds": 1, "deadlineSeconds": 300}
    assert shown.feed(running, log=[{"phase": "Init", "message": "x"}], at=-7200) == "Init ..."
    assert shown.feed(phase("Init", "Succeeded", 5, 3)) == " 0.0 s\n"


class Server:
    """Answers `operation` from a list; each call shows the cursor it came with."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.cursors: list[int] = []

    def operation(self, operation_id: str, after: int, wait: int) -> dict[str, Any]:
        assert operation_id == "op"
        assert 0 <= wait <= 30
        self.cursors.append(after)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return dict(answer)


RUNNING = {"state": "Running", "phases": [phase("Init", "Running", 0)], "log": [{"seq": 4, "phase": "Init"}]}


def test_follow_until_the_end() -> None:
    server = Server(RUNNING, RUNNING, {"state": "Succeeded"})
    assert follow(server, "op")["state"] == "Succeeded"  # type: ignore[arg-type]
    assert server.cursors == [0, 4, 4]


def test_waiting_ends_and_the_operation_goes_on() -> None:
    with pytest.raises(WebserviceException) as caught:
        follow(Server(RUNNING), "op", timeout_seconds=0, look="mooring x")  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.phase) == ("DeploymentTimeout", "Init")
    assert "mooring x" in caught.value.hint


def test_ctrl_c_says_how_to_look_at_it(capsys: pytest.CaptureFixture[str]) -> None:
    server = Server(RUNNING, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        follow(server, "op", show_output=True, look="mooring service show -n svc")  # type: ignore[arg-type]
    captured = capsys.readouterr()
    assert captured.out.startswith("Init ...")
    assert captured.out.endswith("\n")
    assert "goes on" in captured.err
    assert "mooring service show -n svc" in captured.err


def test_failures_carry_everything() -> None:
    error = {
        "code": "InitRaised",
        "phase": "Init",
        "message": "init() raised",
        "evidence": {"traceback": "tb"},
    }
    exc = failure({"state": "Failed", "error": error}, "Deployment of svc")
    assert isinstance(exc, WebserviceException)
    assert str(exc).startswith("Deployment of svc failed: init() raised")
    assert exc.evidence == {"traceback": "tb"}
    assert "timed out" in str(failure({"state": "TimedOut"}, "D"))
    assert "was cancelled" in str(failure({"state": "Cancelled"}, "D"))
