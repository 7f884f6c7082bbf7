"""A database of an older MLflow, of 2.22 itself, opened by our tracking server."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from mooring_server.domain.errors import MooringError
from mooring_server.tracking.process import TrackingServer

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

# As a user of 2.22 has it, without a server.
WRITES = """
import mlflow

mlflow.set_tracking_uri("sqlite:///mlflow.db")
mlflow.create_experiment("old", artifact_location="files")
with mlflow.start_run(experiment_id="1") as run:
    mlflow.log_param("alpha", "0.3")
    for step in range(20):
        mlflow.log_metric("loss", 20 - step, step)
client = mlflow.MlflowClient()
client.create_registered_model("diabetes", tags={"a": "b"})
client.create_model_version("diabetes", "files/model", run.info.run_id)
client.set_registered_model_alias("diabetes", "champion", "1")
print(run.info.run_id)
"""


@pytest.fixture(scope="module")
def old(
    tmp_path_factory: pytest.TempPathFactory, reference_python: Callable[[str], Path]
) -> tuple[Path, str]:
    """The database, and the id of its run."""
    folder = tmp_path_factory.mktemp("mlflow-2")
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "COV"))}
    done = subprocess.run(
        [reference_python("reference-mlflow-2"), "-c", WRITES],
        cwd=folder,
        env={**variables, "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "mlflow.db", done.stdout.split()[-1]


@pytest.fixture
def tracking(tmp_path: Path, old: tuple[Path, str]) -> TrackingServer:
    """A tracking server that was not started yet, with a copy of the database."""
    folder = tmp_path / "mlflow"
    folder.mkdir(mode=0o700)
    shutil.copyfile(old[0], folder / "mlflow.db")
    return TrackingServer(folder, tmp_path / "mlflow.log")


def schema(database: Path) -> str:
    """Of a database that is whole."""
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (found,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        (steps,) = connection.execute("SELECT count(*) FROM metrics").fetchone()
    assert steps == 20
    return str(found)


def ask(tracking: TrackingServer, path: str, **asked: str) -> httpx.Response:
    """What it answers; what MLflow 2 wrote is in MLflow's default workspace."""
    tracking.ensure()
    transport = httpx.HTTPTransport(uds=tracking.address, verify=False)
    with httpx.Client(transport=transport, timeout=300) as client:
        headers = {"x-mlflow-workspace": "default"}
        return client.get(f"http://localhost/api/2.0/mlflow{path}", params=asked, headers=headers)


def check(tracking: TrackingServer, run_id: str) -> None:
    answer = ask(tracking, "/runs/get", run_id=run_id)
    assert answer.status_code == 200, answer.text
    data = answer.json()["run"]["data"]
    assert data["params"] == [{"key": "alpha", "value": "0.3"}]
    assert [(metric["value"], metric["step"]) for metric in data["metrics"]] == [(1, 19)]
    version = ask(tracking, "/registered-models/alias", name="diabetes", alias="champion").json()
    assert version["model_version"]["run_id"] == run_id
    registered = ask(tracking, "/registered-models/get", name="diabetes").json()["registered_model"]
    assert registered["tags"] == [{"key": "a", "value": "b"}]


def test_what_mlflow_2_wrote_is_there(tracking: TrackingServer, old: tuple[Path, str]) -> None:
    before = schema(old[0])
    try:
        check(tracking, old[1])
    finally:
        tracking.close()
    now = schema(tracking.folder / "mlflow.db")
    assert now != before
    assert schema(tracking.folder / f"mlflow.db.{before}") == before
    files = sorted(path.name for path in tracking.folder.glob("*mlflow.db*"))
    assert files == ["mlflow.db", f"mlflow.db.{before}"]


def test_a_killed_upgrade_leaves_the_old_or_the_new(
    tracking: TrackingServer, old: tuple[Path, str], tmp_path: Path
) -> None:
    before, chance = schema(old[0]), random.Random(8)
    copy = tracking.folder / ".mlflow.db.new"
    command = [
        sys.executable,
        "-c",
        "import sys, pathlib; from mooring_server.tracking.schema import prepare;",
    ]
    command[-1] += "import mlflow.store.db.utils; print(flush=True); prepare(pathlib.Path(sys.argv[1]))"
    caught = 0
    for _ in range(8):
        process = subprocess.Popen(
            [*command, str(tracking.folder / "mlflow.db")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdout is not None
        process.stdout.readline()  # all is imported
        try:
            process.wait(chance.uniform(0.05, 1.5))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        caught += copy.exists()
        if schema(tracking.folder / "mlflow.db") != before:
            break
    assert caught
    try:
        check(tracking, old[1])
    finally:
        tracking.close()
    files = sorted(path.name for path in tracking.folder.glob("*mlflow.db*"))
    assert files == ["mlflow.db", f"mlflow.db.{before}"]
    assert schema(tracking.folder / f"mlflow.db.{before}") == before


def test_a_newer_database_is_refused(tracking: TrackingServer) -> None:
    database = tracking.folder / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffff00001111'")
        connection.commit()
    content = database.read_bytes()
    try:
        with pytest.raises(httpx.TransportError):
            ask(tracking, "/experiments/search")
        refusal = tracking.refusal()
        assert refusal is not None
        assert refusal.code == "TrackingDataTooNew"
        assert "ffff00001111" in refusal.evidence["log"]
        # It is not tried again and again.
        with pytest.raises(MooringError) as caught:
            tracking.ensure()
        assert caught.value.code == "TrackingDataTooNew"
    finally:
        tracking.close()
    assert database.read_bytes() == content
    assert sorted(path.name for path in tracking.folder.glob("*mlflow.db*")) == ["mlflow.db"]
