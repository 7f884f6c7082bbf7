"""What is in the queues, read from the broker's file: also while it is stopped."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

# The sub-queue of a queue's messages that could not be delivered, after the queue's uid or name.
DEAD_LETTER = "/$deadletterqueue"


@dataclass(frozen=True)
class QueueCounts:
    """Messages of a queue and their bytes, those of its dead-letter queue included.

    Attributes:
        active: also those that are locked or deferred.
        newest: when the last one that is still there was enqueued, as in the tables.
    """

    active: int = 0
    dead_letter: int = 0
    scheduled: int = 0
    size: int = 0
    newest: str | None = None


def read_counts(path: Path, queues: list[str]) -> dict[str, QueueCounts]:
    """The counts of queues by their uid; zeroes for those that the file does not know, or without a file."""
    found: dict[str, list[tuple[str, str, int, int, float]]] = {}
    if path.exists():
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("PRAGMA busy_timeout=30000").close()
            rows = connection.execute(
                "SELECT queue, state, count(*), sum(size), max(enqueued) FROM messages GROUP BY queue, state"
            )
            for queue, state, count, size, newest in rows:
                uid = queue.removesuffix(DEAD_LETTER)
                kind = "dead_letter" if queue.endswith(DEAD_LETTER) else state
                found.setdefault(uid, []).append((queue, kind, count, size, newest))
    return {uid: _sum(found.get(uid, [])) for uid in queues}


def _sum(rows: list[tuple[str, str, int, int, float]]) -> QueueCounts:
    count = {
        kind: sum(row[2] for row in rows if row[1] == kind)
        for kind in ("active", "deferred", "scheduled", "dead_letter")
    }
    newest = max((row[4] for row in rows), default=None)
    return QueueCounts(
        active=count["active"] + count["deferred"],
        dead_letter=count["dead_letter"],
        scheduled=count["scheduled"],
        size=sum(row[3] for row in rows),
        newest=None
        if newest is None
        else datetime.fromtimestamp(newest, timezone.utc).isoformat(timespec="microseconds"),
    )
