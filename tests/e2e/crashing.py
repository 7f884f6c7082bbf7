"""A server that is killed again and again, what is asked of it meanwhile, and whether anything is left over."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from support import WS, RunningServer, eventually, processes_below

from mooring_runtime.supervisor import proctable, remains
from mooring_runtime.supervisor.child import MARK

SCRIPT = "def init(): pass\ndef run(data): return data\n# {}\n"
WEIGHTS = {
    "upload": 2,
    "register": 2,
    "image": 2,
    "deploy": 3,
    "update": 3,
    "resources": 2,
    "key": 1,
    "delete": 3,
}


class Load:
    """Callers of services that must not notice anything: each asks all the time and keeps every failure."""

    def __init__(self) -> None:
        self.count = 0
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def call(self, uri: str, key: str, pause: float = 0.05) -> None:
        """One more caller."""
        thread = threading.Thread(target=self._call, args=(uri, key, pause))
        self._threads.append(thread)
        thread.start()

    def _call(self, uri: str, key: str, pause: float) -> None:
        with httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
            while not self._stop.wait(pause):
                try:
                    answer = client.post(uri, json=self.count)
                except httpx.HTTPError as error:
                    self.failures.append(f"{time.time():.3f} {uri} {error!r}")
                else:
                    if answer.status_code != 200:
                        self.failures.append(f"{time.time():.3f} {uri} {answer.status_code} {answer.text}")
                self.count += 1

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


class Users:
    """Asks a server for one random thing after the other until it dies in the middle of one."""

    def __init__(self, server: RunningServer, choice: random.Random) -> None:
        self._server = server
        self._random = choice
        self._serial = 0
        self.done: dict[str, int] = dict.fromkeys(WEIGHTS, 0)
        self.interrupted: dict[str, int] = dict.fromkeys(WEIGHTS, 0)
        self.refused: list[str] = []

    def run_until_death(self) -> None:
        """All answers must be orderly ones as long as there are any."""
        while True:
            action = self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            try:
                getattr(self, f"_{action}")()
                self.done[action] += 1
            except httpx.TransportError:
                self.interrupted[action] += 1
                return

    def _call(self, method: str, path: str, **more: Any) -> httpx.Response:
        answer = self._server.client.request(method, WS + path, **more)
        # What was asked for may be there already, be gone, be in use or just be going.
        if answer.status_code not in {200, 201, 202, 204, 404, 409, 412}:
            self.refused.append(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer

    def _blob(self, content: bytes) -> str:
        digest = "sha256:" + hashlib.sha256(content).hexdigest()

        def pieces() -> Iterator[bytes]:
            for start in range(0, len(content), 1 << 18):
                yield content[start : start + (1 << 18)]

        self._call("PUT", f"/blobs/{digest}", content=pieces())
        return digest

    def _new(self) -> str:
        self._serial += 1
        return f"{self._serial}-{self._random.random()}"

    def _request(self) -> dict[str, Any]:
        digest = self._blob(SCRIPT.format(self._new()).encode())
        models = self._call("GET", "/models", params={"name": "m"}).json().get("value", [])
        return {
            "entryScript": "score.py",
            "files": [{"path": "score.py", "digest": digest}],
            "modelIds": [models[0]["id"]] if models and self._random.random() < 0.5 else [],
            "environment": {},
        }

    def _service(self) -> str:
        return f"temp-{self._random.randrange(3)}"

    def _upload(self) -> None:
        self._blob(self._random.randbytes(self._random.randrange(1, 8 << 20)))

    def _register(self) -> None:
        file = {"path": "m.bin", "digest": self._blob(self._random.randbytes(100_000))}
        self._call("POST", "/models", json={"name": "m", "files": [file]})

    def _image(self) -> None:
        self._call("POST", "/images", json={**self._request(), "name": "img"})

    def _deploy(self) -> None:
        body = {
            "name": self._service(),
            "imageRequest": self._request(),
            "overwrite": self._random.random() < 0.3,
        }
        self._call("POST", "/services", json=body)

    def _update(self) -> None:
        name = self._random.choice(["flux", self._service()])
        self._call("PATCH", f"/services/{name}", json={"imageRequest": self._request()})

    def _resources(self) -> None:
        limits = {"cpu": self._random.choice([0.5, 1, 2]), "memoryInGB": self._random.choice([0.5, 1])}
        name = self._random.choice(["flux", self._service()])
        self._call("PATCH", f"/services/{name}", json={"containerResourceRequirements": limits})

    def _key(self) -> None:
        # Callers use the other one.
        self._call("POST", "/services/flux/regenerateKeys", json={"keyType": "Primary"})

    def _delete(self) -> None:
        kind = self._random.choice(["service", "service", "image", "model"])
        if kind == "service":
            self._call("DELETE", f"/services/{self._service()}")
        else:
            things = self._call("GET", f"/{kind}s", params={"name": "img" if kind == "image" else "m"}).json()
            if things.get("value"):
                self._call("DELETE", f"/{kind}s/{self._random.choice(things['value'])['id']}")


def operations(home: Path) -> list[tuple[str, str, str, str, Any]]:
    """Kind, resource, state, error and phases of all operations, read past the server."""
    with contextlib.closing(sqlite3.connect(f"file:{home}/mooring.db?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT kind, resource_id, state, error, phases FROM operations").fetchall()
    return [(k, r, s, e, json.loads(p)) for k, r, s, e, p in rows]


def assert_settled(server: RunningServer, *, deep: bool = False) -> None:
    """Every operation ends by itself, the check finds nothing, nothing is left over."""
    home = server.home
    eventually(
        lambda: not [o for o in operations(home) if o[2] in {"NotStarted", "Running"}],
        "all operations end",
        120,
    )
    for kind, resource, state, error, phases in operations(home):
        assert state in {"Succeeded", "Cancelled", "Failed"}, (kind, resource, state, phases)
        # Nothing that was asked for was wrong, so that nothing but another request may stop it.
        assert state != "Failed", (kind, resource, error, phases)
    report = server.client.get("/mooring/v1/check", params={"deep": deep}).json()
    assert report["findings"] == [], report
    eventually(lambda: not left_over(home), "temporary files go")
    known = {s["name"] for s in server.client.get(f"{WS}/services").json()["value"]}
    directories = {d.name for d in (home / "services").iterdir()}
    assert len(directories) == len(known), (directories, known)
    assert set(remains.supervisors(home / "services").values()) == {
        home / "services" / d for d in directories
    }


def left_over(home: Path) -> list[Path]:
    """Temporary files and directories that nobody uses while nothing is done."""
    places = (
        "content/uploads/*",
        "cache/tmp/*",
        "cache/unpacked/tmp/*",
        "cache/*/.*",
        "services/.*",
        ".*.json.*",
    )
    return [path for place in places for path in home.glob(place)]


def assert_gone(home: Path, directories: set[Path], uris: set[str]) -> None:
    """Of these services no process, directory, control group or port is left."""
    for directory in directories:
        assert not directory.exists()
        assert not proctable.marked(f"{MARK}={directory}")
        assert not remains.groups(directory)
    left = [c for c in processes_below(home).values() if "mooring_server" not in c]
    assert not left, left
    for uri in uris:
        with socket.socket() as probe:  # without SO_REUSEPORT: it fails if anybody has it
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((urlsplit(uri).hostname, urlsplit(uri).port))


def kill_at_random(server: RunningServer, choice: random.Random, begin: Callable[[], None]) -> str:
    """Start the server and kill it while several users call ``begin``, now and then while it starts."""
    if choice.random() < 0.2:
        process = server.spawn()
        time.sleep(choice.uniform(0, 0.8))  # the random instant
        process.kill()
        process.wait()
        return "start"
    server.start()
    threads = [threading.Thread(target=begin) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(choice.uniform(0, 0.7))  # the random instant
    server.kill()
    for thread in threads:
        thread.join()
    return "work"
