"""What becomes of runs and artifacts: in backups, and when their workspace is deleted."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from mlflow_support import API, FILES, OTHER, begin, get
from support import WS, RunningServer, kill_all

MOORING = str(Path(sys.executable).with_name("mooring"))


def mooring(home: Path, *arguments: str) -> str:
    variables = {k: v for k, v in os.environ.items() if not k.startswith("MOORING_")}
    done = subprocess.run(
        [MOORING, *arguments],
        env={**variables, "MOORING_HOME": str(home)},
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
        assert rows(server.home, mine) == 5
        assert server.client.delete(WS).status_code == 204
        assert rows(server.home, mine) == 0
        assert not folder(server.home, mine).exists()
        assert rows(server.home, theirs) == 5
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
        assert rows(restored.home, mine) == 5
        assert restored.client.get(f"{WS}{API}/registered-models/get?name=registered").status_code == 200
        assert restored.client.get("/mooring/v1/check").json()["findings"] == []
        restored.close()
    finally:
        kill_all(restored.home)
