"""A real server process, and waiting for what it does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

WS = "/mooring/v1/subscriptions/sub/resourceGroups/rg/workspaces/ws"


def eventually(condition: Callable[[], Any], what: str, seconds: float = 120) -> Any:
    """Wait until ``condition`` gives something true, and return it."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return value


def processes_below(directory: Path) -> dict[int, str]:
    """Processes whose command line names ``directory``."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:  # it ended meanwhile
                continue
            if str(directory) in command:
                found[int(entry.name)] = command
    return found


class RunningServer:
    """A server process on ``home``."""

    program: Sequence[str] = ("-m", "mooring_server")

    def __init__(
        self,
        home: Path,
        *arguments: str,
        verify: ssl.SSLContext | None = None,
        variables: dict[str, str] | None = None,
    ) -> None:
        self.home = home
        self.arguments = arguments
        self.variables = variables or {}
        self.verify = verify or True
        self.process: subprocess.Popen[bytes] | None = None
        self.client = httpx.Client(timeout=60)

    def spawn(self) -> subprocess.Popen[bytes]:
        """Begin to start; what `start` waits for is not waited for."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = self.home / "output.log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command(),
                env={**os.environ, **self.variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        return self.process

    def start(self) -> RunningServer:
        process = self.spawn()
        log = self.home / "output.log"
        self.home = self.seen(process)

        def announced() -> dict[str, Any] | None:
            assert process.poll() is None, log.read_text()
            try:
                told = json.loads((self.home / "server.json").read_text())
            except FileNotFoundError:
                return None
            return told if told["pid"] == process.pid else None

        try:
            told = eventually(announced, "the server announces itself", 300)
        except AssertionError as error:
            self.kill()  # nobody else knows of it yet
            raise AssertionError(f"{error}; its log ends:\n{log.read_text()[-3000:]}") from None
        self.client.close()
        self.client = httpx.Client(
            base_url=told["url"],
            headers={"Authorization": f"Bearer {told['token']}"},
            timeout=60,
            verify=self.verify,
        )
        self.url, self.token = told["url"], told["token"]
        return self

    def command(self) -> list[str]:
        """What to run."""
        return [sys.executable, *self.program, "--home", str(self.home), *self.arguments]

    def seen(self, process: subprocess.Popen[bytes]) -> Path:  # noqa: ARG002 - for servers with mounts of their own
        """Where the data directory is for those outside."""
        return self.home

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=120)

    def wait(self, view: dict[str, Any], workspace: str = WS, seconds: float = 300) -> dict[str, Any]:
        """Follow an operation to its end."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            answer = self.client.get(f"{workspace}/operations/{view['operationId']}", params={"wait": 20})
            assert answer.status_code == 200, answer.text
            operation: dict[str, Any] = answer.json()
            if operation["endTime"]:
                return operation
        raise AssertionError(f"operation {view['operationId']} did not end: {operation}")

    def upload(self, content: bytes, workspace: str = WS) -> str:
        import hashlib

        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        assert self.client.put(f"{workspace}/blobs/{digest}", content=content).status_code == 201
        return digest

    def request(self, script: bytes, models: list[str] | None = None, **more: Any) -> dict[str, Any]:
        """An image request for a script without packages."""
        return {
            "entryScript": "score.py",
            "files": [{"path": "score.py", "digest": self.upload(script)}],
            "modelIds": models or [],
            "environment": {"environmentVariables": {"GREETING": "hello"}},
            **more,
        }

    def deploy(self, name: str, script: bytes, *, workspace: str = WS, **more: Any) -> dict[str, Any]:
        body = {"name": name, "imageRequest": self.request(script, more.pop("models", None)), **more}
        answer = self.client.post(f"{workspace}/services", json=body)
        assert answer.status_code == 202, answer.text
        view: dict[str, Any] = answer.json()
        return view

    def close(self) -> None:
        """Delete all services, stop, and prove that nothing is left running."""
        if self.process is None or self.process.poll() is not None:
            self.start()
        for workspace in self.client.get("/mooring/v1/subscriptions/sub/workspaces").json()["value"]:
            base = WS.rpartition("/")[0] + "/" + workspace["name"]
            for collection in ("services", "localServices"):
                for service in self.client.get(f"{base}/{collection}").json()["value"]:
                    deleted = self.client.delete(f"{base}/{collection}/{service['name']}")
                    if deleted.status_code == 202:
                        self.wait(deleted.json(), base)
        self.client.close()
        assert self.stop() == 0
        left = processes_below(self.home)
        assert not left, left


def kill_all(home: Path) -> None:
    for pid in processes_below(home):
        with contextlib.suppress(ProcessLookupError):  # it ended with another one that was killed
            os.kill(pid, signal.SIGKILL)
