"""Block blobs: put, change, delete, copy. All functions but `find` run in a write's transaction."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mooring_server.domain.storage import lease as leases
from mooring_server.domain.storage.conditions import Conditions
from mooring_server.domain.storage.errors import StorageError
from mooring_server.domain.storage.lease import Lease
from mooring_server.store.storage import records
from mooring_server.store.storage.extents import copy_extents, drop_extents, write_extents
from mooring_server.store.storage.ledger import Tx
from mooring_server.store.storage.records import BLOB_COLUMNS, Blob, NewBlob, Piece


@dataclass(frozen=True)
class Guarded:
    """A blob that is meant, and under which conditions.

    Attributes:
        lease_id: ``x-ms-lease-id``.
        etag: makes an ETag of a change's number.
        create_only: whether the caller may not write over one that is there.
    """

    container: str
    name: str
    conditions: Conditions
    lease_id: str | None
    etag: Callable[[int], str]
    create_only: bool = False


def lookup(sql: sqlite3.Connection, container: str, name: str) -> Blob | None:
    """A blob, or None; the container may not exist either."""
    query = f"SELECT {BLOB_COLUMNS} FROM blobs WHERE container = ? AND name = ?"
    row = sql.execute(query, (container, name)).fetchone()
    return None if row is None else records.blob(row)


def find(sql: sqlite3.Connection, container: str, name: str) -> Blob:
    """A blob.

    Raises:
        StorageError: ``BlobNotFound``, ``ContainerNotFound``.
    """
    found = lookup(sql, container, name)
    if found is None:
        need_container(sql, container)
        raise StorageError("BlobNotFound")
    return found


def admit(tx: Tx, target: Guarded, *, writes: bool = True) -> Blob | None:
    """What is there now, if the conditions and leases let it be changed.

    Raises:
        StorageError: ``ContainerNotFound``, ``ConditionNotMet``, ``BlobAlreadyExists``, ``Lease...``,
            ``AuthorizationPermissionMismatch`` for a caller that may only create.
    """
    found = lookup(tx.sql, target.container, target.name)
    if found is None:
        need_container(tx.sql, target.container)
        if target.lease_id is not None:
            raise StorageError("LeaseNotPresentWithBlobOperation")
        target.conditions.check_write(None, 0.0)
        return None
    target.conditions.check_write(target.etag(found.seq), found.modified)
    leases.check(found.lease, target.lease_id, tx.now, writes=writes)
    return found


def put(tx: Tx, target: Guarded, new: NewBlob, pieces: Sequence[Piece]) -> Blob:
    """Make a blob of pieces, in the place of the one that is there; its lease stays, its blocks go."""
    before = _replaceable(tx, target)
    made = _insert(tx, target, new, sum(p.size for p in pieces), before)
    drop_pending(tx, target.container, target.name)
    write_extents(tx, made.id, pieces)
    return made


def copy(tx: Tx, target: Guarded, source: Guarded, url: str, metadata: dict[str, str] | None) -> Blob:
    """Copy a blob of the account; its metadata unless others are given."""
    found = find(tx.sql, source.container, source.name)
    try:
        source.conditions.check_write(source.etag(found.seq), found.modified)
    except StorageError:
        raise StorageError("SourceConditionNotMet") from None
    leases.check(found.lease, source.lease_id, tx.now, writes=False)
    before = _replaceable(tx, target)
    note = {"id": str(uuid.uuid4()), "source": url, "completed": tx.now}
    new = NewBlob(found.headers, found.metadata if metadata is None else metadata)
    if before is not None and before.id == found.id:
        return _change(tx, before, new, note)
    made = _insert(tx, target, new, found.size, before, note)
    drop_pending(tx, target.container, target.name)
    copy_extents(tx, found.id, made.id)
    return made


def delete(tx: Tx, target: Guarded) -> None:
    """Delete a blob."""
    found = _existing(tx, target)
    drop_extents(tx, found.id)
    tx.sql.execute("DELETE FROM blobs WHERE id = ?", (found.id,))
    tx.next_seq()


def set_metadata(tx: Tx, target: Guarded, metadata: dict[str, str]) -> Blob:
    """Replace the metadata."""
    found = _existing(tx, target)
    return _change(tx, found, NewBlob(found.headers, metadata), found.copy)


def set_headers(tx: Tx, target: Guarded, headers: dict[str, str]) -> Blob:
    """Replace ``Content-Type`` and the like."""
    found = _existing(tx, target)
    return _change(tx, found, NewBlob(headers, found.metadata), found.copy)


def set_lease(
    tx: Tx, target: Guarded, step: Callable[[Lease | None, float], tuple[Lease | None, int]]
) -> tuple[Blob, int]:
    """Move the lease on by a pure step; gives what the step gave beside the blob. The ETag stays."""
    found = find(tx.sql, target.container, target.name)
    target.conditions.check_write(target.etag(found.seq), found.modified)
    found.lease, answer = step(found.lease, tx.now)
    tx.sql.execute("UPDATE blobs SET lease = ? WHERE id = ?", (records.lease_text(found.lease), found.id))
    return found, answer


def drop_pending(tx: Tx, container: str, name: str) -> None:
    """Forget blocks that were not committed."""
    query = "SELECT file FROM pending WHERE container = ? AND name = ? AND file IS NOT NULL"
    tx.dropped += [row[0] for row in tx.sql.execute(query, (container, name))]
    tx.sql.execute("DELETE FROM pending WHERE container = ? AND name = ?", (container, name))


def _existing(tx: Tx, target: Guarded) -> Blob:
    found = admit(tx, target)
    if found is None:
        raise StorageError("BlobNotFound")
    return found


def _replaceable(tx: Tx, target: Guarded) -> Blob | None:
    before = admit(tx, target)
    if before is not None and target.create_only:
        raise StorageError("AuthorizationPermissionMismatch")
    return before


def _insert(
    tx: Tx,
    target: Guarded,
    new: NewBlob,
    size: int,
    before: Blob | None,
    copied: dict[str, object] | None = None,
) -> Blob:
    seq = tx.next_seq()
    lease = before.lease if before is not None and leases.locked(before.lease, tx.now) else None
    values = (
        *(target.container, target.name, seq, tx.now, tx.now, size),
        *(json.dumps(new.headers), json.dumps(new.metadata), records.lease_text(lease)),
        json.dumps(copied) if copied else None,
    )
    if before is not None:
        drop_extents(tx, before.id)
        tx.sql.execute("DELETE FROM blobs WHERE id = ?", (before.id,))
    # The number is never given twice: who still reads what was here before cannot take the new content for it.
    query = f"INSERT INTO blobs ({BLOB_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    tx.sql.execute(query, (seq, *values))
    return Blob(seq, *values[:6], new.headers, new.metadata, lease, copied)


def _change(tx: Tx, found: Blob, new: NewBlob, copied: dict[str, object] | None) -> Blob:
    found.seq, found.modified = tx.next_seq(), tx.now
    found.headers, found.metadata, found.copy = new.headers, new.metadata, copied
    tx.sql.execute(
        "UPDATE blobs SET seq = ?, modified = ?, headers = ?, metadata = ?, copy = ? WHERE id = ?",
        (
            *(found.seq, found.modified, json.dumps(found.headers), json.dumps(found.metadata)),
            *(json.dumps(copied) if copied else None, found.id),
        ),
    )
    return found


def need_container(sql: sqlite3.Connection, name: str) -> None:
    """Refuse a container that is not there.

    Raises:
        StorageError: ``ContainerNotFound``.
    """
    if sql.execute("SELECT 1 FROM containers WHERE name = ?", (name,)).fetchone() is None:
        raise StorageError("ContainerNotFound")
