r"""For tests of this and the other distributions: a real supervisor over a folder with a ``score.py``.

with running(tmp_path) as service:
    service.apply("def init(): pass\ndef run(data): return data")
    assert service.post(b"1").json() == "1"
"""

from __future__ import annotations

import http.client
import json
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mooring_runtime.supervisor.client import State, SupervisorClient, SupervisorUnavailable

WORKER_DIR = Path(__file__).parent / "worker"
POLL_SECONDS = 0.01
PATIENCE_SECONDS = 120.0


def until(condition: Callable[[], Any], what: str, timeout: float = PATIENCE_SECONDS) -> Any:
    """Waits until ``condition()`` is true and returns its value.

    Raises:
        AssertionError: it was not within ``timeout`` seconds; ``what`` was waited for.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(POLL_SECONDS)


def interpreter(minor: int) -> str | None:
    """A Python 3.``minor`` of this machine, from pyenv or the search path."""
    candidates = [str(path) for path in Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python")]
    found = shutil.which(f"python3.{minor}")
    if found is not None:
        candidates.append(found)
    if sys.version_info[:2] == (3, minor):
        candidates.append(sys.executable)
    for candidate in candidates:
        check = [candidate, "-c", f"import sys; sys.exit(sys.version_info[:2] != (3, {minor}))"]
        if subprocess.run(check, check=False, capture_output=True, timeout=20).returncode == 0:
            return candidate
    return None


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body parsed as JSON."""
        return json.loads(self.body)


class Service:
    """A service under test.

    Args:
        directory: the supervisor's.
        command: runs the supervisor's module; another interpreter, or another user by ``setpriv``.
        env: the supervisor's environment; None for ours.

    Attributes:
        directory: the supervisor's.
        client: speaks to it.
        process: the supervisor's process.
        spec: the last one applied.
        trust: of a service that speaks TLS.
    """

    def __init__(
        self,
        directory: Path,
        command: Sequence[str] = (sys.executable,),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self._command = [*command, "-m", "mooring_runtime.supervisor", "--dir", str(directory)]
        self._env = env
        self.client = SupervisorClient(directory)
        self.spec: dict[str, Any] = {}
        self.trust: ssl.SSLContext | None = None
        self._revisions = 0
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, env=self._env)
        self._await(process)
        return process

    def _await(self, process: subprocess.Popen[bytes]) -> None:
        def answers() -> bool:
            if process.poll() is not None:
                raise AssertionError(
                    f"the supervisor ended with {process.returncode}: {self.log('supervisor')}"
                )
            return self.client.alive()

        until(answers, "the supervisor answers")

    def restart(self) -> None:
        """Starts another supervisor on the directory."""
        self.process = self._start()

    def kill(self) -> None:
        """Kills the supervisor with SIGKILL."""
        self.process.kill()
        self.process.wait()

    def revision(self, score: str, **fields: Any) -> dict[str, Any]:
        """A new revision of which ``score`` is the entry script."""
        self._revisions += 1
        name = f"r{self._revisions}"
        root = self.directory.parent / f"{self.directory.name}-{name}"
        root.mkdir()
        (root / "score.py").write_text(score, encoding="utf-8")
        return {
            "id": name,
            "python": sys.executable,
            "worker_dir": str(WORKER_DIR),
            "app_root": str(root),
            "entry_script": "score.py",
            "init_deadline_seconds": 60,
            **fields,
        }

    def apply(self, score: str, spec: Mapping[str, Any] | None = None, **fields: Any) -> State:
        """Applies a new revision; ``spec`` has fields of the spec, ``fields`` those of the revision."""
        return self.apply_spec({**(spec or {}), "revision": self.revision(score, **fields)})

    def apply_spec(self, changes: Mapping[str, Any]) -> State:
        """Applies the last spec with changes."""
        generation = self.spec.get("generation", 0) + 1
        spec = {"service": "mysvc", **self.spec, "generation": generation, **changes}
        state = self.client.apply(spec)
        self.spec = spec
        return state

    def settled(self) -> State:
        """The state once it is Ready or Failed."""
        return self.client.wait_settled(PATIENCE_SECONDS)

    def ready(self) -> State:
        """The state once it is Ready.

        Raises:
            AssertionError: it failed.
        """
        state = self.settled()
        if state["phase"] != "Ready":
            raise AssertionError(f"{json.dumps(state, indent=1)}\n{self.log('worker')}")
        return state

    def failed(self) -> dict[str, Any]:
        """The failure of the state once it is Failed.

        Raises:
            AssertionError: it became ready.
        """
        state = self.client.wait(lambda seen: seen["phase"] == "Failed", PATIENCE_SECONDS)
        failure: dict[str, Any] = state["failure"]
        return failure

    def post(self, body: bytes = b"", **headers: str) -> Answer:
        """Scores; ``_`` in names of headers stands for ``-``."""
        return self.request("POST", "/score", body, **headers)

    def get(self, path: str, **headers: str) -> Answer:
        """GET."""
        return self.request("GET", path, b"", **headers)

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """One request on a connection of its own."""
        state = self.client.last_state() or {}
        address = urlsplit(state["url"])
        connection = self.connection(str(address.hostname), address.port, address.scheme)
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body=body or None, headers=names)
            response = connection.getresponse()
            pairs = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, pairs, response.read())
        finally:
            connection.close()

    def connection(self, host: str, port: int | None, scheme: str) -> http.client.HTTPConnection:
        """A connection to the service; ``https`` trusts `trust`."""
        if scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=PATIENCE_SECONDS, context=self.trust)
        return http.client.HTTPConnection(host, port, timeout=PATIENCE_SECONDS)

    def log(self, name: str) -> str:
        """The text of ``worker``, ``front`` or ``supervisor`` log."""
        path = self.directory / "logs" / f"{name}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def logged(self, text: str, name: str = "worker") -> str:
        """The log once ``text`` is in it; an answer may be there before what was printed."""
        until(lambda: text in self.log(name), f"{text!r} in the {name} log")
        return self.log(name)

    def close(self) -> None:
        """Stops the service, by force if need be."""
        try:
            self.client.stop(0.0)
        except SupervisorUnavailable:
            self.process.kill()
        self.process.wait(PATIENCE_SECONDS)


@contextmanager
def running(directory: Path) -> Iterator[Service]:
    """A supervisor on ``directory / "service"``, stopped in the end."""
    service = Service(directory / "service")
    try:
        yield service
    finally:
        service.close()
