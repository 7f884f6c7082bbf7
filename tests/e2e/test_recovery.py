"""Workers, fronts and supervisors are killed, with the server up and down; the machine restarts."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from crashing import assert_gone, assert_settled
from support import WS, RunningServer, eventually, processes_below

from mooring_runtime.supervisor import proctable, remains
from mooring_runtime.supervisor.child import MARK
from mooring_runtime.supervisor.client import SupervisorClient

ECHO = b"def init(): pass\ndef run(data): return data\n"
SLOW = b"import time\ndef init(): pass\ndef run(data):\n    time.sleep(float(data))\n    return data\n"


class Deployed:
    """A service, its processes, and a caller's view of it."""

    def __init__(self, server: RunningServer, name: str, script: bytes = ECHO) -> None:
        self.server, self.name = server, name
        assert server.wait(server.deploy(name, script, authEnabled=True))["state"] == "Succeeded"
        self.view = server.client.get(f"{WS}/services/{name}").json()
        self.keys = server.client.post(f"{WS}/services/{name}/listkeys").json()
        root = server.home / "services"
        [self.directory] = [d for d in root.iterdir() if self.state(d)["service"] == name]

    def state(self, directory: Path | None = None) -> dict[str, Any]:
        return SupervisorClient(directory or self.directory).status()

    def score(self, data: Any = 1) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.keys['primaryKey']}"}
        return httpx.post(self.view["scoringUri"], json=data, headers=headers, timeout=60)

    def answers(self, data: Any = 1) -> bool:
        try:
            return self.score(data).status_code == 200
        except httpx.TransportError:
            return False

    def pid(self, kind: str) -> int:
        state = self.state()
        found = {
            "supervisor": state["pid"],
            "front": state["front"]["pid"],
            "worker": state["workers"][0]["pid"],
        }
        return int(found[kind])

    def back(self, what: str) -> float:
        """Seconds until it answers again, at its old address with its old key."""
        began = time.monotonic()
        eventually(self.answers, what)
        return time.monotonic() - began


@pytest.fixture
def echo(own_server: RunningServer) -> Deployed:
    return Deployed(own_server, "echo")


@pytest.mark.parametrize("up", [True, False], ids=["server-up", "server-down"])
def test_workers_and_fronts_come_back_by_themselves(echo: Deployed, up: bool) -> None:
    if not up:
        echo.server.kill()
    for kind in ("worker", "front"):
        before = echo.pid(kind)
        os.kill(before, signal.SIGKILL)
        took = echo.back(f"after its {kind} was killed")
        assert echo.pid(kind) != before
        assert took < 20


def test_a_supervisor_is_missed_at_once(echo: Deployed) -> None:
    """The server sleeps on its pidfd, and says so in its log: it does not wait for the next look."""
    eventually(lambda: echo.server.client.get(f"{WS}/services/echo").json()["state"] == "Healthy", "settled")
    for kills in range(1, 4):
        os.kill(echo.pid("supervisor"), signal.SIGKILL)
        eventually(lambda: not echo.answers(), "it is gone")
        echo.back("after its supervisor was killed")
        assert (echo.server.home / "output.log").read_text().count("has ended") == kills
    assert echo.server.client.get(f"{WS}/services/echo").json()["scoringUri"] == echo.view["scoringUri"]


def test_a_supervisor_killed_while_no_server_runs_is_back_with_the_server(echo: Deployed) -> None:
    echo.server.kill()
    os.kill(echo.pid("supervisor"), signal.SIGKILL)
    eventually(lambda: not proctable.marked(f"{MARK}={echo.directory}"), "front and workers end with it")
    assert not echo.answers()
    echo.server.start()
    echo.back("after the server has started")
    assert_settled(echo.server)


@pytest.mark.parametrize("kind", ["worker", "front", "supervisor"])
def test_what_is_lost_is_what_was_in_flight(own_server: RunningServer, kind: str) -> None:
    slow = Deployed(own_server, "slow", SLOW)
    outcome: list[Any] = []

    def call() -> None:
        try:
            outcome.append(slow.score(30).status_code)
        except httpx.TransportError as error:
            outcome.append(type(error))

    def busy() -> bool:
        """Nobody else is answered while the worker sleeps."""
        try:
            headers = {"Authorization": f"Bearer {slow.keys['primaryKey']}"}
            httpx.post(slow.view["scoringUri"], json=0, headers=headers, timeout=0.5)
        except httpx.ReadTimeout:
            return True
        return False

    thread = threading.Thread(target=call)
    thread.start()
    eventually(busy, "the worker has the request")
    os.kill(slow.pid(kind), signal.SIGKILL)
    thread.join()
    # A worker's death is told by the front, the front's by the kernel.
    assert outcome == [502] if kind == "worker" else issubclass(outcome[0], httpx.TransportError)
    eventually(lambda: slow.answers(0), "the next request is answered")


