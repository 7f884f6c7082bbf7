"""Blocks: uploaded one by one, made a blob by a list of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from mooring_server.domain.storage.errors import StorageError
from mooring_server.store.storage.blobs import Guarded, admit, lookup, need_container, put
from mooring_server.store.storage.extents import data, pieces
from mooring_server.store.storage.ledger import Tx
from mooring_server.store.storage.records import Blob, NewBlob, Piece

MAX_BLOCKS = 50_000
MAX_PENDING = 100_000


def put_block(tx: Tx, target: Guarded, block: str, piece: Piece) -> None:
    """Keep a block until a list names it.

    Raises:
        StorageError: ``ContainerNotFound``, ``Lease...``, ``BlockCountExceedsLimit``, ``InvalidBlobOrBlock`` for an id
            whose length is not that of the others.
    """
    admit(tx, target)
    sql, key = tx.sql, (target.container, target.name)
    other = sql.execute("SELECT block FROM pending WHERE container = ? AND name = ? LIMIT 1", key).fetchone()
    if other is not None and len(other[0]) != len(block):
        raise StorageError("InvalidBlobOrBlock")
    query = "SELECT file FROM pending WHERE container = ? AND name = ? AND block = ? AND file IS NOT NULL"
    tx.dropped += [row[0] for row in sql.execute(query, (*key, block))]
    query = "SELECT count(*) FROM pending WHERE container = ? AND name = ?"
    if sql.execute(query, key).fetchone()[0] >= MAX_PENDING:
        raise StorageError("BlockCountExceedsLimit")
    sql.execute(
        "INSERT OR REPLACE INTO pending (container, name, block, modified, size, file, data)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*key, block, tx.now, piece.size, piece.file, piece.data),
    )


def put_list(tx: Tx, target: Guarded, new: NewBlob, wanted: Sequence[tuple[str, str]]) -> Blob:
    """Make a blob of blocks.

    Args:
        tx: the write.
        target: the blob.
        new: what it has beside its content.
        wanted: where to look (``Committed``, ``Uncommitted``, ``Latest``) and the block's id, in order.

    Raises:
        StorageError: ``InvalidBlockList`` when one is not there; ``BlockListTooLong``.
    """
    if len(wanted) > MAX_BLOCKS:
        raise StorageError("BlockListTooLong")
    before = lookup(tx.sql, target.container, target.name)
    committed: dict[str, tuple[int, Piece]] = {}
    if before is not None:
        for place, piece in enumerate(pieces(tx.sql, before.id)):
            if piece.block is not None:
                committed[piece.block] = (place, piece)
    waiting = {
        row[0]: row[1:]
        for row in tx.sql.execute(
            "SELECT block, id, size, file FROM pending WHERE container = ? AND name = ?",
            (target.container, target.name),
        )
    }
    chosen: list[Piece] = []
    for where, block in wanted:
        if where != "Committed" and block in waiting:
            identity, size, file = waiting[block]
            chosen.append(Piece(size, file, None if file else _pending_data(tx.sql, identity), block))
        elif where != "Uncommitted" and block in committed and before is not None:
            place, piece = committed[block]
            kept = None if piece.file else data(tx.sql, before.id, place)
            chosen.append(Piece(piece.size, piece.file, kept, block))
        else:
            raise StorageError("InvalidBlockList")
    return put(tx, target, new, chosen)


def blocks(
    sql: sqlite3.Connection, container: str, name: str
) -> tuple[Blob | None, list[Piece], list[Piece]]:
    """The blob if there is one, its blocks, and those that wait for a list.

    Raises:
        StorageError: ``BlobNotFound`` when there is neither; ``ContainerNotFound``.
    """
    found = lookup(sql, container, name)
    query = "SELECT size, NULL, NULL, block FROM pending WHERE container = ? AND name = ? ORDER BY block"
    waiting = [Piece(*row) for row in sql.execute(query, (container, name))]
    if found is None and not waiting:
        need_container(sql, container)
        raise StorageError("BlobNotFound")
    committed = [] if found is None else [p for p in pieces(sql, found.id) if p.block is not None]
    return found, committed, waiting


def _pending_data(sql: sqlite3.Connection, identity: int) -> bytes:
    return bytes(sql.execute("SELECT data FROM pending WHERE id = ?", (identity,)).fetchone()[0])
