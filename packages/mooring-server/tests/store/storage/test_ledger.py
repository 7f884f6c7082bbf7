"""The database of an account: writes in groups, a full disk, bodies that stay while they are read, long lists."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from mooring_server.domain.storage.conditions import NONE
from mooring_server.domain.storage.errors import StorageError
from mooring_server.store.storage import blobs, containers, listing
from mooring_server.store.storage.blobs import Guarded
from mooring_server.store.storage.ledger import AccountClosed, Ledger, Tx
from mooring_server.store.storage.records import Blob, NewBlob, Piece


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as made:
        yield made


@pytest.fixture
def ledger(tmp_path: Path, pool: ThreadPoolExecutor) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "account", pool, lambda: None)
    made.write(lambda tx: containers.create(tx, "c", {})).result()
    yield made
    made.close()


def put(ledger: Ledger, name: str, data: bytes = b"x") -> Future[Blob]:
    target = Guarded("c", name, NONE, None, ledger.etag)
    return ledger.write(lambda tx: blobs.put(tx, target, NewBlob(), [Piece(len(data), None, data)]))


def body(ledger: Ledger, name: str, data: bytes) -> str:
    writer = ledger.bodies.writer()
    writer.write(data)
    writer.commit()
    target = Guarded("c", name, NONE, None, ledger.etag)
    ledger.write(lambda tx: blobs.put(tx, target, NewBlob(), [Piece(len(data), writer.name)])).result()
    writer.release()
    return writer.name


def test_a_change_that_fails_takes_no_other_with_it(ledger: Ledger) -> None:
    started, go = threading.Event(), threading.Event()

    def hold(_tx: Tx) -> None:
        started.set()
        go.wait(60)

    def fail(tx: Tx) -> None:
        tx.sql.execute("DELETE FROM containers")
        tx.next_seq()
        raise StorageError("InvalidInput")

    held = ledger.write(hold)
    started.wait(60)
    # These wait for the one under way, and then share a transaction.
    first, wrong, last = put(ledger, "a"), ledger.write(fail), put(ledger, "b")
    cancelled = put(ledger, "never")
    assert cancelled.cancel()
    go.set()
    held.result(60)
    with pytest.raises(StorageError, match="InvalidInput"):
        wrong.result(60)
    assert last.result(60).seq == first.result(60).seq + 1
    with ledger.read() as sql:
        assert [b.name for b in _all(sql)] == ["a", "b"]


def test_a_full_disk_fails_the_write_and_nothing_else(ledger: Ledger) -> None:
    put(ledger, "before").result()
    ledger.write(lambda tx: tx.sql.execute("SELECT 1")).result()
    (pages,) = ledger._writer.execute("PRAGMA page_count").fetchone()
    ledger._writer.execute(f"PRAGMA max_page_count = {pages}").close()
    with pytest.raises(sqlite3.OperationalError, match="full"):
        put(ledger, "too much", b"x" * 100_000).result()
    ledger._writer.execute("PRAGMA max_page_count = 1000000").close()
    put(ledger, "after", b"x" * 100_000).result()
    with ledger.read() as sql:
        assert [b.name for b in _all(sql)] == ["after", "before"]


def test_what_is_written_is_there_after_the_next_start_with_its_numbers(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    first = Ledger(tmp_path, pool, lambda: None)
    first.write(lambda tx: containers.create(tx, "c", {"a": "b"})).result()
    made = put(first, "b").result()
    target = Guarded("c", "b", NONE, None, first.etag)
    first.write(lambda tx: blobs.delete(tx, target)).result()
    first.close()
    with pytest.raises(AccountClosed):
        put(first, "c")
    second = Ledger(tmp_path, pool, lambda: None)
    assert second.generation == first.generation
    again = put(second, "b").result()
    assert again.seq > made.seq + 1, "the number of a deleted blob's change is not given again"
    assert second.etag(made.seq) == first.etag(made.seq)
    second.close()


def test_a_body_goes_with_its_last_reference_and_not_while_it_is_read(ledger: Ledger) -> None:
    name = body(ledger, "a", b"content")
    source, copy = (Guarded("c", n, NONE, None, ledger.etag) for n in ("a", "b"))
    ledger.write(lambda tx: blobs.copy(tx, copy, source, "url", None)).result()
    ledger.write(lambda tx: blobs.delete(tx, source)).result()
    assert list(ledger.bodies.names()) == [name]
    with ledger.bodies.reading([name]):
        ledger.write(lambda tx: blobs.delete(tx, copy)).result()
        ledger.write(lambda _tx: None).result()  # the one before has been tidied up after
        assert ledger.bodies.path(name).read_bytes() == b"content"
    assert list(ledger.bodies.names()) == []


def test_bodies_of_a_killed_server_go_at_the_next_start(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    first = Ledger(tmp_path, pool, lambda: None)
    first.write(lambda tx: containers.create(tx, "c", {})).result()
    kept = body(first, "a", b"content")
    left = first.bodies.writer()
    left.write(b"half of")
    first.close()
    second = Ledger(tmp_path, pool, lambda: None)
    assert list(second.bodies.names()) == [kept]
    second.close()
    left.abort()


def test_a_long_list_is_read_a_page_at_a_time(ledger: Ledger) -> None:
    count = 3000

    def fill(tx: Tx) -> None:
        for number in range(count):
            target = Guarded("c", f"{number % 3}/{number:05d}", NONE, None, ledger.etag)
            blobs.put(tx, target, NewBlob(), [])

    ledger.write(fill).result()
    with ledger.read() as sql:
        names, start = [], ""
        while True:
            page = listing.page(sql, "c", prefix="", delimiter="", start=start, count=700)
            assert len(page.entries) <= 700
            names += [entry.name for entry in page.entries if isinstance(entry, Blob)]
            start = page.next
            if not start:
                break
        assert names == sorted(names)
        assert len(set(names)) == count
        steps: list[int] = []
        sql.set_progress_handler(lambda: steps.append(1), 1000)
        top = listing.page(sql, "c", prefix="", delimiter="/", start="", count=2)
        assert (top.entries, top.next) == (["0/", "1/"], "2/")
        assert len(steps) < 10, "blobs behind a prefix are skipped, not read"
        sql.set_progress_handler(None, 0)


def _all(sql: sqlite3.Connection) -> list[Blob]:
    found = listing.page(sql, "c", prefix="", delimiter="", start="", count=100).entries
    return [entry for entry in found if isinstance(entry, Blob)]


def test_who_is_told_of_changes_cannot_hold_up_what_comes(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    def fail() -> None:
        raise OSError("nobody listens")

    ledger = Ledger(tmp_path / "account", pool, fail)
    for name in ("c", "d"):
        ledger.write(lambda tx, name=name: containers.create(tx, name, {})).result(60)  # type: ignore[misc]
    ledger.close()
