"""``mooring-serve`` as people run it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from mooring_runtime.serve.watch import Watch
from mooring_runtime.testing import until

SCORE = """
import os
def init():
    print("model folder", os.environ.get("AZUREML_MODEL_DIR"))
def run(data):
    return {"version": VERSION, "data": data, "own": os.environ.get("MY_OWN")}
"""


class Command:
    """A running ``mooring-serve``."""

    def __init__(self, folder: Path, *flags: str, **environ: str) -> None:
        self._log = folder.parent / f"{folder.name}.out"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mooring_runtime.serve", *flags, "--port", "0"],
                cwd=folder,
                env={**os.environ, "TMPDIR": str(folder.parent / "tmp"), **environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def output(self) -> str:
        return self._log.read_text()

    def said(self, pattern: str) -> re.Match[str]:
        def look() -> re.Match[str] | None:
            assert self.process.poll() is None or re.search(pattern, self.output), self.output
            return re.search(pattern, self.output)

        found: re.Match[str] = until(look, f"{pattern!r} in the output")
        return found

    def post(self, body: bytes) -> str:
        port = int(self.said(r"POST http://127.0.0.1:(\d+)/score")[1])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        connection.request("POST", "/score", body)
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tmp").mkdir()
    project = tmp_path / "project"
    project.mkdir()
    (project / "score.py").write_text("VERSION = 1\n" + SCORE)
    return project


@pytest.fixture
def started(folder: Path) -> Iterator[list[Command]]:
    commands: list[Command] = []
    yield commands
    for command in commands:
        if command.process.poll() is None:
            command.end(signal.SIGTERM)


def test_serve_reload_and_stop(folder: Path, started: list[Command]) -> None:
    command = Command(folder, "score.py", "--model_dir", ".", "--reload", MY_OWN="variable")
    started.append(command)
    assert command.post(b"x") == '{"version": 1, "data": "x", "own": "variable"}'
    command.said(f"model folder {folder}")
    (folder / "score.py").write_text("VERSION = 22\n" + SCORE)
    command.said(r"Reloaded score.py \(revision 2\)")
    assert '"version": 22' in command.post(b"x")
    (folder / "model.onnx").write_text("another model")
    command.said(r"Changed: model.onnx")
    command.said(r"Reloaded score.py \(revision 3\)")
    (folder / "score.py").write_text("def broken(:")
    command.said("Revision 3 goes on serving")
    assert "SyntaxError" in command.output
    assert '"version": 22' in command.post(b"x")
    assert command.end() == 0
    assert list((folder.parent / "tmp").iterdir()) == []


def test_logs_as_json(folder: Path, started: list[Command]) -> None:
    command = Command(folder, "score.py", "--log_format", "json")
    started.append(command)
    command.post(b"x")
    command.said("model folder None")
    assert command.end() == 0
    lines = [json.loads(line) for line in command.output.splitlines()]
    assert [line["message"] for line in lines if "worker" in line] == ["model folder None"]
    assert lines[-1]["message"] == "Stopping."


def test_https(folder: Path, started: list[Command]) -> None:
    ca = trustme.CA()
    issued = ca.issue_cert("localhost")
    (folder / "chain.pem").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    (folder / "key.pem").write_bytes(issued.private_key_pem.bytes())
    files = ("--ssl_cert_pem_file", "chain.pem", "--ssl_key_pem_file", "key.pem")
    command = Command(folder, "score.py", *files, "--health_port", "0", SEPERATE_HEALTH_ENDPOINT="true")
    started.append(command)
    port = int(command.said(r"POST https://127.0.0.1:(\d+)/score")[1])
    trust = ssl.create_default_context()
    ca.configure_trust(trust)
    connection = http.client.HTTPSConnection("localhost", port, timeout=120, context=trust)
    connection.request("POST", "/score", b"x")
    assert connection.getresponse().status == 200
    connection.close()
    health = int(command.said(r"Health probes at port (\d+)")[1])
    probe = http.client.HTTPConnection("127.0.0.1", health, timeout=120)
    probe.request("GET", "/")
    assert probe.getresponse().read() == b"Healthy"
    probe.close()
    half = Command(folder, "score.py", *files[:2])
    assert half.process.wait(60) == 2
    assert "Give both" in half.output


def test_a_script_that_cannot_serve(folder: Path, started: list[Command]) -> None:
    (folder / "score.py").write_text("def init():\n    raise KeyError('nothing')\ndef run(data): pass")
    command = Command(folder, "score.py")
    started.append(command)
    assert command.process.wait(60) == 3
    assert "InitRaised: " in command.output
    assert "line 2, in init" in command.output
    assert list((folder.parent / "tmp").iterdir()) == []


def test_killed_it_leaves_nothing_running(folder: Path, started: list[Command]) -> None:
    command = Command(folder, "score.py")
    started.append(command)
    port = int(command.said(r"POST http://127.0.0.1:(\d+)/score")[1])
    command.end(signal.SIGKILL)

    def refused() -> bool:
        with socket.socket() as probe:
            return bool(probe.connect_ex(("127.0.0.1", port)))

    until(refused, "nobody listens any more")


def test_health_port(folder: Path, started: list[Command]) -> None:
    command = Command(folder, "score.py", "--health_port", "0", SEPERATE_HEALTH_ENDPOINT="true")
    started.append(command)
    port = int(command.said(r"Health probes at port (\d+)")[1])
    command.said("Serving score.py")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    for path, status in (("/", 200), ("/score", 404)):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status
    connection.close()
    assert command.end(signal.SIGTERM) == 0


def test_no_debugger(folder: Path, started: list[Command]) -> None:
    (folder / "debugpy.py").write_text("raise ImportError('not here', name='debugpy')")
    command = Command(folder, "score.py", "--debug_port", "5")
    started.append(command)
    assert command.process.wait(60) == 3
    assert "debugpy is not installed" in command.output


def test_a_debugger(folder: Path, started: list[Command]) -> None:
    (folder / "debugpy.py").write_text(
        'def listen(address):\n print("listening", address)\n return address\ndef wait_for_client(): print("waited")'
    )
    command = Command(folder, "score.py", "--debug_port", "5", "--debug_wait")
    started.append(command)
    command.said(r"waited\n(.|\n)*POST http")
    assert "listening ('127.0.0.1', 5)" in command.output
    assert "attach a debugger to 127.0.0.1:5" in command.output


def test_wrong_settings(folder: Path) -> None:
    command = Command(folder, "absent.py")
    assert command.process.wait(30) == 2
    assert "absent.py does not exist" in command.output


def test_watch(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    outside = tmp_path.parent / f"{tmp_path.name}-outside.py"
    watch = Watch(tmp_path, (outside,))
    assert watch.changed() == []
    for name in (
        "b.py",
        "data.json",
        "config.json",
        ".hidden/c.py",
        "__pycache__/d.py",
        "venv/pyvenv.cfg",
        "venv/e.py",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("1")
    outside.write_text("1")
    (tmp_path / "a.py").unlink()
    assert watch.changed() == []
    expected = [tmp_path / "a.py", tmp_path / "b.py", tmp_path / "config.json", outside]
    assert watch.changed() == sorted(map(str, expected))
    assert watch.changed() == []


def test_watch_models(tmp_path: Path) -> None:
    source, models = tmp_path / "source", tmp_path / "models"
    source.mkdir()
    models.mkdir()
    watch = Watch(source, (), models)
    (models / "model.pkl").write_text("half")
    (models / "scored.csv").write_text("written by the script")
    (source / "cache.pkl").write_text("written by the script")
    assert watch.changed() == []
    (models / "model.pkl").write_text("all of it")
    assert watch.changed() == []
    assert watch.changed() == [str(models / "model.pkl")]
    assert watch.changed() == []
