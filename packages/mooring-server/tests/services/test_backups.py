"""Backup and restore, with a real database and content store."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mooring_server.controllers.garbage import Housekeeper
from mooring_server.domain.errors import MooringError
from mooring_server.services import restores
from mooring_server.services.backups import Backup, pieces
from mooring_server.services.context import Context, WorkspaceRef
from mooring_server.services.images import Images
from mooring_server.services.models import Models
from mooring_server.services.operations import Operations
from mooring_server.services.paging import Paging
from mooring_server.services.workspaces import Workspaces
from mooring_server.settings import Home, Settings
from mooring_server.store.content import ContentStore
from mooring_server.store.database import Database
from mooring_server.store.retention import Retention
from mooring_server.store.tables import Operation, Service
from mooring_server.testing import FakeTarget, Scenario, make_context

REF = WorkspaceRef("sub", "rg", "ws")


def silent(_done: int, _total: int) -> None:
    """Nobody looks."""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A data directory with a model of 100 files and a service."""
    home = Home.open(tmp_path / "home")
    Settings("the token", 4711).save(home)
    context = make_context(home.path)
    Workspaces(context).create(REF, {}, exist_ok=False)
    files = [{"path": f"m/{i}", "digest": context.store.put_bytes(b"%d " % i * 5000)} for i in range(100)]
    Models(context).register(REF, {"name": "m", "files": files})
    context.store.put_bytes(b"an upload that nothing refers to")
    scenario = Scenario(context, REF)
    scenario.deploy(authEnabled=True)
    scenario.run()
    context.db.close()
    return home


def back_up(home: Home, path: Path) -> Path:
    backup = Backup(home, ContentStore(home.content), Retention())
    with path.open("wb") as file:
        for data in pieces(backup):
            file.write(data)
    backup.close()
    assert path.stat().st_size == backup.size
    return path


def models(home: Home) -> dict[str, bytes]:
    """All bytes of all models."""
    database, store = Database.open(home.database), ContentStore(home.content)
    context = Context(database, store)
    found = {}
    for model in Models(context).list(REF, {}, Paging("/"))["value"]:
        for file in model["files"]:
            found[f"{model['id']}/{file['path']}"] = store.read(file["digest"])
    database.close()
    return found


