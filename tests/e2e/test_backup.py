"""`mooring backup` and `mooring restore` for real: under load, killed, into other data directories."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from support import WS, RunningServer, eventually, kill_all, processes_below

MOORING = str(Path(sys.executable).with_name("mooring"))
SCORE = b"""
import json, os
def init():
    global weight
    weight = float(open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "w.txt")).read())
def run(data):
    return weight * json.loads(data)
"""
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def environ(home: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MOORING_")}
    return {**kept, "MOORING_HOME": str(home)}


def mooring(home: Path, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [MOORING, *arguments], env=environ(home), capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == status, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done


def register(server: RunningServer, name: str, files: dict[str, bytes]) -> None:
    described = [{"path": path, "digest": server.upload(data)} for path, data in files.items()]
    answer = server.client.post(f"{WS}/models", json={"name": name, "files": described})
    assert answer.status_code == 201, answer.text


def all_models(server: RunningServer) -> dict[str, bytes]:
    """Every byte of every model."""
    found = {}
    for model in server.client.get(f"{WS}/models").json()["value"]:
        for file in model["files"]:
            answer = server.client.get(f"{WS}/models/{model['id']}/files/{file['path']}")
            assert answer.status_code == 200
            found[f"{model['id']}/{file['path']}"] = answer.content
    return found


def score(url: str, key: str, data: float) -> Any:
    answer = httpx.post(url, json=data, headers={"Authorization": f"Bearer {key}"}, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
def deployed(own_server: RunningServer) -> Iterator[RunningServer]:
    """A server with a few MB of models and a service that wants keys."""
    register(own_server, "weights", {"w.txt": b"3"})
    noise = random.Random(7)
    register(own_server, "big", {f"big/{i}.bin": noise.randbytes(400_000) for i in range(12)})
    asked = own_server.deploy("scorer", SCORE, models=["weights:1"], authEnabled=True)
    assert own_server.wait(asked)["state"] == "Succeeded"
    return own_server


@pytest.fixture
def other_home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "other"
    kill_all(tmp_path / "other")


def back_up_under_load(server: RunningServer, file: Path, url: str, key: str) -> Any:
    """Back up several times while a service is deployed again and again, and another one answers all the time."""
    stop = threading.Event()
    failures: list[str] = []
    deployments: list[str] = []

    def keep_deploying() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                register(server, f"more-{number % 3}", {"w.txt": b"%d" % number})
                script = SCORE + b"# %d" % number
                asked = server.deploy("busy", script, models=["weights:1"], overwrite=True)
                deployments.append(server.wait(asked)["state"])
            except AssertionError as error:
                failures.append(str(error))

    def keep_scoring() -> None:
        while not stop.is_set():
            if score(url, key, 2) != 6.0:
                failures.append("another answer")

    threads = [threading.Thread(target=keep_deploying), threading.Thread(target=keep_scoring)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: deployments, "a deployment has been made")
        for _ in range(3):
            told = json.loads(mooring(server.home, "backup", str(file), "--force", "-o", "json").stdout)
        eventually(lambda: len(deployments) > 2, "deployments go on")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert set(deployments) == {"Succeeded"}
    return told


def test_back_up_under_load_wipe_restore_score(
    deployed: RunningServer, tmp_path: Path, other_home: Path
) -> None:
    before = deployed.client.get(f"{WS}/services/scorer").json()
    keys = deployed.client.post(f"{WS}/services/scorer/listkeys").json()
    models = all_models(deployed)
    file = tmp_path / "mooring.tar"
    told = back_up_under_load(deployed, file, before["scoringUri"], keys["primaryKey"])
    assert told["bytes"] == file.stat().st_size > 4_000_000
    assert file.stat().st_mode & 0o077 == 0

    deployed.stop()
    kill_all(deployed.home)
    eventually(lambda: not processes_below(deployed.home), "all are gone")
    shutil.rmtree(deployed.home)

    held = json.loads(mooring(other_home, "restore", str(file), "--dry-run", "-o", "json").stdout)
    assert held["services"] == told["services"] >= 1
    assert not (other_home / "mooring.db").exists()
    restored = json.loads(mooring(other_home, "restore", str(file), "-o", "json").stdout)
    assert restored["moved"] == []
    server = RunningServer(other_home).start()
    try:

        def healthy() -> Any:
            view = server.client.get(f"{WS}/services/scorer").json()
            return (
                view if view["state"] == "Healthy" and view["deploymentStatus"]["phase"] == "Ready" else None
            )

        view = eventually(healthy, "the service is back")
        assert view["scoringUri"] == before["scoringUri"]
        assert view["imageDigest"] == before["imageDigest"]
        assert server.client.post(f"{WS}/services/scorer/listkeys").json() == keys
        assert eventually(lambda: _answers(view, keys), "it answers") == 6.0
        after = all_models(server)
        assert models.items() <= after.items()
        assert server.token == json.loads((other_home / "settings.json").read_text())["token"]
        # What was being deployed when the backup was made has come to an end, too.
        busy = server.client.get(f"{WS}/services/busy")
        if busy.status_code == 200:
            assert server.wait(busy.json())["state"] in {"Succeeded", "Cancelled"}
        server.close()
    finally:
        kill_all(other_home)


def _answers(view: dict[str, Any], keys: dict[str, str]) -> Any:
    try:
        return score(view["scoringUri"], keys["primaryKey"], 2)
    except httpx.TransportError:
        return None


def test_without_a_server_and_where_ports_are_taken(
    deployed: RunningServer, tmp_path: Path, other_home: Path
) -> None:
    before = deployed.client.get(f"{WS}/services/scorer").json()
    keys = deployed.client.post(f"{WS}/services/scorer/listkeys").json()
    models = all_models(deployed)
    file = tmp_path / "mooring.tar"
    running = mooring(deployed.home, "restore", str(file), status=1).stderr
    assert "ServerRunning" in running
    deployed.stop()
    mooring(deployed.home, "backup", str(file))
    assert "FileExists" in mooring(deployed.home, "backup", str(file), status=1).stderr
    assert "ServicesRunning" in mooring(deployed.home, "restore", str(file), "--force", status=1).stderr
    restored = json.loads(mooring(other_home, "restore", str(file), "-o", "json").stdout)
    assert restored["moved"] == ["scorer"]
    assert "HomeNotEmpty" in mooring(other_home, "restore", str(file), status=1).stderr
    other = RunningServer(other_home).start()
    try:
        view = eventually(
            lambda: (v := other.client.get(f"{WS}/services/scorer").json())["state"] == "Healthy" and v,
            "back",
            120,
        )
        assert view["scoringUri"] != before["scoringUri"]
        assert eventually(lambda: _answers(view, keys), "it answers") == 6.0
        assert all_models(other) == models
        # The first one went on all the time.
        assert score(before["scoringUri"], keys["primaryKey"], 4) == 12.0
        other.close()
    finally:
        kill_all(other_home)


@pytest.mark.full
def test_killed_backups_leave_nothing_and_hold_nothing(deployed: RunningServer, tmp_path: Path) -> None:
    chance = random.Random(5)
    file = tmp_path / "mooring.tar"
    for _ in range(6):
        process = subprocess.Popen(
            [MOORING, "backup", str(file)], env=environ(deployed.home), stderr=subprocess.DEVNULL
        )
        try:
            process.wait(chance.uniform(0.1, 1.5))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait()
        if file.exists():  # it was done before: then it is right
            mooring(deployed.home, "restore", str(file), "--dry-run")
            file.unlink()
    # A caller that goes away in the middle lets go: a later backup works, and so does stopping.
    with httpx.stream("GET", f"{deployed.url}/mooring/v1/backup", headers=deployed.client.headers) as answer:
        assert int(answer.headers["Content-Length"]) > 4_000_000
        next(answer.iter_raw(1000))
    mooring(deployed.home, "backup", str(file))
    file.unlink()
    # The server dies in the middle: the command says so and keeps nothing.
    deployed.stop()
    for _ in range(3):
        process = subprocess.Popen(
            [MOORING, "backup", str(file)], env=environ(deployed.home), stdout=subprocess.DEVNULL
        )
        try:
            process.wait(chance.uniform(0.2, 1.2))
        except subprocess.TimeoutExpired:
            for pid in processes_below(file):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        if file.exists():
            mooring(deployed.home, "restore", str(file), "--dry-run")
            file.unlink()
    deployed.start()
    mooring(deployed.home, "backup", str(file))
    assert not list((deployed.home / "cache").glob("backup-*"))


@pytest.mark.full
def test_a_server_that_dies_during_a_backup(deployed: RunningServer, tmp_path: Path) -> None:
    noise = random.Random(9)
    register(deployed, "bigger", {f"b/{i}": noise.randbytes(4_000_000) for i in range(12)})
    file = tmp_path / "mooring.tar"
    part = file.with_name("mooring.tar.part")
    process = subprocess.Popen(
        [MOORING, "backup", str(file)], env=environ(deployed.home), stderr=subprocess.PIPE, text=True
    )
    eventually(lambda: part.exists() or process.poll() is not None, "it has begun")
    deployed.kill()
    _, said = process.communicate(timeout=120)
    if process.returncode:
        assert "BackupInterrupted" in said
        assert not file.exists()
        assert not part.exists()
    deployed.start()
    mooring(deployed.home, "backup", str(file), "--force")
    mooring(deployed.home, "restore", str(file), "--dry-run")


@pytest.mark.full
def test_killed_restores_are_done_or_not_at_all(
    deployed: RunningServer, tmp_path: Path, other_home: Path
) -> None:
    file = tmp_path / "mooring.tar"
    models = all_models(deployed)
    mooring(deployed.home, "backup", str(file))
    chance = random.Random(11)
    command = [sys.executable, "-m", "mooring_server.backup", "restore", str(file), "--home", str(other_home)]
    for _ in range(8):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            process.wait(chance.uniform(0.3, 1.2))
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
        if (other_home / "restore" / "commit").exists() or (other_home / "mooring.db").exists():
            break  # the point of no return: the server completes it
    else:
        mooring(other_home, "restore", str(file))
    deployed.stop()
    kill_all(deployed.home)
    other = RunningServer(other_home).start()
    try:
        assert all_models(other) == models
        assert not (other_home / "restore").exists()
        with closing(sqlite3.connect(other_home / "mooring.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        other.close()
    finally:
        kill_all(other_home)


def test_damaged_backups_are_refused(deployed: RunningServer, tmp_path: Path, other_home: Path) -> None:
    file = tmp_path / "mooring.tar"
    mooring(deployed.home, "backup", str(file))
    with file.open("r+b") as out:
        out.truncate(file.stat().st_size - 5000)
    for options in ((), ("--dry-run",)):
        said = mooring(other_home, "restore", str(file), *options, "-o", "json", status=1).stderr
        assert json.loads(said)["error"]["code"] == "BackupDamaged"
    assert not (other_home / "mooring.db").exists()
    said = mooring(other_home, "restore", str(Path(__file__)), status=1).stderr
    assert "BackupInvalid" in said


def test_a_backup_wants_the_token(server: RunningServer) -> None:
    assert httpx.get(f"{server.url}/mooring/v1/backup", timeout=60).status_code == 401


def test_data_of_a_newer_mooring(other_home: Path) -> None:
    server = RunningServer(other_home).start()
    server.close()
    with closing(sqlite3.connect(other_home / "mooring.db", isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute("PRAGMA journal_mode=DELETE")
    before = {p.name: p.read_bytes() for p in other_home.iterdir() if p.is_file() and p.name != "output.log"}
    done = subprocess.run(
        [sys.executable, "-m", "mooring_server", "--home", str(other_home)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert "DataTooNew" in done.stderr
    assert "9999" in done.stderr
    assert "Traceback" not in done.stderr
    said = json.loads(mooring(other_home, "up", "-o", "json", status=1).stderr)["error"]
    assert "DataTooNew" in json.dumps(said)
    assert "9999" in json.dumps(said)
    assert "DataTooNew" in mooring(other_home, "backup", str(other_home / "x.tar"), status=1).stderr
    with closing(sqlite3.connect(f"file:{other_home}/mooring.db?mode=ro", uri=True)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("9999",)
    assert (other_home / "settings.json").read_bytes() == before["settings.json"]
    assert not list(other_home.glob("*.bak"))
