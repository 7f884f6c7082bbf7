"""The broker's file: messages in SQLite's WAL, written by a thread that commits for many at a time.

What is told to `Store.write` is on disk when ``done`` is called; changes get there in the order they were told,
and those told while a commit is under way share the next one. A disk that refuses to be written ends the process:
nothing that was acknowledged is lost, and memory never disagrees with the file for long.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mooring_server.servicebus.counts import DEAD_LETTER
from mooring_server.servicebus.queue import (
    DEFERRED,
    FOREVER,
    READY,
    SCHEDULED,
    Change,
    DeadLettered,
    Message,
    Removed,
)

log = logging.getLogger("mooring.servicebus")
# Below this much free disk new messages are refused, so that those there can still be settled.
LOW_DISK = 64 << 20
_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    seq INTEGER PRIMARY KEY, queue TEXT NOT NULL, state TEXT NOT NULL, size INTEGER NOT NULL,
    enqueued REAL NOT NULL, ttl REAL, deliveries INTEGER NOT NULL, reason TEXT, description TEXT
);
CREATE TABLE IF NOT EXISTS bodies (seq INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS last (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL);
INSERT OR IGNORE INTO last VALUES (1, 0);
"""
_STATE = {READY: "active", DEFERRED: "deferred", SCHEDULED: "scheduled"}
_PLACE = {state: place for place, state in _STATE.items()}


@dataclass(frozen=True, slots=True)
class Added:
    """A new message of the queue with that uid, and its bytes."""

    queue: str
    message: Message
    body: bytes


@dataclass(frozen=True, slots=True)
class Dropped:
    """A queue, by its uid, is gone with all its messages."""

    queue: str


Write = Change | Added | Dropped


class Store:
    """The file.

    Args:
        path: made when it is not there.
        post: hands a function to the thread that may be told of commits.
    """

    def __init__(self, path: Path, post: Callable[[Callable[[], None]], None]) -> None:
        self._path, self._post = path, post
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._reader = _connect(path)
        self._reader.executescript(_SCHEMA)
        self._last: int = self._reader.execute("SELECT seq FROM last").fetchone()[0]
        self._ready = threading.Condition()
        self._waiting: list[tuple[list[Write], Callable[[], None]]] = []
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    def next_seq(self) -> int:
        """A sequence number that was never given before."""
        self._last += 1
        return self._last

    def load(self) -> Iterable[tuple[str, Message]]:
        """Every message by its queue's uid, with `DEAD_LETTER` behind that of a dead-letter queue; none is locked."""
        rows = self._reader.execute(
            "SELECT queue, seq, size, enqueued, ttl, deliveries, state, reason, description"
            " FROM messages ORDER BY seq"
        )
        for queue, seq, size, enqueued, ttl, deliveries, state, reason, description in rows:
            yield (
                queue,
                Message(
                    seq,
                    size,
                    enqueued,
                    FOREVER if ttl is None else ttl,
                    deliveries,
                    _PLACE[state],
                    deferred=state == "deferred",
                    reason=reason,
                    description=description,
                ),
            )

    def body(self, seq: int) -> bytes:
        """The bytes of a message that is there."""
        body: bytes = self._reader.execute("SELECT body FROM bodies WHERE seq = ?", (seq,)).fetchone()[0]
        return body

    def full(self, size: int) -> bool:
        """Whether so many bytes more would leave too little of the disk."""
        return shutil.disk_usage(self._path.parent).free - size < LOW_DISK

    def write(self, writes: list[Write], done: Callable[[], None]) -> None:
        """Bring changes to disk, then call ``done`` in the thread of `post`."""
        with self._ready:
            self._waiting.append((writes, done))
            self._ready.notify()

    def close(self) -> None:
        """Write what was told, then end."""
        with self._ready:
            self._ended = True
            self._ready.notify()
        self._thread.join()
        self._reader.close()

    def _run(self) -> None:
        try:
            self._work(_connect(self._path))
        except Exception:  # whatever it is: without this thread nothing would ever be acknowledged
            log.exception("the broker's file cannot be written; ending")
            logging.shutdown()
            os._exit(1)

    def _work(self, connection: sqlite3.Connection) -> None:
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._waiting or self._ended)
                taken, self._waiting = self._waiting, []
                if not taken:
                    break
            if any(writes for writes, _ in taken):
                self._commit(connection, [write for writes, _ in taken for write in writes])
            self._post(partial(_tell, [done for _, done in taken]))
        connection.close()

    def _commit(self, connection: sqlite3.Connection, writes: list[Write]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for write in writes:
            _apply(connection, write)
        connection.execute("UPDATE last SET seq = ?", (self._last,))
        connection.execute("COMMIT")


def _tell(waiting: list[Callable[[], None]]) -> None:
    for done in waiting:
        try:
            done()
        except Exception:  # noqa: PERF203 - one client's trouble must not keep the others waiting
            log.exception("what was written could not be told")


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}").close()
    return connection


def _apply(connection: sqlite3.Connection, write: Write) -> None:
    if isinstance(write, Added):
        message = write.message
        ttl = None if message.ttl == FOREVER else message.ttl
        connection.execute(
            "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, 0, NULL, NULL)",
            (message.seq, write.queue, _state(message), message.size, message.enqueued, ttl),
        )
        connection.execute("INSERT INTO bodies VALUES (?, ?)", (message.seq, write.body))
    elif isinstance(write, Removed):
        connection.execute("DELETE FROM messages WHERE seq = ?", (write.seq,))
        connection.execute("DELETE FROM bodies WHERE seq = ?", (write.seq,))
    elif isinstance(write, DeadLettered):
        message = write.message
        connection.execute(
            "UPDATE messages SET queue = queue || ?, state = 'active', deliveries = ?, reason = ?, description = ?"
            " WHERE seq = ?",
            (DEAD_LETTER, message.deliveries, message.reason, message.description, message.seq),
        )
    elif isinstance(write, Dropped):
        meant = (write.queue, write.queue + DEAD_LETTER)
        connection.execute(
            "DELETE FROM bodies WHERE seq IN (SELECT seq FROM messages WHERE queue IN (?, ?))", meant
        )
        connection.execute("DELETE FROM messages WHERE queue IN (?, ?)", meant)
    else:
        message = write.message
        connection.execute(
            "UPDATE messages SET state = ?, deliveries = ? WHERE seq = ?",
            (_state(message), message.deliveries, message.seq),
        )


def _state(message: Message) -> str:
    return "deferred" if message.deferred else _STATE.get(message.place, "active")
