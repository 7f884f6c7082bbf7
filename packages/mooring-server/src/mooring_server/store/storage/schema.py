"""The database of one storage account."""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from contextlib import closing
from pathlib import Path

from mooring_server.domain.errors import MooringError

VERSION = 1
# An account's ETags go on where Azure's are: 100 ns since the year 1, then one more for every change.
_EPOCH = 62_135_596_800
# The number of an extent is that of its blob, shifted by as much as a blob can have blocks, and its place.
EXTENT_BITS = 16

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE containers (
    name TEXT PRIMARY KEY, seq INTEGER NOT NULL, modified REAL NOT NULL, metadata TEXT NOT NULL, lease TEXT
) WITHOUT ROWID;
CREATE TABLE blobs (
    id INTEGER PRIMARY KEY, container TEXT NOT NULL, name TEXT NOT NULL, seq INTEGER NOT NULL, created REAL NOT NULL,
    modified REAL NOT NULL, size INTEGER NOT NULL, headers TEXT NOT NULL, metadata TEXT NOT NULL, lease TEXT, copy TEXT
);
CREATE UNIQUE INDEX blobs_name ON blobs (container, name);
CREATE INDEX blobs_seq ON blobs (seq);
CREATE TABLE extents (id INTEGER PRIMARY KEY, block TEXT, size INTEGER NOT NULL, file TEXT, data BLOB);
CREATE INDEX extents_file ON extents (file) WHERE file IS NOT NULL;
CREATE TABLE pending (
    id INTEGER PRIMARY KEY, container TEXT NOT NULL, name TEXT NOT NULL, block TEXT NOT NULL, modified REAL NOT NULL,
    size INTEGER NOT NULL, file TEXT, data BLOB
);
CREATE UNIQUE INDEX pending_block ON pending (container, name, block);
CREATE INDEX pending_file ON pending (file) WHERE file IS NOT NULL;
CREATE TABLE queues (name TEXT PRIMARY KEY, metadata TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE messages (
    n INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, id TEXT NOT NULL, inserted REAL NOT NULL,
    expires REAL NOT NULL, visible REAL NOT NULL, dequeues INTEGER NOT NULL, receipt TEXT NOT NULL, body TEXT NOT NULL
);
CREATE UNIQUE INDEX messages_id ON messages (queue, id);
CREATE INDEX messages_visible ON messages (queue, visible, n);
CREATE INDEX messages_expires ON messages (queue, expires);
"""


def prepare(path: Path) -> None:
    """Make the file unless it is there and whole.

    Raises:
        MooringError: ``DataTooNew``.
    """
    # Before SQLite opens it: its -wal and -shm files get the mode that the database has then.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    with closing(connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise MooringError(
                "DataTooNew",
                f"{path} has schema {version}, this Mooring knows schemas up to {VERSION}.",
                hint="Use the Mooring version that wrote it, or a newer one.",
                phase="Start",
                target=str(path),
            )
        if version == VERSION:
            return
        epoch = int((time.time() + _EPOCH) * 10_000_000)
        connection.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA.split(";\n"):
            connection.execute(statement)
        values = [("epoch", epoch), ("seq", 0), ("generation", uuid.uuid4().hex)]
        connection.executemany("INSERT INTO meta VALUES (?, ?)", values)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")


def connect(path: Path) -> sqlite3.Connection:
    """A connection whose transactions begin and end where we say; a commit is on disk when it returns."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "cache_size=-4000"):
        connection.execute(f"PRAGMA {pragma}").close()
    return connection


def references(connection: sqlite3.Connection) -> set[str]:
    """Names of all bodies that blobs and blocks have."""
    query = "SELECT file FROM extents WHERE file IS NOT NULL UNION SELECT file FROM pending WHERE file IS NOT NULL"
    return {str(row[0]) for row in connection.execute(query)}


def begin_again(path: Path) -> None:
    """Ready a copy for a life of its own (a restore): who follows changes must not take its numbers for those known."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'generation'", (uuid.uuid4().hex,))
        connection.commit()
        connection.execute("PRAGMA journal_mode=DELETE").close()
