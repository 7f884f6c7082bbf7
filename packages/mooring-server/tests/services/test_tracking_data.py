"""MLflow's runs and artifacts in a backup, with a real database and real files."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mooring_server.domain.errors import MooringError
from mooring_server.services import restores, tracking_data
from mooring_server.services.backups import Backup, pieces
from mooring_server.services.context import WorkspaceRef
from mooring_server.services.tracking_data import TrackingData
from mooring_server.services.workspaces import Workspaces
from mooring_server.settings import Home, Settings
from mooring_server.store.content import ContentStore
from mooring_server.store.retention import Retention
from mooring_server.testing import make_context

# More than a tar header takes, not ASCII, and empty.
ARTIFACTS = {"a.txt": b"one", f"{'long/' * 60}b c.bin": b"2" * 100_000, "ä\n.json": b"{}", "empty": b""}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A data directory in which MLflow was used."""
    home = Home.open(tmp_path / "home")
    Settings("the token", 4711).save(home)
    context = make_context(home.path)
    Workspaces(context).create(WorkspaceRef("sub", "rg", "ws"), {}, exist_ok=False)
    context.db.close()
    write(home, "first", ARTIFACTS)
    return home


def write(home: Home, run: str, artifacts: dict[str, bytes]) -> None:
    root = home.path / "mlflow" / "artifacts"
    for path, content in artifacts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    with closing(sqlite3.connect(home.path / "mlflow" / "mlflow.db")) as database:
        database.execute("CREATE TABLE IF NOT EXISTS runs (id TEXT)")
        database.execute("INSERT INTO runs VALUES (?)", (run,))
        database.commit()


def artifacts(home: Home) -> dict[str, bytes]:
    root = home.path / "mlflow" / "artifacts"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def runs(home: Home) -> list[str]:
    with closing(sqlite3.connect(home.path / "mlflow" / "mlflow.db")) as database:
        return [run for (run,) in database.execute("SELECT id FROM runs")]


def silent(_done: int, _total: int) -> None:
    """Nobody looks."""


def written(backup: Backup, path: Path) -> Path:
    with path.open("wb") as file:
        for data in pieces(backup):
            file.write(data)
    backup.close()
    assert path.stat().st_size == backup.size
    return path


def begin(home: Home) -> Backup:
    return Backup(home, ContentStore(home.content), Retention())


def test_runs_and_artifacts_come_back(home: Home, tmp_path: Path) -> None:
    (home.path / "mlflow" / "artifacts" / ".artifact.uploading.x").write_bytes(b"half")
    path = written(begin(home), tmp_path / "b.tar")
    other = Home.open(tmp_path / "other")
    assert restores.restore(other, path, silent, force=False)["artifacts"] == len(ARTIFACTS)
    assert artifacts(other) == ARTIFACTS
    assert runs(other) == ["first"]
    assert sorted(p.name for p in (other.path / "mlflow").iterdir()) == ["artifacts", "mlflow.db"]
    # Nobody else enters it, whatever is below.
    assert (other.path / "mlflow").stat().st_mode & 0o077 == 0
    assert not list((home.cache / "tmp").iterdir())


def test_what_happens_meanwhile_is_not_in_it(home: Home, tmp_path: Path) -> None:
    backup = begin(home)
    write(home, "second", {"new": b"new"})
    root = home.path / "mlflow" / "artifacts"
    (root / "empty").unlink()
    (root / "again").write_bytes(b"another one")
    (root / "again").replace(root / "a.txt")  # as MLflow's server writes
    written(backup, tmp_path / "b.tar")
    other = Home.open(tmp_path / "other")
    restores.restore(other, tmp_path / "b.tar", silent, force=False)
    assert artifacts(other) == ARTIFACTS
    assert runs(other) == ["first"]


def test_a_backup_without_runs_replaces_those_that_are_there(home: Home, tmp_path: Path) -> None:
    bare = Home.open(tmp_path / "bare")
    Settings("token", 1).save(bare)
    make_context(bare.path).db.close()
    path = written(begin(bare), tmp_path / "b.tar")
    assert restores.restore(home, path, silent, force=True)["artifacts"] == 0
    assert not list((home.path / "mlflow").iterdir())


@pytest.mark.parametrize(
    "index",
    [
        ["../out"],
        ["/etc/out"],
        ["a/./b"],
        [""],
        ["a", "a"],
        ["a", "a/b"],
        ["a", "b", "c"],
        ["a"],
        ["a\0", "b"],
        [["a"], "b"],
    ],
)
def test_paths_that_do_not_fit_are_refused(tmp_path: Path, index: list[object]) -> None:
    folder = tmp_path / "mlflow"
    (folder / "files").mkdir(parents=True)
    for number in range(2):
        (folder / "files" / str(number)).write_bytes(b"x")
    (folder / "paths.jsonl").write_text("".join(json.dumps(path) + "\n" for path in index))
    with pytest.raises(MooringError) as caught:
        tracking_data.place(folder)
    assert caught.value.code == "BackupDamaged"
    assert not (tmp_path / "out").exists()


def test_what_fails_leaves_nothing(home: Home) -> None:
    (home.path / "mlflow" / "mlflow.db").write_bytes(
        b"no database, but longer than a header of SQLite's" * 100
    )
    with pytest.raises(sqlite3.DatabaseError):
        TrackingData(home)
    assert not list((home.cache / "tmp").iterdir())