def tree(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def set_url(home: Home, url: str) -> str:
    database = Database.open(home.database)
    with database.write() as session:
        service = session.query(Service).one()
        service.observed = {**service.observed, "url": url}
        uid = service.uid
    database.close()
    return uid


def test_everything_comes_back_but_caches_and_garbage(home: Home, tmp_path: Path) -> None:
    (home.cache / "layers").mkdir(parents=True)
    (home.cache / "layers" / "x").write_text("cached")
    path = back_up(home, tmp_path / "b.tar")
    other = Home.open(tmp_path / "other")
    summary = restores.restore(other, path, silent, force=False)
    assert (summary["models"], summary["services"], summary["images"]) == (1, 1, 1)
    assert summary["bytes"] == path.stat().st_size
    assert models(other) == models(home)
    assert len(models(other)) == 100
    assert Settings.load(other) == Settings("the token", 4711)
    assert not other.cache.exists()
    kept = set(ContentStore(other.content).digests())
    everything = set(ContentStore(home.content).digests())
    assert kept < everything
    assert len(everything - kept) == 1
    assert not (other.path / "restore").exists()
    for file in other.path.rglob("*"):
        if "content" not in file.parts:
            assert file.stat().st_mode & 0o077 == 0 or file.is_dir(), file
    assert not list(home.cache.glob("backup-*"))


def test_looking_changes_nothing(home: Home, tmp_path: Path) -> None:
    path = back_up(home, tmp_path / "b.tar")
    seen: list[tuple[int, int]] = []
    summary = restores.inspect(path, lambda done, total: seen.append((done, total)))
    assert summary["models"] == 1
    assert seen[-1][0] == seen[-1][1] == path.stat().st_size
    with pytest.raises(MooringError) as caught:
        restores.inspect(tmp_path / "none.tar", silent)
    assert caught.value.code == "FileUnreadable"


def test_a_damaged_backup_changes_nothing(home: Home, tmp_path: Path) -> None:
    path = back_up(home, tmp_path / "b.tar")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    before = tree(home.path)
    with pytest.raises(MooringError) as caught:
        restores.restore(home, path, silent, force=True)
    assert caught.value.code == "BackupDamaged"
    assert tree(home.path) == before


def test_data_are_replaced_only_by_force(home: Home, tmp_path: Path) -> None:
    path = back_up(home, tmp_path / "b.tar")
    expected = models(home)
    context = make_context(home.path)
    later = {"path": "l", "digest": context.store.put_bytes(b"registered later")}
    Models(context).register(REF, {"name": "later", "files": [later]})
    context.db.close()
    (home.path / "notes.txt").write_text("not ours")
    before = tree(home.path)
    with pytest.raises(MooringError) as caught:
        restores.restore(home, path, silent, force=False)
    assert caught.value.code == "HomeNotEmpty"
    assert "mooring.db" in caught.value.evidence["tree"]
    assert tree(home.path) == before
    restores.restore(home, path, silent, force=True)
    assert models(home) == expected
    assert (home.path / "notes.txt").read_text() == "not ours"


def test_not_while_services_run_there(home: Home, tmp_path: Path) -> None:
    path = back_up(home, tmp_path / "b.tar")
    (home.services / "x").mkdir(parents=True)
    with (home.services / "x" / "supervisor.lock").open("w") as lock:
        fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
        with pytest.raises(MooringError) as caught:
            restores.restore(home, path, silent, force=True)
    assert caught.value.code == "ServicesRunning"


def test_a_service_keeps_its_port_if_it_is_free(home: Home, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        uid = set_url(home, f"http://127.0.0.1:{port}")
        path = back_up(home, tmp_path / "b.tar")
        taken = restores.restore(Home.open(tmp_path / "taken"), path, silent, force=False)
    assert taken["moved"] == ["svc"]
    assert not (tmp_path / "taken" / "services" / uid).exists()
    free = restores.restore(Home.open(tmp_path / "free"), path, silent, force=False)
    assert free["moved"] == []
    assert json.loads((tmp_path / "free" / "services" / uid / "state.json").read_text()) == {"port": port}


def test_phases_that_ran_begin_anew(home: Home, tmp_path: Path) -> None:
    context = make_context(home.path)
    scenario = Scenario(context, REF)
    asked = scenario.services.update(
        REF, "svc", {"imageRequest": scenario.script(b"def init(): 1\ndef run(d): 2\n")}
    )
    scenario.build()
    scenario.look()
    context.db.close()
    path = back_up(home, tmp_path / "b.tar")
    other = Home.open(tmp_path / "other")
    restores.restore(other, path, silent, force=False)
    context = make_context(other.path)
    with context.db.read() as session:
        operation = session.get_one(Operation, asked["operationId"])
        assert operation.state == "Running"
        assert not [p for p in operation.phases if p["state"] == "Running"]
    again = Scenario(context, REF)
    again.run()
    assert again.operation(asked)["state"] == "Succeeded"
    assert again.view()["state"] == "Healthy"
    context.db.close()


def test_nothing_is_collected_while_a_backup_is_made(home: Home, tmp_path: Path) -> None:
    """Models and images are deleted, and old, between the copy of the database and the reading of their blobs."""
    context = make_context(home.path)
    backup = Backup(home, context.store, context.retention)
    Models(context).delete(REF, "m:1")
    long_ago = time.time() - 10_000
    for digest in context.store.digests():
        os.utime(context.store.path(digest), (long_ago, long_ago))
    keeper = Housekeeper(context, Operations(context), FakeTarget())
    keeper.collect()
    with (tmp_path / "b.tar").open("wb") as file:
        for data in pieces(backup):
            keeper.collect()
            file.write(data)
    backup.close()
    assert restores.inspect(tmp_path / "b.tar", silent)["models"] == 1
    keeper.collect()
    assert len(list(context.store.digests())) < 10
    context.db.close()


def test_a_backup_waits_for_a_collection(home: Home) -> None:
    retention = Retention()
    begun = threading.Event()
    made: list[Backup] = []
    store = ContentStore(home.content)

    def make() -> None:
        begun.set()
        made.append(Backup(home, store, retention))

    with retention.collecting() as allowed:
        assert allowed
        thread = threading.Thread(target=make)
        thread.start()
        begun.wait()
        with retention.collecting() as second:
            assert not second
        assert not made
    thread.join(120)
    with retention.collecting() as allowed:
        assert not allowed
    made[0].close()
    made[0].close()
    assert made[0].read() == b""
    with retention.collecting() as allowed:
        assert allowed


def test_a_store_that_lost_something_is_told(home: Home) -> None:
    store = ContentStore(home.content)
    context = make_context(home.path)
    image = Images(context, Operations(context)).get(REF, "svc:1")
    digest = Models(context).get(REF, "m:1")["files"][0]["digest"]
    context.db.close()
    for lost in (digest, image["imageDigest"]):
        assert lost
        store.delete(lost)
        retention = Retention()
        with pytest.raises(MooringError) as caught:
            Backup(home, store, retention)
        assert caught.value.code == "BackupIncomplete"
        assert lost in caught.value.evidence["blobs"]
        with retention.collecting() as allowed:
            assert allowed


def test_a_backup_of_newer_data_is_refused(home: Home, tmp_path: Path) -> None:
    path = back_up(home, tmp_path / "b.tar")
    data = path.read_bytes().replace(b'"dataVersion": "0', b'"dataVersion": "9', 1)
    path.write_bytes(data)
    other = Home.open(tmp_path / "other")
    with pytest.raises(MooringError) as caught:
        restores.restore(other, path, silent, force=False)
    assert caught.value.code == "DataTooNew"
    assert sorted(p.name for p in other.path.iterdir()) == ["logs"]


class Killed(BaseException):
    """Stands for SIGKILL: no handler runs for it that would not run for a real one."""


def test_killed_while_data_are_put_in_place_it_is_completed(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = back_up(home, tmp_path / "b.tar")
    expected = models(home)
    real: Any = Path.rename
    parts = len(restores._PARTS)  # each is one move, and a place to be killed at
    for moves in range(parts + 1):
        target = Home.open(tmp_path / f"target{moves}")
        shutil.copytree(home.content, target.content)
        with closing(sqlite3.connect(target.database)) as connection:
            connection.execute("CREATE TABLE old (x)")
        left = moves

        def rename(self: Path, to: Path) -> Path:
            nonlocal left
            if self.parent.name == "restore":
                if left == 0:
                    raise Killed
                left -= 1
            moved: Path = real(self, to)
            return moved

        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", rename)
            if moves < parts:
                with pytest.raises(Killed):
                    restores.restore(target, path, silent, force=True)
            else:
                restores.restore(target, path, silent, force=True)
        assert restores.finish(target) == (moves < parts)
        assert not (target.path / "restore").exists()
        assert models(target) == expected
        assert Settings.load(target).port == 4711


def test_killed_before_it_was_complete_it_is_forgotten(home: Home, tmp_path: Path) -> None:
    before = tree(home.path)
    (home.path / "restore" / "content").mkdir(parents=True)
    (home.path / "restore" / "mooring.db").write_text("half")
    assert not restores.finish(home)
    assert tree(home.path) == before
    assert not (tmp_path / "home" / "restore").exists()
