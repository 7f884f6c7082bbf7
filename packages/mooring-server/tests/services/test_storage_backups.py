"""Storage accounts in backups, restores and checks."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from mooring_server.domain.errors import MooringError
from mooring_server.domain.storage.conditions import NONE
from mooring_server.services import restores
from mooring_server.services.backups import Backup, pieces
from mooring_server.services.checks.checker import check
from mooring_server.services.storage.accounts import AccountRef, StorageAccounts
from mooring_server.services.storage.open_accounts import OpenAccounts
from mooring_server.settings import Home, Settings
from mooring_server.store.storage import blobs, containers, extents, queues
from mooring_server.store.storage.blobs import Guarded
from mooring_server.store.storage.ledger import Ledger
from mooring_server.store.storage.records import NewBlob, Piece
from mooring_server.testing import make_context

REF = AccountRef("sub", "rg", "backedup")
LARGE = os.urandom(300_000)


def target(ledger: Ledger, name: str) -> Guarded:
    return Guarded("c", name, NONE, None, ledger.etag)


def put_large(ledger: Ledger, name: str) -> None:
    writer = ledger.bodies.writer()
    writer.write(LARGE)
    writer.commit()
    piece = Piece(len(LARGE), writer.name)
    ledger.write(lambda tx: blobs.put(tx, target(ledger, name), NewBlob(), [piece])).result()
    writer.release()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.open(tmp_path / "home")
    Settings("the token", 4711).save(home)
    return home


@pytest.fixture
def live(home: Home) -> Iterator[OpenAccounts]:
    """An account with a small blob, a large one and a message."""
    context = make_context(home.path)
    accounts = StorageAccounts(context)
    accounts.create(REF, {})
    found = OpenAccounts(accounts, home.storage, lambda _name: None)
    account = found.open("backedup")
    assert account
    ledger = account.ledger
    ledger.write(lambda tx: containers.create(tx, "c", {})).result()
    small = Piece(5, None, b"small")
    ledger.write(lambda tx: blobs.put(tx, target(ledger, "small"), NewBlob(), [small])).result()
    put_large(ledger, "large")
    ledger.write(lambda tx: queues.create(tx, "q", {})).result()
    ledger.write(lambda tx: queues.put(tx, "q", "hello", delay=0, ttl=-1)).result()
    yield found
    found.close()
    context.db.close()


def write(backup: Backup, path: Path) -> Path:
    path.write_bytes(b"".join(pieces(backup)))
    backup.close()
    assert path.stat().st_size == backup.size
    return path


def test_a_backup_at_work_has_what_there_was_when_it_began(
    home: Home, live: OpenAccounts, tmp_path: Path
) -> None:
    account = live.open("backedup")
    assert account
    ledger = account.ledger
    context = make_context(home.path)
    backup = Backup(home, context.store, context.retention, live)
    context.db.close()
    assert (backup.summary["storageAccounts"], backup.summary["storageBytes"] > len(LARGE)) == (1, True)
    ledger.write(lambda tx: blobs.delete(tx, target(ledger, "large"))).result()
    put_large(ledger, "later")
    assert len(list(ledger.bodies.names())) == 2, "what the backup needs is kept"
    path = write(backup, tmp_path / "backup.tar")
    assert len(list(ledger.bodies.names())) == 1, "and goes afterwards"

    there = Home.open(tmp_path / "there")
    restores.restore(there, path, lambda _done, _size: None, force=False)
    directory = next(there.storage.iterdir())
    with ThreadPoolExecutor(1) as pool:
        restored = Ledger(directory, pool, lambda: None)
        assert restored.generation != ledger.generation
        with restored.read() as sql:
            found = blobs.find(sql, "c", "large")
            (piece,) = extents.pieces(sql, found.id)
            assert blobs.lookup(sql, "c", "later") is None
            assert [m.body for m in queues.peek(sql, "q", 1, 2e9)] == ["hello"]
        assert piece.file
        assert restored.bodies.path(piece.file).read_bytes() == LARGE
        restored.close()


def test_a_restore_by_force_leaves_nothing_of_the_other_accounts(
    home: Home, live: OpenAccounts, tmp_path: Path
) -> None:
    empty = Home.open(tmp_path / "empty")
    Settings("the token", 4711).save(empty)
    context = make_context(empty.path)
    path = write(Backup(empty, context.store, context.retention), tmp_path / "empty.tar")
    context.db.close()
    live.close()
    restores.restore(home, path, lambda _done, _size: None, force=True)
    assert list(home.storage.iterdir()) == []


def test_what_is_lost_is_found(home: Home, live: OpenAccounts) -> None:
    context = make_context(home.path)
    assert check(home, context.db).ok
    account = live.open("backedup")
    assert account
    (body,) = account.ledger.bodies.names()
    path = account.ledger.bodies.path(body)
    path.write_bytes(LARGE[:100])
    (finding,) = check(home, context.db).findings
    assert (finding.code, finding.subject) == ("BodyLost", "blob c/large of storage account backedup")
    path.unlink()
    assert [f.code for f in check(home, context.db).findings] == ["BodyLost"]
    (home.storage / "other-0123456789ab").mkdir()
    report = check(home, context.db)
    assert {f.code for f in report.findings} == {"BodyLost", "TemporaryLeft"}
    live.close()
    database = account.ledger.path
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    data = bytearray(database.read_bytes())
    data[4096 : 4096 * 8] = os.urandom(4096 * 7)
    database.write_bytes(data)
    assert "StorageDamaged" in {f.code for f in check(home, context.db).findings}
    context.db.close()


def test_an_account_of_a_newer_mooring_is_left_alone(home: Home, live: OpenAccounts) -> None:
    account = live.open("backedup")
    assert account
    live.close()
    with closing(sqlite3.connect(account.ledger.path)) as connection:
        connection.execute("PRAGMA user_version = 99").close()
    with ThreadPoolExecutor(1) as pool, pytest.raises(MooringError) as caught:
        Ledger(account.ledger.path.parent, pool, lambda: None)
    assert caught.value.code == "DataTooNew"
