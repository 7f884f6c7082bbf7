"""`mooring doctor --check`: each kind of damage is found, by a running server and without one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import WS, RunningServer, eventually, processes_below

from mooring_runtime.supervisor.client import SupervisorClient

MOORING = str(Path(sys.executable).with_name("mooring"))
ECHO = b"def init(): pass\ndef run(data): return data\n"
ORDER = "Everything is in order."


def doctor(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in {"MOORING_ENDPOINT", "MOORING_TOKEN"}}
    return subprocess.run(
        [MOORING, "doctor", "--check", *arguments],
        env={**kept, "MOORING_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def found(home: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    done = doctor(home, "-o", "json", *arguments)
    report = json.loads(done.stdout)
    assert done.returncode == (0 if report["ok"] else 1)
    assert report["ok"] == all(f["severity"] != "wrong" for f in report["findings"])
    for finding in report["findings"]:
        assert finding["hint"]
        assert finding["message"]
    return {finding["code"]: finding for finding in report["findings"]}


def execute(home: Path, statement: str, *values: object) -> None:
    with contextlib.closing(sqlite3.connect(home / "mooring.db", timeout=30)) as connection, connection:
        connection.execute(statement, values)


def blob(home: Path, digest: str) -> Path:
    name = digest.partition(":")[2]
    return home / "content" / "blobs" / "sha256" / name[:2] / name


@pytest.fixture
def stocked(own_server: RunningServer) -> RunningServer:
    """A model, a service with it, nothing else."""
    digest = own_server.upload(b"the model" * 1000)
    model = {"name": "m", "files": [{"path": "m.bin", "digest": digest}]}
    assert own_server.client.post(f"{WS}/models", json=model).status_code == 201
    assert own_server.wait(own_server.deploy("svc", ECHO, models=["m:1"]))["state"] == "Succeeded"
    return own_server


def test_while_a_server_runs(stocked: RunningServer) -> None:
    home = stocked.home

    def look(*, deep: bool = False) -> dict[str, dict[str, Any]]:
        report = stocked.client.get("/mooring/v1/check", params={"deep": deep}).json()
        return {finding["code"]: finding for finding in report["findings"]}

    assert found(home, "--deep") == {}
    text = doctor(home)
    assert (text.returncode, ORDER in text.stdout) == (0, True)
    model = stocked.client.get(f"{WS}/models/m:1").json()["files"][0]["digest"]
    image = stocked.client.get(f"{WS}/images/svc:1").json()["imageDigest"]
    manifest = json.loads(blob(home, image).read_bytes())

    spoiled = damaged(blob(home, model), lambda data: b"X" + data[1:])
    assert look() == {}  # the size is right
    assert "m.bin of model m:1" in look(deep=True)["BlobDamaged"]["subject"]
    spoiled()
    layer = blob(home, manifest["layers"][-1]["digest"])
    spoiled = damaged(layer, lambda data: data[:-1])
    assert "layer of image svc:1" in look()["BlobSizeWrong"]["subject"]
    spoiled()
    content = layer.read_bytes()
    layer.unlink()
    report = doctor(home)
    assert report.returncode == 1
    assert "WRONG   BlobLost: layer of image svc:1" in report.stdout
    layer.write_bytes(content)
    spoiled = damaged(blob(home, image), lambda _: b"{}")
    assert "image svc:1" in look()["ImageIncomplete"]["subject"]
    spoiled()

    execute(home, "UPDATE counters SET last = 0 WHERE kind = 'model'")
    assert "model m" in look()["CounterBehind"]["subject"]
    execute(home, "UPDATE counters SET last = 1 WHERE kind = 'model'")
    execute(
        home,
        "INSERT INTO operations (id, workspace_id, kind, resource, resource_id, state, phases, created)"
        " VALUES ('x', 77, 'CreateService', 'services', 'gone', 'Succeeded', '[]', '')",
    )
    assert "operations row" in look()["ForeignKeyBroken"]["subject"]
    execute(home, "DELETE FROM operations WHERE id = 'x'")

    old = home / "content" / "uploads" / "left"
    old.write_text("x")
    assert "TemporaryLeft" not in look()  # it may be in use: it is younger than the server
    assert look() == {}


def test_an_operation_that_should_have_ended(stocked: RunningServer) -> None:
    phase = {"name": "Build", "state": "Running", "started": time.time() - 7200, "deadline_seconds": 3600}
    execute(
        stocked.home,
        "INSERT INTO operations (id, workspace_id, kind, resource, resource_id, state, phases, created)"
        " SELECT 'late', id, 'CreateImage', 'images', 'img:1', 'Running', ?, '' FROM workspaces LIMIT 1",
        json.dumps([phase]),
    )
    overdue = found(stocked.home)["OperationOverdue"]
    assert overdue["subject"] == "CreateImage of img:1"
    assert "Build should have ended 36" in overdue["message"]


def test_a_supervisor_that_does_not_follow_and_one_that_nobody_knows(stocked: RunningServer) -> None:
    home = stocked.home
    [directory] = (home / "services").iterdir()
    supervisor = SupervisorClient(directory).status()["pid"]
    os.kill(supervisor, signal.SIGSTOP)
    try:
        execute(home, "UPDATE services SET generation = generation + 1, settled = settled + 1")
        assert found(home)["ServiceOutdated"]["subject"] == "service svc"
    finally:
        os.kill(supervisor, signal.SIGCONT)
    eventually(lambda: found(home) == {}, "the server hands it over again")

    stocked.kill()
    execute(home, "DELETE FROM service_revisions")
    execute(home, "DELETE FROM services")
    assert found(home)["SupervisorUnknown"]["subject"] == directory.name
    stocked.start()
    eventually(lambda: found(home) == {}, "it is ended")


def test_without_a_server(stocked: RunningServer) -> None:
    home = stocked.home
    stocked.kill()
    assert found(home, "--deep") == {}  # the service goes on
    [directory] = (home / "services").iterdir()

    left = [home / "content" / "uploads" / "x", home / "cache" / "tmp" / "1.1-x", home / ".server.json.1"]
    for path in left:
        path.mkdir() if path.suffix == ".1-x" else path.write_text("")
    notes = json.loads(doctor(home, "-o", "json").stdout)
    assert notes["ok"]
    assert {Path(f["subject"]) for f in notes["findings"]} == set(left)
    assert {f["code"] for f in notes["findings"]} == {"TemporaryLeft"}

    stranger = home / "services" / "0123"
    shutil.copytree(directory, stranger, ignore=shutil.ignore_patterns("*.sock"))
    assert found(home)["ServiceUnknown"]["subject"] == str(stranger)
    for pid, command in processes_below(directory).items():
        if "supervisor" in command:
            os.kill(pid, signal.SIGKILL)
    lost = eventually(lambda: found(home).get("SupervisorLost"), "it is missed")
    assert (lost["subject"], lost["severity"]) == ("service svc", "note")
    kept = directory.with_name(".kept")
    directory.rename(kept)
    assert found(home)["ServiceDirectoryLost"]["subject"] == "service svc"
    kept.rename(directory)

    stocked.start()
    eventually(lambda: found(home) == {}, "a start of the server puts it right")
    assert not stranger.exists()
    assert not [path for path in left if path.exists()]


def test_damaged_databases(stocked: RunningServer) -> None:
    home = stocked.home
    stocked.stop()
    database = home / "mooring.db"
    good = database.read_bytes()
    pages = bytearray(good)
    for start in range(4096 * 3, len(pages), 4096):
        pages[start : start + 64] = b"\xff" * 64
    database.write_bytes(pages)
    assert "damaged" in found(home)["DatabaseDamaged"]["message"]
    database.write_bytes(b"this is no database at all" * 400)
    assert list(found(home)) == ["DatabaseDamaged"]
    database.unlink()
    assert list(found(home)) == ["DatabaseLost"]
    database.write_bytes(good)
    execute(home, "UPDATE alembic_version SET version_num = '9999'")
    assert found(home)["SchemaDiffers"]["severity"] == "wrong"
    database.write_bytes(good)
    assert found(home) == {}


def test_where_there_is_nothing(tmp_path: Path) -> None:
    assert found(tmp_path / "none") == {}
    assert not (tmp_path / "none").exists()
    assert ORDER in doctor(tmp_path / "none").stdout
    assert doctor(tmp_path, "--deep").returncode == 0


def damaged(path: Path, change: Callable[[bytes], bytes]) -> Callable[[], None]:
    """Change a blob, which is read-only; what is returned puts it back."""
    content = path.read_bytes()

    def write(data: bytes) -> None:
        path.unlink()
        path.write_bytes(data)

    write(change(content))
    return lambda: write(content)
