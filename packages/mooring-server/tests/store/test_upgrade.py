"""A data directory of every earlier schema is brought to the newest one, and nothing in it is lost."""

from __future__ import annotations

import importlib.util
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mooring_server.controllers.garbage import Housekeeper
from mooring_server.controllers.webservices import ServiceController
from mooring_server.domain.errors import MooringError
from mooring_server.services.context import Context, WorkspaceRef
from mooring_server.services.models import Models
from mooring_server.services.operations import Operations
from mooring_server.services.paging import Paging
from mooring_server.services.webservices import Webservices
from mooring_server.store.content import ContentStore
from mooring_server.store.database import HEAD, Database
from mooring_server.targets.base import Observation
from mooring_server.testing import FakeTarget

REF = WorkspaceRef("sub", "rg", "ws")


def _released() -> ModuleType:
    spec = importlib.util.spec_from_file_location("released", Path(__file__).with_name("released.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


released = _released()
REVISIONS: list[str] = released.revisions()
EARLIER = REVISIONS[:-1]


def content(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        tables = [r[0] for r in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {t: [dict(r) for r in connection.execute(f'SELECT * FROM "{t}"')] for t in tables}


def test_the_last_migration_is_the_head() -> None:
    assert REVISIONS[-1] == HEAD
    assert EARLIER, "there is something to upgrade from"


@pytest.mark.parametrize("revision", REVISIONS)
def test_no_row_is_lost(tmp_path: Path, revision: str) -> None:
    path = released.make(tmp_path, revision)
    before = content(path)
    assert all(before.values()), "every table has rows"
    Database.open(path).close()
    after = content(path)
    for table, rows in before.items():
        if table == "alembic_version":
            continue
        for row in rows:
            assert any(row.items() <= now.items() for now in after[table]), (table, row)
    assert after["alembic_version"] == [{"version_num": HEAD}]
    copy = tmp_path / f"mooring.db.{revision}.bak"
    assert copy.exists() == (revision != HEAD)
    if copy.exists():
        assert content(copy) == before
        assert copy.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("revision", REVISIONS)
def test_everything_works_on(tmp_path: Path, revision: str) -> None:
    path = released.make(tmp_path, revision)
    context = Context(Database.open(path), ContentStore(tmp_path / "content"))
    target, operations = FakeTarget(), Operations(context)
    controller = ServiceController(context, operations, target)
    for _ in range(3):  # nothing runs any more: it is brought back
        for key in controller.known():
            controller.reconcile(key)
        if released.UID in target.specs:
            target.finish(released.UID)
    services = Webservices(context, "services")
    view = services.get(REF, "svc")
    assert (view["state"], view["activeRevision"], view["modelIds"]) == ("Healthy", 2, ["m:1"])
    assert [r["revision"] for r in view["revisions"]] == [2]
    assert target.specs[released.UID].auth_keys == ("first", "second")
    assert isinstance(target.observe(released.UID), Observation)
    assert [m["id"] for m in services.list(REF, {"modelId": "m:1"}, Paging("/"))["value"][0]["models"]] == [
        "m:1"
    ]
    with pytest.raises(MooringError, match="m:1"):
        Models(context).delete(REF, "m:1")
    Housekeeper(context, operations, target).collect()
    assert len(list(context.store.digests())) == 4
    file = {"path": "m", "digest": context.store.put_bytes(b"new")}
    assert Models(context).register(REF, {"name": "m", "files": [file]})["version"] == 5
    context.db.close()


def test_newer_data_are_left_as_they_are(tmp_path: Path) -> None:
    path = released.make(tmp_path, HEAD)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()
    with pytest.raises(MooringError) as caught:
        Database.open(path)
    assert caught.value.code == "DataTooNew"
    assert "9999" in caught.value.message
    assert HEAD in caught.value.message
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.bak"))


KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from sqlalchemy.engine import Engine
from mooring_server.store.database import Database

left = int(sys.argv[2])

@event.listens_for(Engine, "after_cursor_execute")
def count(_connection, _cursor, statement, *_):
    global left
    if statement.lstrip().upper().startswith(("CREATE", "INSERT", "UPDATE", "DELETE", "DROP", "ALTER")):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

Database.open(Path(sys.argv[1])).close()
"""


def test_killed_in_the_middle_it_is_the_old_schema_and_can_be_done_again(tmp_path: Path) -> None:
    path = released.make(tmp_path, EARLIER[0])
    before = content(path)
    for statements in (1, 3, 6, 11, 1000):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(path), str(statements)], check=False, timeout=120
        )
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        assert content(path) == before
    assert done.returncode == 0
    assert content(path)["alembic_version"] == [{"version_num": HEAD}]
    assert content(tmp_path / f"mooring.db.{EARLIER[0]}.bak") == before


def test_going_back_is_putting_the_copy_in_its_place(tmp_path: Path) -> None:
    path = released.make(tmp_path, EARLIER[-1])
    before = content(path)
    Database.open(path).close()
    (tmp_path / f"mooring.db.{EARLIER[-1]}.bak").rename(path)
    assert content(path) == before
    Database.open(path).close()
    assert content(path)["alembic_version"] == [{"version_num": HEAD}]