@pytest.mark.parametrize(
    ("kills", "up"),
    [
        (6, True),
        pytest.param(60, True, marks=pytest.mark.full),
        pytest.param(60, False, marks=pytest.mark.full),
    ],
)
def test_killed_at_random_under_load(own_server: RunningServer, kills: int, up: bool) -> None:
    """Every request is answered or refused in an orderly way, and every kill is recovered from."""
    seed = int(os.environ.get("MOORING_CRASH_SEED") or random.SystemRandom().randrange(1 << 32))
    choice = random.Random(seed)
    services = [Deployed(own_server, f"svc-{n}") for n in range(2)]
    outcomes: Counter[str] = Counter()
    stop = threading.Event()

    def load(service: Deployed) -> None:
        while not stop.wait(0.02):
            outcomes[ask(service)] += 1

    threads = [threading.Thread(target=load, args=(service,)) for service in services]
    if not up:
        own_server.kill()
    for thread in threads:
        thread.start()
    kinds = ["worker", "front", "supervisor"] if up else ["worker", "front"]
    try:
        for _ in range(kills):
            service, kind = choice.choice(services), choice.choice(kinds)
            os.kill(service.pid(kind), signal.SIGKILL)
            time.sleep(choice.uniform(0, 0.3))  # the random instant of the next kill
            service.back(f"after its {kind} was killed, seed {seed}")
            eventually(
                lambda s=service: s.state()["workers"][0]["pid"] and s.state()["front"]["pid"], "all run"
            )
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert outcomes["200"] > 10, outcomes
    orderly = {"200", "502", "503", "ConnectError", "ReadError", "RemoteProtocolError"}
    assert set(outcomes) <= orderly, (outcomes, seed)
    if not up:
        own_server.start()
    assert_settled(own_server)


def ask(service: Deployed) -> str:
    """The status of the answer, or how the connection ended."""
    try:
        return str(service.score().status_code)
    except httpx.TransportError as error:
        return type(error).__name__


def test_a_reboot(own_server: RunningServer) -> None:
    services = [Deployed(own_server, f"svc-{n}") for n in range(3)]
    for pid in [*processes_below(own_server.home), own_server.process.pid]:
        proctable.kill(pid)
    own_server.process.wait()
    eventually(lambda: not processes_below(own_server.home), "everything is gone")
    for service in services:
        # Sockets do not survive a reboot; locks are the kernel's and have gone with their processes.
        (service.directory / "control.sock").unlink()
        shutil.rmtree(service.directory / "run")
    began = time.monotonic()
    own_server.start()
    for service in services:
        service.back("after the reboot")
    assert time.monotonic() - began < 60
    for service in services:
        view = own_server.client.get(f"{WS}/services/{service.name}").json()
        assert view["scoringUri"] == service.view["scoringUri"]
        assert own_server.client.post(f"{WS}/services/{service.name}/listkeys").json() == service.keys
    assert_settled(own_server)


def test_services_nobody_knows_go_when_the_server_starts(echo: Deployed) -> None:
    """The row is gone, the service runs: as after a deletion that was cut short, or with an older database."""
    echo.server.kill()
    with contextlib.closing(sqlite3.connect(echo.server.home / "mooring.db")) as connection, connection:
        connection.execute("DELETE FROM services")
    assert echo.answers()
    echo.server.start()
    eventually(lambda: not echo.directory.exists(), "it is removed")
    assert_gone(echo.server.home, {echo.directory}, {echo.view["scoringUri"]})
    assert urlsplit(echo.view["scoringUri"]).port


@pytest.mark.full
def test_a_service_that_hangs_can_be_deleted(echo: Deployed) -> None:
    """A stopped supervisor answers nobody, and its lock is held."""
    os.kill(echo.pid("supervisor"), signal.SIGSTOP)
    operation = echo.server.wait(echo.server.client.delete(f"{WS}/services/echo").json())
    assert operation["state"] == "Succeeded", operation
    assert_gone(echo.server.home, {echo.directory}, {echo.view["scoringUri"]})


def test_a_supervisor_that_comes_late_does_not_bring_a_service_back(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "mooring_runtime.supervisor",
        "--dir",
        str(tmp_path / "deleted"),
        "--detach",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 66
    assert "no directory" in done.stderr
    assert not (tmp_path / "deleted").exists()
    assert remains.supervisors(tmp_path) == {}


@pytest.fixture(autouse=True)
def _nothing_left(tmp_path: Path) -> Iterator[None]:
    yield
    for pid in proctable.marked(f"{MARK}={tmp_path}"):
        proctable.kill(pid)
