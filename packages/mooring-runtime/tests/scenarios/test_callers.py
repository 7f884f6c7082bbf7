"""Callers that are slow, stop in the middle, hang up, or talk no HTTP: seen from outside, whatever the engine is."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mooring_runtime.testing import Answer, Service, running, until

SCORE = """
import os, time
def init(): pass
def run(data):
    while data.startswith("/") and not os.path.exists(data): time.sleep(0.01)
    return data
"""
HEAD = b"POST /score HTTP/1.1\r\nHost: x\r\n"
STALLED = [
    b"",
    b"PO",
    HEAD,
    HEAD + b"Content-Length: 10\r\n\r\nabc",
    HEAD + b"Content-Length: 2000000\r\n\r\nabc",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("callers")) as started:
        started.apply(SCORE)
        started.ready()
        yield started


def connect(service: Service, patience: float = 30) -> socket.socket:
    address = urlsplit((service.client.last_state() or {})["url"])
    return socket.create_connection((address.hostname, address.port), patience)


def works(service: Service) -> None:
    """Somebody else is answered, by the same front and worker as ever."""
    assert service.post(b"mine").json() == "mine"
    state = service.client.status()
    assert (state["front"]["restarts"], state["workers"][0]["restarts"]) == (0, 0)


def test_callers_that_stall_keep_nobody_waiting(service: Service) -> None:
    with ExitStack() as stack:
        for number in range(300):
            stack.enter_context(connect(service)).sendall(STALLED[number % len(STALLED)])
        works(service)
    works(service)


@pytest.mark.full
def test_callers_that_stall_are_let_go(service: Service) -> None:
    with ExitStack() as stack:
        waiting = [stack.enter_context(connect(service)) for _ in STALLED[1:]]
        for connection, said in zip(waiting, STALLED[1:], strict=True):
            connection.sendall(said)
        until(lambda: len(select.select(waiting, [], [], 0)[0]) == len(waiting), "all have heard")
        works(service)


@pytest.mark.full
def test_a_caller_that_sends_a_byte_now_and_then_is_let_go(service: Service) -> None:
    for said in (HEAD + b"X: ", HEAD + b"Content-Length: 1000000\r\n\r\n"):
        with connect(service) as connection:
            connection.sendall(said)

            def answered(connection: socket.socket = connection) -> bool:
                connection.sendall(b"x")
                return bool(select.select([connection], [], [], 1)[0])

            until(answered, "the caller has heard")
            assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")
    works(service)


@pytest.mark.parametrize("body", [b"abc", b"abc" * 100000])
def test_hanging_up_in_the_middle_of_a_body(service: Service, body: bytes) -> None:
    for _ in range(20):
        with connect(service) as connection:
            connection.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n" + body)
    works(service)


def test_hanging_up_while_the_request_runs(service: Service, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    for half in (False, True):
        with connect(service) as connection:
            path = str(gate).encode()
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(path), path))
            if half:
                connection.shutdown(socket.SHUT_WR)
    gate.touch()
    works(service)


def test_a_caller_that_has_closed_its_half_is_answered(service: Service, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    path = str(gate).encode()
    with connect(service) as connection:
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(path), path))
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        gate.touch()
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b'"%s"' % path)
    works(service)


def test_one_half_of_a_connection_closed_in_the_middle_of_a_body(service: Service) -> None:
    with connect(service) as connection:
        connection.sendall(HEAD + b"Content-Length: 10\r\n\r\nabc")
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(30)
        assert b"200" not in connection.recv(1000)
    works(service)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    said=st.binary(min_size=1, max_size=60)
    | st.binary(max_size=40).map(lambda junk: HEAD + junk + b"\r\n\r\n")
    | st.binary(max_size=40).map(lambda junk: HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + junk)
)
def test_what_is_no_http(service: Service, said: bytes) -> None:
    with connect(service) as connection:
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
        try:
            while connection.recv(1 << 16):
                continue
        except ConnectionResetError:
            return
    assert service.get("/livez").status == 200


ECHO = """
from azureml.contrib.services.aml_request import rawhttp
from azureml.contrib.services.aml_response import AMLResponse
def init(): pass
@rawhttp
def run(request): return AMLResponse(request.get_data(), 200)
"""


def others_are_answered(service: Service) -> None:
    assert service.post(b"mine").body == b"mine"
    assert service.get("/livez").status == 200


def test_others_are_answered_while_a_long_body_is_under_way(tmp_path: Path) -> None:
    body = bytes(range(256)) * (1 << 17)
    with running(tmp_path) as service:
        service.apply(ECHO, workers=2)
        service.ready()
        with connect(service) as connection:
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body[:-1])
            others_are_answered(service)
            connection.sendall(body[-1:])
            assert connection.recv(1) == b"H"
            # The caller takes no more of its answer for the time being.
            others_are_answered(service)
            with connection.makefile("rb") as reader:
                head = b"".join(iter(reader.readline, b"\r\n"))
                assert b"content-length: %d\r\n" % len(body) in head
                assert reader.read(len(body)) == body


@pytest.mark.full
@pytest.mark.parametrize("size", [512 << 20, 1 << 30])
def test_others_are_answered_while_a_very_long_body_goes_in_and_out(tmp_path: Path, size: int) -> None:
    limits = {"max_request_bytes": size, "scoring_timeout_ms": 300000}
    answers: list[Answer] = []
    with running(tmp_path) as service:
        service.apply(ECHO, limits, workers=2)
        front = service.ready()["front"]["pid"]
        before = peak(front)
        body = bytes(size)
        sending = threading.Thread(target=lambda: answers.append(service.post(body)))
        sending.start()
        others = 0
        while sending.is_alive():
            others_are_answered(service)
            others += not answers
        sending.join()
        assert [answer.status for answer in answers] == [200]
        assert answers[0].body == body
        assert others > 0
        # The body and the answer, each once.
        assert peak(front) - before < 2.5 * size
        assert service.client.status()["front"]["restarts"] == 0


def peak(pid: int) -> int:
    """The most memory a process has used, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) << 10
