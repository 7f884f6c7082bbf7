"""Callers that are slow, stop in the middle, hang up, or talk no HTTP: seen from outside, whatever the engine is."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mooring_runtime.testing import Service, running, until

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
        until(lambda: len(select.select(waiting, [], [], 0)[0]) == len(waiting), "all have heard", 90)
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
