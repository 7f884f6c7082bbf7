"""The content of blobs: an ordered list of pieces, in the database or in bodies."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from mooring_server.store.storage.ledger import Tx
from mooring_server.store.storage.records import Piece
from mooring_server.store.storage.schema import EXTENT_BITS


def _bounds(identity: int) -> tuple[int, int]:
    return identity << EXTENT_BITS, (identity + 1) << EXTENT_BITS


def drop_extents(tx: Tx, identity: int) -> None:
    """Remove a blob's content."""
    bounds = _bounds(identity)
    query = "SELECT file FROM extents WHERE id >= ? AND id < ? AND file IS NOT NULL"
    tx.dropped += [row[0] for row in tx.sql.execute(query, bounds)]
    tx.sql.execute("DELETE FROM extents WHERE id >= ? AND id < ?", bounds)


def write_extents(tx: Tx, identity: int, pieces: Sequence[Piece]) -> None:
    """Give a blob that has none its content."""
    first = identity << EXTENT_BITS
    rows = ((first + n, p.block, p.size, p.file, p.data) for n, p in enumerate(pieces))
    tx.sql.executemany("INSERT INTO extents VALUES (?, ?, ?, ?, ?)", rows)


def pieces(sql: sqlite3.Connection, identity: int) -> list[Piece]:
    """A blob's content without the data that are in the database."""
    query = "SELECT size, file, NULL, block FROM extents WHERE id >= ? AND id < ? ORDER BY id"
    return [Piece(*row) for row in sql.execute(query, _bounds(identity))]


def data(sql: sqlite3.Connection, identity: int, place: int) -> bytes:
    """The piece at ``place`` that is in the database.

    Raises:
        FileNotFoundError: the blob was replaced meanwhile.
    """
    row = sql.execute(
        "SELECT data FROM extents WHERE id = ?", ((identity << EXTENT_BITS) + place,)
    ).fetchone()
    if row is None:
        raise FileNotFoundError(f"blob {identity}, piece {place}")
    return bytes(row[0])


def copy_extents(tx: Tx, source: int, target: int) -> None:
    """Give a blob the content of another; bodies are shared, since nobody changes them."""
    low, high = _bounds(source)
    query = "INSERT INTO extents SELECT id + ?, block, size, file, data FROM extents WHERE id >= ? AND id < ?"
    tx.sql.execute(query, ((target << EXTENT_BITS) - low, low, high))
