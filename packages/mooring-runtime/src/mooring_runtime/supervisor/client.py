"""Speaks to a supervisor; used by the server, the SDK's tests and people's scripts."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mooring_runtime.supervisor import files
from mooring_runtime.supervisor.failure import Failure, SupervisorError

POLL_SECONDS = 0.02
CALL_SECONDS = 10.0

State = dict[str, Any]


class SupervisorUnavailable(Exception):
    """No supervisor answers for the directory; `SupervisorClient.launch` starts one."""


class SupervisorClient:
    """The supervisor of one service.

    A client holds no connection: each call makes one, so that it may be kept while supervisors come and go.

    Args:
        directory: the service's.
        timeout: seconds for an answer.
    """

    def __init__(self, directory: Path | str, timeout: float = CALL_SECONDS) -> None:
        self._directory = Path(directory)
        self._timeout = timeout

    def launch(self, timeout: float = CALL_SECONDS) -> State:
        """Starts a supervisor as a process of nobody's, unless one is running.

        It brings back what its directory says was running.

        Returns:
            The state once it answers.

        Raises:
            SupervisorUnavailable: it does not start, or not answer in time.
        """
        if not self.alive():
            try:
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise SupervisorUnavailable(f"the supervisor does not start: {error}") from error
            command = [sys.executable, "-m", "mooring_runtime.supervisor"]
            started = subprocess.run(
                [*command, "--dir", str(self._directory), "--detach"],
                check=False,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
            )
            if started.returncode:
                raise SupervisorUnavailable(f"the supervisor does not start: {started.stderr.strip()}")
        deadline = time.monotonic() + timeout
        while True:
            try:
                return self.status()
            except SupervisorUnavailable:
                if time.monotonic() > deadline:
                    raise
            time.sleep(POLL_SECONDS)

    def alive(self) -> bool:
        """Whether a supervisor answers."""
        try:
            self.status()
        except SupervisorUnavailable:
            return False
        return True

    def status(self) -> State:
        """The state, with fresh ``rss_bytes``.

        Raises:
            SupervisorUnavailable: nobody answers; `last_state` has the last word.
        """
        return self._call({"op": "status"}, self._timeout)

    def apply(self, spec: Mapping[str, Any]) -> State:
        """Makes ``spec`` what shall run; returns at once, `wait` for the outcome.

        Raises:
            SupervisorError: the spec is refused (``SpecInvalid``, ``PortUnavailable``); nothing changes.
            SupervisorUnavailable: nobody answers.
        """
        return self._call({"op": "apply", "spec": dict(spec)}, self._timeout)

    def stop(self, drain_seconds: float = 5.0) -> State:
        """Ends the service and its supervisor; returns when the processes have ended.

        Raises:
            SupervisorUnavailable: nobody answers.
        """
        request = {"op": "stop", "drain_seconds": drain_seconds}
        return self._call(request, self._timeout + drain_seconds + CALL_SECONDS)

    def wait(self, done: Callable[[State], bool], timeout: float) -> State:
        """Asks until ``done`` says that the state is what was waited for.

        Returns:
            That state.

        Raises:
            TimeoutError: it did not come in time; the text has the last state.
            SupervisorUnavailable: the supervisor went away.
        """
        deadline = time.monotonic() + timeout
        while True:
            state = self.status()
            if done(state):
                return state
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {timeout:g} s the state still is {json.dumps(state)}")
            time.sleep(POLL_SECONDS)

    def wait_settled(self, timeout: float) -> State:
        """Waits until the spec applied last runs or has failed: phase ``Ready`` or ``Failed``."""
        return self.wait(lambda state: state["phase"] in {"Ready", "Failed"}, timeout)

    def last_state(self) -> State | None:
        """What the supervisor wrote last; None if there never was one. Needs no supervisor."""
        state: State | None = files.read_json(self._directory / files.STATE)
        return state

    def _call(self, request: Mapping[str, Any], timeout: float) -> State:
        try:
            keyed = {**request, "key": files.control_key(self._directory)}
            line = self._exchange(json.dumps(keyed).encode() + b"\n", timeout)
        except OSError as exc:
            raise SupervisorUnavailable(f"no supervisor answers in {self._directory}: {exc}") from exc
        if not line:
            raise SupervisorUnavailable(f"the supervisor in {self._directory} ended before it answered")
        answer: State = json.loads(line)
        if not answer.pop("ok"):
            error = answer["error"]
            raise SupervisorError(
                Failure(
                    error["code"],
                    error["phase"],
                    error["message"],
                    error["hint"],
                    error["evidence"],
                    error["revision"],
                )
            )
        return answer

    def _exchange(self, line: bytes, timeout: float) -> bytes:
        with (
            files.short_path(self._directory, files.CONTROL) as path,
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection,
        ):
            connection.settimeout(timeout)
            connection.connect(path)
            connection.sendall(line)
            with connection.makefile("rb") as lines:
                return lines.readline()
