"""Bodies that an entry script yields part by part."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mooring_runtime.testing import Service, running, until

SCORE = """
import os, time
from azureml.contrib.services.aml_request import rawhttp
from azureml.contrib.services.aml_response import AMLResponse

def init(): pass

def endless(size):
    try:
        while True:
            yield b"x" * size
            time.sleep(0.005)
    finally:
        print("the generator was closed")

def gated(path):
    yield "first"
    while not os.path.exists(path):
        time.sleep(0.01)
    yield "second"

def slow():
    yield "a"
    time.sleep(60)
    yield "b"

def dying():
    yield "a"
    os._exit(7)

def many(count, size):
    for number in range(count):
        yield bytes([number % 256]) * size

@rawhttp
def run(request):
    what = request.args["what"]
    if what == "endless": return AMLResponse(endless(10), 200)
    if what == "flood": return AMLResponse(endless(1 << 20), 200)
    if what == "gated": return AMLResponse(gated(request.args["path"]), 200, {"Content-Type": "text/event-stream"})
    if what == "slow": return AMLResponse(slow(), 200)
    if what == "dying": return AMLResponse(dying(), 200)
    if what == "many": return AMLResponse(many(300, 65536), 200)
    return "plain"
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("streaming")) as started:
        started.apply(SCORE, {"scoring_timeout_ms": 2000})
        started.ready()
        yield started


def ask(service: Service, query: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    address = urlsplit((service.client.last_state() or {})["url"])
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=120)
    connection.request("GET", f"/score?what={query}")
    return connection, connection.getresponse()


def plain(service: Service) -> int:
    return service.get("/score?what=plain").status


def test_parts_are_sent_as_they_come(service: Service, tmp_path: Path) -> None:
    connection, response = ask(service, f"gated&path={tmp_path / 'gate'}")
    assert response.getheader("content-type") == "text/event-stream"
    assert response.getheader("x-ms-run-fn-exec-ms") is not None
    assert response.read1(100) == b"first"
    (tmp_path / "gate").touch()
    assert response.read() == b"second"
    connection.close()


def test_a_long_body_is_whole(service: Service) -> None:
    connection, response = ask(service, "many")
    assert response.read() == b"".join(bytes([number % 256]) * 65536 for number in range(300))
    connection.close()


@pytest.mark.parametrize("what", ["endless", "flood"])
def test_a_caller_that_goes_away_frees_the_worker(service: Service, what: str) -> None:
    closed = service.log("worker").count("the generator was closed")
    restarts = service.client.status()["workers"][0]["restarts"]
    connection, response = ask(service, what)
    assert response.read1(10)
    connection.close()
    response.close()
    until(lambda: service.log("worker").count("the generator was closed") > closed, "the generator is closed")
    assert plain(service) == 200
    assert service.client.status()["workers"][0]["restarts"] == restarts


def test_a_caller_that_does_not_read_makes_the_worker_wait(service: Service) -> None:
    address = urlsplit((service.client.last_state() or {})["url"])
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((address.hostname, address.port))
        connection.sendall(b"GET /score?what=flood HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(1)
        before = service.log("worker").count("the generator was closed")
        # Far longer than the scoring timeout would allow without a part.
        with pytest.raises(AssertionError):
            until(lambda: service.log("worker").count("the generator was closed") > before, "no end", 3.0)
        state = service.client.status()
        front = Path(f"/proc/{state['front']['pid']}/status").read_text()
        resident = int(next(line.split()[1] for line in front.splitlines() if line.startswith("VmRSS")))
        assert resident < 200_000
    until(lambda: service.log("worker").count("the generator was closed") > before, "the generator is closed")
    assert plain(service) == 200


@pytest.mark.parametrize("what", ["slow", "dying"])
def test_a_body_that_breaks_off_is_no_complete_answer(service: Service, what: str) -> None:
    restarts = service.client.status()["workers"][0]["restarts"]
    connection, response = ask(service, what)
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        response.read()
    connection.close()
    until(lambda: service.client.status()["workers"][0]["restarts"] > restarts, "another worker")
    until(lambda: service.client.status()["phase"] == "Ready", "it is ready")
    assert plain(service) == 200
