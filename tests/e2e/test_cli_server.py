"""`mooring up`, `status`, `down`, `doctor` with a data directory of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import eventually, kill_all, processes_below

MOORING = str(Path(sys.executable).with_name("mooring"))
ECHO = "def init():\n    pass\ndef run(x):\n    return x\n"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    kill_all(tmp_path / "home")


@pytest.fixture
def environ(home: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MOORING_")}
    return {**kept, "MOORING_HOME": str(home)}


@pytest.fixture
def mooring(tmp_path: Path, environ: dict[str, str]) -> Run:
    def run(*arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [MOORING, *arguments],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == status, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done

    return run


def state(mooring: Run, **more: Any) -> Any:
    return json.loads(mooring("status", "-o", "json", **more).stdout)


def test_up_status_down_and_services_that_outlive_it(mooring: Run, home: Path, tmp_path: Path) -> None:
    assert not state(mooring, status=1)["running"]
    up = json.loads(mooring("up", "-o", "json").stdout)
    assert up["running"]
    assert json.loads(mooring("up", "-o", "json").stdout)["pid"] == up["pid"]
    assert "mooring down" in mooring("up", "--port", "18777", status=1).stderr

    (tmp_path / "score.py").write_text(ECHO)
    (tmp_path / "model.txt").write_text("m")
    (tmp_path / "env.yml").write_text("dependencies:\n- python={}.{}\n".format(*sys.version_info[:2]))
    mooring("model", "register", "-n", "m", "-p", "model.txt")
    mooring(
        "model", "deploy", "-n", "echo", "-m", "m", "--es", "score.py", "--rt", "python", "--cf", "env.yml"
    )
    [running] = state(mooring)["services"]
    assert running["name"] == "echo"

    down = mooring("down")
    assert "echo" in down.stderr
    left = state(mooring, status=1)
    assert [s["name"] for s in left["services"]] == ["echo"]
    mooring("up")
    assert json.loads(mooring("service", "run", "-n", "echo", "-d", "1").stdout) == "1"

    assert "echo" in mooring("down", "--services", "--dry-run").stderr
    assert "--yes" in mooring("down", "--services", status=1).stderr
    mooring("down", "--services", "--yes")
    assert eventually(lambda: not processes_below(home), "nothing is left running")

    mooring("up")
    [again] = eventually(lambda: state(mooring)["services"], "the service comes back with the server")
    assert again["url"] == running["url"]
    mooring("service", "delete", "-n", "echo", "--yes")
    mooring("down")


def test_foreground_is_the_server_itself(home: Path, environ: dict[str, str], tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as output:
        process = subprocess.Popen([MOORING, "up", "--foreground"], env=environ, stdout=output, stderr=output)
    told = eventually(
        lambda: (home / "server.json").exists() and json.loads((home / "server.json").read_text()),
        "it announces itself",
    )
    assert told["pid"] == process.pid
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0


def test_doctor(mooring: Run, home: Path) -> None:
    report = json.loads(mooring("doctor", "-o", "json").stdout)
    assert report["ok"]
    found = {check["name"]: check for check in report["checks"]}
    assert found["Server package"]["status"] == "ok"
    assert found["azureml imports"]["status"] == "ok"
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    found = {c["name"]: c for c in json.loads(mooring("doctor", "-o", "json").stdout)["checks"]}
    assert found["Data directory"]["status"] == "limited"
    assert "chmod go-rwx" in found["Data directory"]["fix"]
    text = mooring("doctor").stdout
    assert "The main job works here" in text
    assert "\x1b" not in text


def test_doctor_fails_when_the_named_server_does_not_answer(mooring: Run, environ: dict[str, str]) -> None:
    environ["MOORING_ENDPOINT"] = "http://127.0.0.1:9"
    report = json.loads(mooring("doctor", "-o", "json", status=1).stdout)
    assert not report["ok"]
