"""The database of one account at work: reads side by side, writes in groups that share one commit.

What a caller was told is on disk: a write's future is done when the transaction that holds it has been committed with
``synchronous=FULL``. Writes that come while a commit is under way wait for it and then go together.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from mooring_server.store.storage import schema
from mooring_server.store.storage.bodies import Bodies, sync_directory

log = logging.getLogger(__name__)
T = TypeVar("T")
# So many share a transaction at most: the first of them should not wait for ever.
_GROUP = 128


class AccountClosed(Exception):
    """The account was deleted, or the server stops."""


@dataclass
class Tx:
    """One write on its way.

    Attributes:
        sql: the connection.
        now: seconds since the epoch, the same for all of a write.
        seq: the last number given to a change.
        dropped: names of bodies that may have lost their last reference.
    """

    sql: sqlite3.Connection
    now: float
    seq: int
    dropped: list[str] = field(default_factory=list)

    def next_seq(self) -> int:
        """The number of another change."""
        self.seq += 1
        return self.seq


_Waiting = tuple[Callable[[Tx], Any], "Future[Any]"]


class Ledger:
    """One account's database and bodies.

    Args:
        directory: its own; made if it is not there.
        workers: run writes; they are shared by all accounts.
        changed: is called after a commit that changed blobs.
    """

    def __init__(self, directory: Path, workers: ThreadPoolExecutor, changed: Callable[[], None]) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = directory / "account.db"
        self.bodies = Bodies(directory / "bodies")
        self._workers = workers
        self._changed = changed
        schema.prepare(self.path)
        for named in (directory, directory.parent, directory.parent.parent):
            sync_directory(named)
        self._writer = schema.connect(self.path)
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._draining = False
        self._closed = False
        self._readers: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        meta = dict(self._writer.execute("SELECT key, value FROM meta"))
        self._epoch, self._seq, self.generation = (
            int(meta["epoch"]),
            int(meta["seq"]),
            str(meta["generation"]),
        )
        self.bodies.sweep(schema.references(self._writer))

    def etag(self, seq: int) -> str:
        """The ETag of what changed last by that number, without quotes."""
        return f"0x{self._epoch + seq:X}"

    @property
    def last(self) -> int:
        """The last number that was given."""
        return self._seq

    def write(self, change: Callable[[Tx], T]) -> Future[T]:
        """Make a change: all of it or nothing. Done when it is on disk.

        What ``change`` raises becomes the future's exception, and what it did is undone.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise AccountClosed
            self._waiting.append((change, future))
            if self._draining:
                return future
            self._draining = True
        self._workers.submit(self._drain)
        return future

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection for reading, as of its first statement."""
        try:
            connection = self._readers.get_nowait()
        except queue.Empty:
            connection = schema.connect(self.path)
            connection.execute("PRAGMA query_only=ON").close()
        try:
            yield connection
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if self._closed:
                connection.close()
            else:
                self._readers.put(connection)

    def close(self) -> None:
        """Finish the writes under way and let go of the files."""
        with self._lock:
            self._closed = True
        while self._draining:
            time.sleep(0.001)
        self._writer.close()
        with suppress(queue.Empty):
            while True:
                self._readers.get_nowait().close()

    def _drain(self) -> None:
        while True:
            with self._lock:
                group = [self._waiting.popleft() for _ in range(min(len(self._waiting), _GROUP))]
                if not group:
                    self._draining = False
                    return
            try:
                self._commit(group)
            except Exception:  # the callers have their answers; those who wait must get theirs
                log.exception("%s: tidying after a commit", self.path)

    def _commit(self, waiting: list[_Waiting]) -> None:
        """One transaction, a savepoint for each change in it."""
        group = [(change, future) for change, future in waiting if future.set_running_or_notify_cancel()]
        sql, before = self._writer, self._seq
        try:
            sql.execute("BEGIN IMMEDIATE")
            done, seq, dropped = self._apply(group)
            unused = self._unused(dropped)
            if seq != before:
                sql.execute("UPDATE meta SET value = ? WHERE key = 'seq'", (seq,))
            sql.execute("COMMIT")
        except BaseException as error:  # noqa: BLE001 - all of the group has failed, and hears why
            with suppress(sqlite3.Error):
                sql.execute("ROLLBACK")
            for _, future in group:
                future.set_exception(error)
            return
        self._seq = seq
        for future, result, problem in done:
            if problem is None:
                future.set_result(result)
            else:
                future.set_exception(problem)
        if seq != before:
            self._changed()
        self.bodies.remove(unused)

    def _apply(
        self, group: list[_Waiting]
    ) -> tuple[list[tuple[Future[Any], Any, Exception | None]], int, list[str]]:
        """What became of each change, the last number given, and the bodies that may be unused now."""
        sql, seq = self._writer, self._seq
        done: list[tuple[Future[Any], Any, Exception | None]] = []
        dropped: list[str] = []
        for change, future in group:
            tx = Tx(sql, time.time(), seq)
            sql.execute("SAVEPOINT change")
            try:
                result = change(tx)
            except sqlite3.Error:
                raise
            except Exception as error:  # noqa: BLE001 - it is the caller's, who gets it
                sql.execute("ROLLBACK TO change")
                done.append((future, None, error))
            else:
                done.append((future, result, None))
                dropped += tx.dropped
                seq = tx.seq
            sql.execute("RELEASE change")
        return done, seq, dropped

    def _unused(self, names: list[str]) -> list[str]:
        """Those that nothing refers to any more."""
        of = "SELECT 1 FROM {} WHERE file = ?1"
        query = f"SELECT EXISTS ({of.format('extents')}) OR EXISTS ({of.format('pending')})"
        return [name for name in set(names) if not self._writer.execute(query, (name,)).fetchone()[0]]
