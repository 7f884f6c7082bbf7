"""What becomes of runs and artifacts: in backups, and when their workspace is deleted."""

from __future__ import annotations

import itertools
import os
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from mlflow_support import API, FILES, OTHER, begin, get
from support import WS, RunningServer, eventually, kill_all

MOORING = str(Path(sys.executable).with_name("mooring"))


def environ(home: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MOORING_")}
    return {**kept, "MOORING_HOME": str(home)}


def mooring(home: Path, *arguments: str) -> str:
    done = subprocess.run(
        [MOORING, *arguments],
        env=environ(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def fill(server: RunningServer, workspace: str) -> tuple[dict[str, str], str]:
    """A run with a metric, a file and a registered model; the run and the path of its file."""
    assert server.client.put(workspace, json={}).status_code == 201
    run = begin(server, workspace)
    path = f"{workspace}{FILES}/{run['artifact_uri'].partition(':/')[2]}/ä b.txt"
    for method, url, body in (
        ("POST", "/runs/log-metric", {"run_id": run["run_id"], "key": "loss", "value": 1, "timestamp": 1}),
        ("POST", "/registered-models/create", {"name": "registered"}),
    ):
        assert server.client.request(method, f"{workspace}{API}{url}", json=body).status_code == 200
    assert server.client.put(path, content=b"weights").status_code == 200
    return run, path


def rows(home: Path, uid: str) -> int:
    """Rows of MLflow's that belong to a workspace."""
    with closing(sqlite3.connect(home / "mlflow" / "mlflow.db")) as database:
        (count,) = database.execute(
            "SELECT (SELECT count(*) FROM experiments WHERE workspace = :uid)"
            " + (SELECT count(*) FROM registered_models WHERE workspace = :uid)"
            " + (SELECT count(*) FROM runs LEFT JOIN experiments USING (experiment_id)"
            "    WHERE workspace = :uid OR workspace IS NULL)"
            " + (SELECT count(*) FROM metrics LEFT JOIN runs USING (run_uuid) WHERE runs.run_uuid IS NULL)"
            " + (SELECT count(*) FROM workspaces WHERE name = :uid)",
            {"uid": uid},
        ).fetchone()
    return int(count)


def folder(home: Path, uid: str) -> Path:
    return home / "mlflow" / "artifacts" / "workspaces" / uid


@pytest.mark.full
def test_runs_are_backed_up_and_go_with_their_workspace(tmp_path: Path) -> None:
    server = RunningServer(tmp_path / "home").start()
    try:
        run, path = fill(server, WS)
        fill(server, OTHER)
        mine, theirs = (server.client.get(ws).json()["workspaceid"] for ws in (WS, OTHER))
        mooring(server.home, "backup", str(tmp_path / "b.tar"))

        # Of a deleted workspace nothing is left, while the tracking server runs.
        assert rows(server.home, mine) == 4
        assert server.client.delete(WS).status_code == 204
        assert rows(server.home, mine) == 0
        assert not folder(server.home, mine).exists()
        assert rows(server.home, theirs) == 4
        server.client.close()
        assert server.stop() == 0
    finally:
        kill_all(server.home)

    restored = RunningServer(tmp_path / "restored")
    mooring(restored.home, "restore", str(tmp_path / "b.tar"))
    restored.start()
    try:
        # Its own tracking server does not run yet: rows go when it is started, files at once.
        assert folder(restored.home, theirs).exists()
        assert restored.client.delete(OTHER).status_code == 204
        assert not folder(restored.home, theirs).exists()
        assert get(restored, run).json()["run"]["data"]["metrics"][0]["value"] == 1
        assert restored.client.get(path).content == b"weights"
        assert rows(restored.home, theirs) == 0
        assert rows(restored.home, mine) == 4
        assert restored.client.get(f"{WS}{API}/registered-models/get?name=registered").status_code == 200
        assert restored.client.get("/mooring/v1/check").json()["findings"] == []
        restored.close()
    finally:
        kill_all(restored.home)


@pytest.fixture
def logging(tmp_path: Path) -> Iterator[tuple[RunningServer, dict[str, str], list[int]]]:
    """A server, a run that is logged to all the time, and the steps that were answered: a metric and a file each."""
    server = RunningServer(tmp_path / "home").start()
    stop = threading.Event()
    done: list[int] = []
    try:
        assert server.client.put(WS, json={}).status_code == 201
        run = begin(server)
        below = f"{WS}{FILES}/{run['artifact_uri'].partition(':/')[2]}"

        def log() -> None:
            for step in itertools.count():
                metric = {"run_id": run["run_id"], "key": "loss", "value": step, "timestamp": 1, "step": step}
                if stop.is_set():
                    return
                assert server.client.post(f"{WS}{API}/runs/log-metric", json=metric).status_code == 200
                assert server.client.put(f"{below}/{step}", content=content(step)).status_code == 200
                done.append(step)

        thread = threading.Thread(target=log)
        thread.start()
        try:
            eventually(lambda: len(done) > 5 or not thread.is_alive(), "it is logged to", 120)
            yield server, run, done
            assert thread.is_alive(), "every step was answered"
        finally:
            stop.set()
            thread.join(60)
        server.close()
    finally:
        kill_all(server.home)


def content(step: int) -> bytes:
    return step.to_bytes(8, "big") * 50_000


def check(home: Path, run: dict[str, str], least: int) -> None:
    """A restored run has all steps up to some one, and whole files."""
    with closing(sqlite3.connect(home / "mlflow" / "mlflow.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found = database.execute("SELECT step FROM metrics WHERE run_uuid = ? ORDER BY step", [run["run_id"]])
        steps = [step for (step,) in found]
    files = {
        int(path.name): path.read_bytes()
        for path in (home / "mlflow" / "artifacts").rglob("*")
        if path.is_file()
    }
    assert steps == list(range(len(steps)))
    assert len(steps) >= least
    # Files are taken after the rows: none that a row's step came after is missing.
    assert set(files) >= set(range(len(steps) - 1))
    assert files == {step: content(step) for step in files}


@pytest.mark.full
def test_a_backup_while_a_run_is_logged(
    logging: tuple[RunningServer, dict[str, str], list[int]], tmp_path: Path
) -> None:
    server, run, done = logging
    for number in range(3):
        before = len(done)
        mooring(server.home, "backup", str(tmp_path / f"{number}.tar"))
        other = tmp_path / f"restored{number}"
        mooring(other, "restore", str(tmp_path / f"{number}.tar"))
        check(other, run, before)


@pytest.mark.full
def test_killed_backups_and_restores_leave_no_half_of_it(
    logging: tuple[RunningServer, dict[str, str], list[int]], tmp_path: Path
) -> None:
    server, run, done = logging
    chance = random.Random(3)
    file = tmp_path / "b.tar"
    kept = server.home / "cache" / "tmp"
    for _ in range(5):
        process = subprocess.Popen(
            [MOORING, "backup", str(file)], env=environ(server.home), stderr=subprocess.DEVNULL
        )
        try:
            process.wait(chance.uniform(0.2, 1.5))
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
        if file.exists():
            mooring(server.home, "restore", str(file), "--dry-run")
            file.unlink()
    eventually(lambda: not list(kept.glob("backup-*")), "the server lets go of the files")
    before = len(done)
    mooring(server.home, "backup", str(file))

    other = tmp_path / "other"
    command = [sys.executable, "-m", "mooring_server.backup", "restore", str(file), "--home", str(other)]
    for _ in range(8):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            process.wait(chance.uniform(0.3, 1.2))
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
        if (other / "restore" / "commit").exists() or (other / "mooring.db").exists():
            break  # the point of no return: the server completes it
        assert not (other / "mlflow").exists()
    else:
        mooring(other, "restore", str(file))
    restored = RunningServer(other).start()
    try:
        check(other, run, before)
        assert get(restored, run).status_code == 200
        restored.close()
    finally:
        kill_all(other)


@pytest.mark.full
def test_a_server_that_dies_during_a_backup_leaves_no_copies(tmp_path: Path) -> None:
    server = RunningServer(tmp_path / "home").start()
    try:
        run, path = fill(server, WS)
        for number in range(20):
            put = server.client.put(f"{path.rpartition('/')[0]}/{number}", content=os.urandom(4_000_000))
            assert put.status_code == 200
        file = tmp_path / "b.tar"
        kept = server.home / "cache" / "tmp"
        process = subprocess.Popen(
            [MOORING, "backup", str(file)], env=environ(server.home), stderr=subprocess.DEVNULL
        )
        eventually(lambda: list(kept.glob("backup-*")) or process.poll() is not None, "it has begun", 60)
        server.kill()
        process.wait(120)
        server.start()
        assert not list(kept.glob("backup-*"))
        mooring(server.home, "backup", str(file), "--force")
        assert get(server, run).status_code == 200
        server.close()
    finally:
        kill_all(server.home)
