"""Containers of an account."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable

from mooring_server.domain.storage import lease as leases
from mooring_server.domain.storage.conditions import Conditions
from mooring_server.domain.storage.errors import StorageError
from mooring_server.domain.storage.lease import Lease
from mooring_server.store.storage import records
from mooring_server.store.storage.extents import drop_extents
from mooring_server.store.storage.ledger import Tx
from mooring_server.store.storage.records import Container

_COLUMNS = "name, seq, modified, metadata, lease"


def find(sql: sqlite3.Connection, name: str) -> Container:
    """One container.

    Raises:
        StorageError: ``ContainerNotFound``.
    """
    row = sql.execute(f"SELECT {_COLUMNS} FROM containers WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise StorageError("ContainerNotFound")
    return records.container(row)


def create(tx: Tx, name: str, metadata: dict[str, str]) -> Container:
    """A new container.

    Raises:
        StorageError: ``ContainerAlreadyExists``.
    """
    if tx.sql.execute("SELECT 1 FROM containers WHERE name = ?", (name,)).fetchone():
        raise StorageError("ContainerAlreadyExists")
    made = Container(name, tx.next_seq(), tx.now, metadata, None)
    row = (name, made.seq, made.modified, json.dumps(metadata), None)
    tx.sql.execute("INSERT INTO containers VALUES (?, ?, ?, ?, ?)", row)
    return made


def set_metadata(
    tx: Tx,
    name: str,
    metadata: dict[str, str],
    conditions: Conditions,
    etag: Callable[[int], str],
    lease_id: str | None,
) -> Container:
    """Replace the metadata."""
    found = find(tx.sql, name)
    leases.check(found.lease, lease_id, tx.now, "Container", writes=False)
    conditions.check_write(etag(found.seq), found.modified)
    found.metadata, found.seq, found.modified = metadata, tx.next_seq(), tx.now
    tx.sql.execute(
        "UPDATE containers SET metadata = ?, seq = ?, modified = ? WHERE name = ?",
        (json.dumps(metadata), found.seq, found.modified, name),
    )
    return found


def delete(
    tx: Tx, name: str, conditions: Conditions, etag: Callable[[int], str], lease_id: str | None
) -> None:
    """Delete a container with all its blobs and blocks."""
    found = find(tx.sql, name)
    leases.check(found.lease, lease_id, tx.now, "Container")
    conditions.check_write(etag(found.seq), found.modified)
    sql = tx.sql
    for (identity,) in sql.execute("SELECT id FROM blobs WHERE container = ?", (name,)).fetchall():
        drop_extents(tx, identity)
    query = "SELECT file FROM pending WHERE file IS NOT NULL AND container = ?"
    tx.dropped += [row[0] for row in sql.execute(query, (name,))]
    for table in ("blobs", "pending"):
        sql.execute(f"DELETE FROM {table} WHERE container = ?", (name,))
    sql.execute("DELETE FROM containers WHERE name = ?", (name,))
    tx.next_seq()


def set_lease(
    tx: Tx, name: str, step: Callable[[Lease | None, float], tuple[Lease | None, int]]
) -> tuple[Container, int]:
    """Move the lease on by a pure step; gives what the step gave beside the container."""
    found = find(tx.sql, name)
    found.lease, answer = step(found.lease, tx.now)
    tx.sql.execute("UPDATE containers SET lease = ? WHERE name = ?", (records.lease_text(found.lease), name))
    return found, answer


def page(sql: sqlite3.Connection, prefix: str, start: str, count: int) -> tuple[list[Container], str]:
    """At most ``count`` containers from ``start`` on, and the name of the next one."""
    query = f"SELECT {_COLUMNS} FROM containers WHERE name >= ? AND name < ? ORDER BY name LIMIT ?"
    rows = sql.execute(query, (max(prefix, start), prefix + "\U0010ffff", count + 1)).fetchall()
    return [records.container(row) for row in rows[:count]], rows[count][0] if len(rows) > count else ""
