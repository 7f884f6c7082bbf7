"""``MOORING_LOG_FORMAT=json``: whose line is it?"""

from __future__ import annotations

import json
import re
import threading
from typing import Any

import pytest

from mooring_runtime.supervisor.failure import SupervisorError
from mooring_runtime.testing import Service, until

SCORE = r"""
import ctypes, logging, os, sys
libc = ctypes.CDLL(None)
logging.basicConfig(level=logging.INFO)

def init():
    print("init prints")

def run(data):
    if data == "print":
        print("one\ntwo"); print("to stderr", file=sys.stderr)
    if data == "half a line":
        print("no end", end="")
    if data == "native":
        os.write(1, b"native line\n"); libc.write(2, b"from C\n", 7)
    if data == "log":
        logging.getLogger("mine").info("hello %s", "there")
        try:
            1 / 0
        except ZeroDivisionError:
            logging.exception("caught")
    if data == "raise":
        raise ValueError("wrong")
    if data == "segfault":
        ctypes.string_at(0)
    if data == "sign":
        print("\x1e{not ours}"); print("\x1e[1]")
    if data == "million":
        for number in range(1_000_000):
            print(number)
    if data.startswith("many "):
        for _ in range(20):
            print(data)
    return data
"""
JSON = {"MOORING_LOG_FORMAT": "json"}


def records(service: Service) -> list[dict[str, Any]]:
    return [json.loads(line) for line in service.log("worker").splitlines()]


def of(service: Service, request: str, count: int) -> list[dict[str, Any]]:
    """The records of a request once there are so many."""

    def found() -> list[dict[str, Any]]:
        mine = [record for record in records(service) if record["request_id"] == request]
        return mine if len(mine) >= count else []

    try:
        seen: list[dict[str, Any]] = until(found, f"{count} records of {request}")
    except AssertionError as exc:
        raise AssertionError(service.log("worker")) from exc
    return seen


def said(service: Service, what: str, count: int) -> list[dict[str, Any]]:
    """The records of one request; the next begins when they are written, for a line read between two is nobody's."""
    service.post(what.encode(), x_ms_request_id=f"id {what}")
    return of(service, f"id {what}", count)


def test_each_line_has_its_request(service: Service) -> None:
    service.apply(SCORE, env=JSON)
    service.ready()
    printed = said(service, "print", 3)
    assert {(r["stream"], r["message"]) for r in printed} == {
        ("stdout", "one"),
        ("stdout", "two"),
        ("stderr", "to stderr"),
    }
    assert {(r["worker"], r["revision"]) for r in printed} == {("w1", "r1")}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", r["time"]) for r in printed)
    assert [r["message"] for r in said(service, "half a line", 1)] == ["no end"]
    native = {(r["stream"], r["message"]) for r in said(service, "native", 2)}
    assert native == {("stdout", "native line"), ("stderr", "from C")}
    hello, caught = said(service, "log", 2)
    assert (hello["level"], hello["logger"], hello["message"]) == ("INFO", "mine", "hello there")
    assert (caught["level"], caught["message"].splitlines()[0]) == ("ERROR", "caught")
    assert caught["message"].endswith("ZeroDivisionError: division by zero")
    (raised,) = said(service, "raise", 1)
    assert raised["level"] == "ERROR"
    assert raised["message"].startswith("run() raised an exception\nTraceback")
    assert raised["message"].endswith("ValueError: wrong")
    assert [r["message"] for r in said(service, "sign", 2)] == ["\x1e{not ours}", "\x1e[1]"]
    (init,) = [r for r in records(service) if r["message"] == "init prints"]
    assert init["request_id"] is None


def test_a_crash_is_the_requests_own(service: Service) -> None:
    service.apply(SCORE, env=JSON)
    service.ready()
    assert service.post(b"segfault", x_ms_request_id="fatal").status == 502
    assert "Segmentation fault" in " ".join(r["message"] for r in of(service, "fatal", 2))
    state = service.client.wait(lambda seen: seen["workers"][0]["restarts"] == 1, 120)
    assert "SIGSEGV" in state["workers"][0]["last_exit"]


def test_no_line_is_given_to_another_request(service: Service) -> None:
    service.apply(SCORE, env=JSON, workers=2)
    service.ready()

    def call(caller: int) -> None:
        for number in range(40):
            name = f"many {caller} {number}"
            assert service.post(name.encode(), x_ms_request_id=name).status == 200

    callers = [threading.Thread(target=call, args=(caller,)) for caller in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    def lines() -> list[dict[str, Any]]:
        many = [record for record in records(service) if record["message"].startswith("many")]
        return many if len(many) == 4 * 40 * 20 else []

    written = until(lines, "all lines are written")
    # A line may be nobody's if the next request began while the supervisor read it, but never another's.
    assert {r["request_id"] for r in written if r["request_id"] != r["message"]} <= {None}
    assert sum(r["request_id"] is None for r in written) < len(written) / 10


@pytest.mark.parametrize("env", [{}, pytest.param(JSON, marks=pytest.mark.full)])
def test_a_million_lines(service: Service, env: dict[str, str]) -> None:
    service.apply(SCORE, env=env, workers=2)
    service.ready()
    answers: list[int] = []
    printing = threading.Thread(target=lambda: answers.append(service.post(b"million").status))
    printing.start()
    others = [service.post(b"x").status]
    while printing.is_alive():
        others.append(service.post(b"x").status)
    printing.join()
    assert answers == [200]
    assert set(others) == {200}
    sizes = [path.stat().st_size for path in (service.directory / "logs").glob("worker.log*")]
    assert len(sizes) <= 4
    assert max(sizes) <= 11 << 20
    service.logged("999999")


def test_a_format_that_is_none(service: Service) -> None:
    with pytest.raises(SupervisorError, match="MOORING_LOG_FORMAT must be text or json, not 'xml'"):
        service.apply(SCORE, env={"MOORING_LOG_FORMAT": "xml"})
