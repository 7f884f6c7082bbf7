"""A deployed script tries to get at the server and at other services, in each mode of the sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import WS, RunningServer, kill_all

from mooring_runtime.supervisor import bubblewrap, landlock

# Tries to read each file and to reach each port it is sent; answers with what it got.
SPY = b"""
import json, os, socket

def init():
    with open("written-beside-the-script", "w") as file:
        file.write(os.environ["HOME"])

def attempt(action, what):
    try:
        return action(what)
    except OSError as exc:
        return type(exc).__name__

def read(path):
    with open(path, "rb") as file:
        return "read %d bytes" % len(file.read())

def connect(port):
    with socket.create_connection(("127.0.0.1", port), 5):
        return "connected"

def run(data):
    asked = json.loads(data)
    return {
        "files": {path: attempt(read, path) for path in asked["files"]},
        "ports": {str(port): attempt(connect, port) for port in asked["ports"]},
        "command": attempt(read, "/proc/self/cmdline"),
    }
"""
REFUSED = {"PermissionError", "FileNotFoundError", "NotADirectoryError"}
MODES = {
    "bwrap": bubblewrap.find(network=True)[1],
    "landlock": "" if landlock.version() else "this kernel has no Landlock",
}


@pytest.fixture(params=MODES)
def confining(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, RunningServer]]:
    """A server that demands a mode of the sandbox."""
    if why := MODES[request.param]:
        pytest.skip(why)
    monkeypatch.setenv("MOORING_SANDBOX", request.param)
    running = RunningServer(tmp_path / "home").start()
    try:
        assert running.client.put(WS, json={}).status_code == 201
        yield request.param, running
        running.close()
    finally:
        kill_all(running.home)


def test_a_service_sees_nothing_of_the_server_and_other_services(
    confining: tuple[str, RunningServer],
) -> None:
    mode, server = confining
    for name in ("victim", "spy"):
        operation = server.wait(server.deploy(name, SPY, authEnabled=True))
        assert operation["state"] == "Succeeded", operation
    spy = server.client.get(f"{WS}/services/spy").json()
    assert spy["isolation"] == mode
    key = server.client.post(f"{WS}/services/spy/listkeys").json()["primaryKey"]
    files = sorted(str(path) for path in server.home.rglob("*") if path.is_file())
    unpacked, services = str(server.home / "cache" / "unpacked"), str(server.home / "services")
    secret = [path for path in files if not path.startswith(unpacked) and "/scratch/" not in path]
    assert {"mooring.db", "settings.json", "server.json"} <= {Path(path).name for path in secret}
    assert sum(path.startswith(services) and path.endswith("spec.json") for path in secret) == 2
    victim = server.client.get(f"{WS}/services/victim").json()
    ports = [int(url.split(":")[2].split("/")[0]) for url in (server.url, victim["scoringUri"])]
    answer = server.client.post(
        spy["scoringUri"],
        headers={"Authorization": f"Bearer {key}"},
        content=json.dumps({"files": secret, "ports": ports}),
    )
    assert answer.status_code == 200, answer.text
    got = answer.json()
    assert {path: said for path, said in got["files"].items() if said not in REFUSED} == {}
    if landlock.version() >= landlock.NETWORK_SINCE:
        assert set(got["ports"].values()) == {"PermissionError"}
    assert got["command"].startswith("read")
    apps = [path for path in files if path.startswith(unpacked)]
    assert not any("written-beside-the-script" in path for path in apps)


def test_a_mode_that_is_not_possible_is_an_error(
    own_server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_server.stop()
    monkeypatch.setenv("MOORING_SANDBOX", "bwrap")
    monkeypatch.setenv("PATH", "/nonexistent")
    own_server.start()
    operation = own_server.wait(own_server.deploy("spy", SPY))
    assert operation["error"]["code"] == "SandboxUnavailable", operation
    assert "not installed" in operation["error"]["message"]


def test_settings_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOORING_SANDBOX", "strong")
    with pytest.raises(AssertionError, match="SettingInvalid: MOORING_SANDBOX must be one of auto, bwrap"):
        RunningServer(tmp_path / "home").start()
