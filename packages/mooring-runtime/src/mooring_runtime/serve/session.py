"""A service in the foreground: a supervisor in a temporary directory, its log on the terminal."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mooring_runtime.serve import health
from mooring_runtime.serve.log import Follower
from mooring_runtime.serve.settings import Settings
from mooring_runtime.serve.watch import Watch
from mooring_runtime.supervisor import files
from mooring_runtime.supervisor.client import SupervisorClient, SupervisorUnavailable

POLL_SECONDS = 0.1
LOOK_SECONDS = 0.25
START_SECONDS = 30.0
DRAIN_SECONDS = 5.0
PR_SET_PDEATHSIG = 1
FAILED = 3  # Azure's server ends with it, too, when init() fails

libc = ctypes.CDLL(None, use_errno=True)


class Stopped(BaseException):
    """Ctrl-C or SIGTERM; no Exception, so that nothing takes it for a failure."""


class Session:
    """Serves until told to stop.

    Args:
        settings: what and how.
        say: takes a line for the terminal.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._say = say
        self._number = 0
        self._pending = False
        self._watch = (
            Watch(settings.app_root, (settings.entry_script,), settings.model_dir)
            if settings.reload
            else None
        )
        self._look_at = 0.0

    def run(self) -> int:
        """The exit status: 0 when it was stopped, 3 when the script cannot serve, 1 when the supervisor ended."""
        with tempfile.TemporaryDirectory(prefix="mooring-serve-") as folder, _signals():
            directory = Path(folder) / "service"
            directory.mkdir(mode=0o700)
            client = SupervisorClient(directory)
            log = Follower(directory / files.LOGS / "worker.log", self._say)
            process = _start(directory)
            try:
                with contextlib.ExitStack() as stack:
                    return self._serve(client, process, log, stack)
            except Stopped:
                self._say("Stopping.")
                return 0
            finally:
                with _undisturbed():
                    _stop(client, process)
                    log.close()

    def _serve(
        self,
        client: SupervisorClient,
        process: subprocess.Popen[bytes],
        log: Follower,
        stack: contextlib.ExitStack,
    ) -> int:
        _until_answering(client, process)
        state = self._apply(client)
        if self._settings.health_port is not None:
            bound = health.listening(self._settings.host, self._settings.health_port, state["url"])
            self._say(f"Health probes at port {stack.enter_context(bound)}.")
        while True:
            if process.poll() is not None:
                self._say(f"The supervisor ended with status {process.returncode}.")
                return 1
            if self._pending:
                state = client.status()
                log.follow()
                if state["phase"] in {"Ready", "Failed"}:
                    self._pending = False
                    if not self._report(state) and self._watch is None:
                        return FAILED
            log.follow()
            self._reload(client)
            time.sleep(POLL_SECONDS)

    def _apply(self, client: SupervisorClient) -> dict[str, Any]:
        self._number += 1
        self._pending = True
        return client.apply(self._settings.spec(self._number))

    def _report(self, state: dict[str, Any]) -> bool:
        """Says how the revision came out; the traceback is in the log already."""
        if state["phase"] == "Ready":
            url = state["url"]
            again = "Reloaded" if self._number > 1 else "Serving"
            self._say(
                f"{again} {self._settings.entry_script.name} (revision {self._number}): POST {url}/score"
            )
            return True
        failure = state["failure"]
        self._say(f"{failure['code']}: {failure['message'].splitlines()[0]}")
        if failure["hint"]:
            self._say(f"  {failure['hint']}")
        if state["active_revision"] is not None:
            self._say(f"Revision {state['active_revision']} goes on serving.")
        if self._watch is not None:
            self._say("Waiting for a change.")
        return False

    def _reload(self, client: SupervisorClient) -> None:
        if self._watch is None or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_SECONDS
        changed = self._watch.changed()
        if changed:
            names = ", ".join(Path(name).name for name in changed[:3])
            self._say(
                f"Changed: {names}{', ...' if len(changed) > 3 else ''}. Starting revision {self._number + 1}."
            )
            self._apply(client)


def _start(directory: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mooring_runtime.supervisor", "--dir", str(directory)]
    # In a session of its own: Ctrl-C is for us, who stop it in order.
    parent = os.getpid()

    def tied() -> None:
        """When we are killed, it dies with us, and its front and workers with it."""
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=tied)  # noqa: PLW1509 - no other thread runs yet


def _until_answering(client: SupervisorClient, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not client.alive():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SupervisorUnavailable("the supervisor does not start")
        time.sleep(POLL_SECONDS / 5)


def _stop(client: SupervisorClient, process: subprocess.Popen[bytes]) -> None:
    try:
        if process.poll() is None:
            client.stop(DRAIN_SECONDS)
        process.wait(DRAIN_SECONDS)
    except (SupervisorUnavailable, subprocess.TimeoutExpired):
        process.kill()  # its front and workers die with it
        process.wait()


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Stopped

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C must not leave processes behind."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
