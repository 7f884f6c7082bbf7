"""The launcher as the supervisor sees it, as a process of this machine: no engine is needed for what it does."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mooring_runtime.testing import PATIENCE_SECONDS, WORKER_DIR, interpreter, until


class Launcher:
    def __init__(self, python: str, folder: Path) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = folder / "l.sock"
        listener.bind(str(path))
        listener.listen(1)
        listener.settimeout(PATIENCE_SECONDS)
        self.process = subprocess.Popen([python, "-I", str(WORKER_DIR / "launcher.py"), str(path)])
        self.connection, _ = listener.accept()
        self.connection.settimeout(PATIENCE_SECONDS)
        listener.close()
        assert self.next() == {"event": "up"}

    def next(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.connection.recv(1 << 16))
        return event

    def start(self, code: str, name: str = "w1") -> tuple[int, int]:
        """Starts a Python program; its pid, and where what it prints is read."""
        read, written = os.pipe()
        message = {
            "op": "start",
            "id": name,
            "argv": [sys.executable, "-c", code],
            "env": {"GIVEN": "yes"},
            "cwd": "/",
            "settings": {"entry_script": "score.py"},
            "fds": ["stdout", "stderr", "report_fd"],
        }
        socket.send_fds(self.connection, [json.dumps(message).encode()], [written, written, written])
        os.close(written)
        said = self.next()
        assert (said["event"], said["id"]) == ("launched", name)
        return said["pid"], read

    def tell(self, **message: Any) -> None:
        self.connection.send(json.dumps(message).encode())


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    made = Launcher(sys.executable, tmp_path)
    yield made
    made.connection.close()
    assert made.process.wait(PATIENCE_SECONDS) == 0


def output(pipe: int) -> str:
    with os.fdopen(pipe, encoding="utf-8") as file:
        return file.read()


def test_a_worker_gets_its_variables_and_descriptors(launcher: Launcher) -> None:
    code = (
        "import json, os; s = json.loads(os.environ['MOORING_WORKER']); print(s['entry_script'], os.environ['GIVEN'],"
        " os.getcwd(), os.getsid(0) == os.getpid(), flush=True); os.write(s['report_fd'], b'reported')"
    )
    _, pipe = launcher.start(code)
    assert output(pipe) == "score.py yes / True\nreported"
    said = launcher.next()
    assert (said["event"], said["id"], said["code"], said["oom"]) == ("exit", "w1", 0, False)


@pytest.mark.parametrize(("code", "status"), [("import sys; sys.exit(3)", 3), ("import os; os.abort()", -6)])
def test_how_a_worker_ended(launcher: Launcher, code: str, status: int) -> None:
    _, pipe = launcher.start(code)
    assert launcher.next()["code"] == status
    os.close(pipe)


def test_signals_reach_the_worker_that_is_named(launcher: Launcher) -> None:
    _, one = launcher.start("import time; time.sleep(600)", "w1")
    _, two = launcher.start("import time; time.sleep(600)", "w2")
    launcher.tell(op="signal", id="w2", number=int(signal.SIGTERM))
    said = launcher.next()
    assert (said["id"], said["code"]) == ("w2", -signal.SIGTERM)
    launcher.tell(op="signal", id="w2", number=int(signal.SIGTERM))  # it has ended meanwhile
    launcher.tell(op="kill", id="w1")
    assert launcher.next()["code"] == -signal.SIGKILL
    os.close(one)
    os.close(two)


def test_what_a_worker_has_started_ends_with_it(launcher: Launcher) -> None:
    code = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'],"
        " start_new_session=True); print(p.pid, flush=True)"
    )
    _, pipe = launcher.start(code)
    started = int(output_line(pipe))
    assert launcher.next()["code"] == 0
    until(lambda: not Path(f"/proc/{started}/environ").exists() or gone(started), "the child is gone")
    os.close(pipe)


def output_line(pipe: int) -> str:
    data = b""
    while not data.endswith(b"\n"):
        data += os.read(pipe, 100)
    return data.decode()


def gone(pid: int) -> bool:
    """Killed, whether or not somebody has taken its status: the launcher is not process 1 here."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_program_that_cannot_be_started_says_why(launcher: Launcher) -> None:
    read, written = os.pipe()
    message = {
        "op": "start",
        "id": "w1",
        "argv": ["/no/python"],
        "env": {},
        "cwd": "/",
        "settings": {},
        "fds": ["stdout", "stderr"],
    }
    socket.send_fds(launcher.connection, [json.dumps(message).encode()], [written, written])
    os.close(written)
    assert launcher.next()["event"] == "launched"
    assert output(read).startswith("mooring: /no/python cannot be started: ")
    assert launcher.next()["code"] == 127


@pytest.mark.full
@pytest.mark.parametrize("minor", [6, 7, 8, 9])
def test_old_pythons(minor: int, tmp_path: Path) -> None:
    python = interpreter(minor)
    if python is None:
        pytest.skip(f"this machine has no Python 3.{minor}")
    launcher = Launcher(python, tmp_path)
    _, pipe = launcher.start("print('hello')")
    assert output(pipe) == "hello\n"
    assert launcher.next()["code"] == 0
    launcher.connection.close()
    assert launcher.process.wait(PATIENCE_SECONDS) == 0
