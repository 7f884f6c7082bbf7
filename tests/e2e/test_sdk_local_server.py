"""The per-user server: started by the first script, once, found by the others, stopped on request."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sdk_support import inference_config, register, write_app
from support import kill_all

from azureml.core import Workspace
from azureml.core.model import Model
from mooring.sdk import local_server


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    home = tmp_path / "home"
    monkeypatch.setenv("MOORING_HOME", str(home))
    monkeypatch.delenv("MOORING_ENDPOINT", raising=False)
    yield home
    local_server.stop()
    kill_all(home)


def test_started_once_and_stopped(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert local_server.status()["running"] is False
    connection = local_server.ensure_server()
    told = capsys.readouterr().err
    assert told == (
        f"Started Mooring server at {connection.endpoint} (data in {home}; stop it with: mooring down)\n"
    )
    assert local_server.ensure_server() == connection
    assert capsys.readouterr().err == ""
    status = local_server.status()
    assert (status["running"], status["url"]) == (True, connection.endpoint)
    assert json.loads((home / "server.json").read_text())["pid"] == status["pid"]
    assert local_server.stop() is True
    assert local_server.stop() is False
    assert local_server.running() is None


SCRIPT = "from mooring.sdk import local_server; print(local_server.ensure_server().endpoint)"


def test_scripts_that_start_together_share_one_server(home: Path) -> None:
    scripts = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    answers = [script.communicate() for script in scripts]
    assert len({out for out, _ in answers}) == 1, answers
    assert sum(err.count("Started") for _, err in answers) == 1


def test_a_server_that_was_stopped_meanwhile_is_started_again(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ws = Workspace("s", "g", "work")
    local_server.stop()
    capsys.readouterr()
    assert ws.get_details()["name"] == "work"
    assert "Started Mooring server" in capsys.readouterr().err


def test_a_script_goes_on_waiting_when_the_server_is_killed(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_app(tmp_path)
    ws = Workspace("s", "g", "work")
    service = Model.deploy(ws, "svc-killed", [register(ws, tmp_path)], inference_config(tmp_path))
    os.kill(json.loads((home / "server.json").read_text())["pid"], signal.SIGKILL)
    service.wait_for_deployment(show_output=True)
    assert capsys.readouterr().err.count("Started Mooring server") == 2
    assert service.run('{"data": [3]}') == [6.0]
    service.delete()
