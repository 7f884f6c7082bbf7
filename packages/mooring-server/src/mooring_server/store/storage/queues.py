"""Queues and their messages."""

from __future__ import annotations

import json
import sqlite3
import uuid
from dataclasses import dataclass

from mooring_server.domain.storage.errors import StorageError
from mooring_server.store.storage.ledger import Tx

# The year 9999: a message that never expires.
NEVER = 253_402_300_799.0
_COLUMNS = "id, inserted, expires, visible, dequeues, receipt, body"


@dataclass
class Message:
    """A message; times in seconds since the epoch, ``body`` as the sender wrote it."""

    id: str
    inserted: float
    expires: float
    visible: float
    dequeues: int
    receipt: str
    body: str


def create(tx: Tx, name: str, metadata: dict[str, str]) -> bool:
    """Make a queue; False when it is there already with the same metadata.

    Raises:
        StorageError: ``QueueAlreadyExists`` when it has others.
    """
    row = tx.sql.execute("SELECT metadata FROM queues WHERE name = ?", (name,)).fetchone()
    if row is not None:
        if json.loads(row[0]) != metadata:
            raise StorageError("QueueAlreadyExists")
        return False
    tx.sql.execute("INSERT INTO queues VALUES (?, ?)", (name, json.dumps(metadata)))
    return True


def delete(tx: Tx, name: str) -> None:
    """Delete a queue with its messages."""
    metadata_of(tx.sql, name)
    tx.sql.execute("DELETE FROM messages WHERE queue = ?", (name,))
    tx.sql.execute("DELETE FROM queues WHERE name = ?", (name,))


def metadata_of(sql: sqlite3.Connection, name: str) -> dict[str, str]:
    """A queue's metadata.

    Raises:
        StorageError: ``QueueNotFound``.
    """
    row = sql.execute("SELECT metadata FROM queues WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise StorageError("QueueNotFound")
    found: dict[str, str] = json.loads(row[0])
    return found


def set_metadata(tx: Tx, name: str, metadata: dict[str, str]) -> None:
    """Replace the metadata."""
    metadata_of(tx.sql, name)
    tx.sql.execute("UPDATE queues SET metadata = ? WHERE name = ?", (json.dumps(metadata), name))


def length(sql: sqlite3.Connection, name: str, now: float) -> int:
    """How many messages there are, also invisible ones."""
    query = "SELECT count(*) FROM messages WHERE queue = ? AND expires > ?"
    return int(sql.execute(query, (name, now)).fetchone()[0])


def page(
    sql: sqlite3.Connection, prefix: str, start: str, count: int
) -> tuple[list[tuple[str, dict[str, str]]], str]:
    """At most ``count`` queues with their metadata from ``start`` on, and the name of the next one."""
    query = "SELECT name, metadata FROM queues WHERE name >= ? AND name < ? ORDER BY name LIMIT ?"
    rows = sql.execute(query, (max(prefix, start), prefix + "\U0010ffff", count + 1)).fetchall()
    found = [(name, json.loads(metadata)) for name, metadata in rows[:count]]
    return found, rows[count][0] if len(rows) > count else ""


def put(tx: Tx, queue: str, body: str, *, delay: int, ttl: int) -> Message:
    """Add a message.

    Args:
        tx: the write.
        queue: its queue.
        body: text.
        delay: seconds until it can be seen.
        ttl: seconds until it is gone; -1: never.
    """
    metadata_of(tx.sql, queue)
    expires = NEVER if ttl < 0 else tx.now + ttl
    message = Message(str(uuid.uuid4()), tx.now, expires, tx.now + delay, 0, _receipt(), body)
    row = (queue, *vars(message).values())
    tx.sql.execute(f"INSERT INTO messages (queue, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    return message


def take(tx: Tx, queue: str, count: int, timeout: int) -> list[Message]:
    """Take visible messages, the longest visible first; nobody else sees them for ``timeout`` seconds."""
    metadata_of(tx.sql, queue)
    tx.sql.execute("DELETE FROM messages WHERE queue = ? AND expires <= ?", (queue, tx.now))
    found = _visible(tx.sql, queue, count, tx.now)
    for message in found:
        message.dequeues += 1
        message.receipt, message.visible = _receipt(), tx.now + timeout
        tx.sql.execute(
            "UPDATE messages SET dequeues = ?, receipt = ?, visible = ? WHERE queue = ? AND id = ?",
            (message.dequeues, message.receipt, message.visible, queue, message.id),
        )
    return found


def peek(sql: sqlite3.Connection, queue: str, count: int, now: float) -> list[Message]:
    """What `take` would give, left as it is."""
    metadata_of(sql, queue)
    return _visible(sql, queue, count, now)


def update(tx: Tx, queue: str, identity: str, receipt: str, *, timeout: int, body: str | None) -> Message:
    """Hide a taken message for another time, with another body if one is given.

    Raises:
        StorageError: ``QueueNotFound``, ``MessageNotFound``, ``PopReceiptMismatch``.
    """
    message = _taken(tx, queue, identity, receipt)
    message.receipt, message.visible = _receipt(), tx.now + timeout
    message.body = message.body if body is None else body
    tx.sql.execute(
        "UPDATE messages SET receipt = ?, visible = ?, body = ? WHERE queue = ? AND id = ?",
        (message.receipt, message.visible, message.body, queue, identity),
    )
    return message


def remove(tx: Tx, queue: str, identity: str, receipt: str) -> None:
    """Delete a taken message.

    Raises:
        StorageError: ``QueueNotFound``, ``MessageNotFound``, ``PopReceiptMismatch``.
    """
    _taken(tx, queue, identity, receipt)
    tx.sql.execute("DELETE FROM messages WHERE queue = ? AND id = ?", (queue, identity))


def clear(tx: Tx, queue: str) -> None:
    """Delete all messages."""
    metadata_of(tx.sql, queue)
    tx.sql.execute("DELETE FROM messages WHERE queue = ?", (queue,))


def _taken(tx: Tx, queue: str, identity: str, receipt: str) -> Message:
    metadata_of(tx.sql, queue)
    query = f"SELECT {_COLUMNS} FROM messages WHERE queue = ? AND id = ? AND expires > ?"
    row = tx.sql.execute(query, (queue, identity, tx.now)).fetchone()
    if row is None:
        raise StorageError("MessageNotFound")
    message = Message(*row)
    if message.receipt != receipt:
        raise StorageError("PopReceiptMismatch")
    return message


def _visible(sql: sqlite3.Connection, queue: str, count: int, now: float) -> list[Message]:
    query = f"SELECT {_COLUMNS} FROM messages WHERE queue = ? AND visible <= ? AND expires > ?"
    query += " ORDER BY visible, n LIMIT ?"
    return [Message(*row) for row in sql.execute(query, (queue, now, now, count))]


def _receipt() -> str:
    return uuid.uuid4().hex
