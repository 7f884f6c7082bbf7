"""Lists of blobs, and blobs in the order of their changes: a page at a time, so that memory follows the page."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from mooring_server.store.storage import records
from mooring_server.store.storage.records import BLOB_COLUMNS, Blob

# Sorts behind every name that begins with what is before it.
_LAST = "\U0010ffff"


@dataclass(frozen=True)
class ListPage:
    """One page.

    Attributes:
        entries: blobs, and as texts the prefixes that stand for all blobs below them, by name.
        next: name or prefix with which the next page begins, empty at the end.
    """

    entries: list[Blob | str]
    next: str


def page(
    sql: sqlite3.Connection, container: str, *, prefix: str, delimiter: str, start: str, count: int
) -> ListPage:
    """At most ``count`` blobs and prefixes, from ``start`` on.

    Blobs behind a prefix are skipped by one seek, however many there are.
    """
    query = f"SELECT {BLOB_COLUMNS} FROM blobs WHERE container = ? AND name >= ? AND name < ? ORDER BY name"
    entries: list[Blob | str] = []
    begin, end = max(start, prefix), prefix + _LAST
    while True:
        cursor = sql.execute(query, (container, begin, end))
        skipped = False
        for row in cursor:
            name = row[2]
            cut = name.find(delimiter, len(prefix)) if delimiter else -1
            entry: Blob | str = name[: cut + len(delimiter)] if cut >= 0 else records.blob(row)
            if len(entries) == count:
                cursor.close()
                return ListPage(entries, entry if isinstance(entry, str) else entry.name)
            entries.append(entry)
            if isinstance(entry, str):
                begin, skipped = entry + _LAST, True
                cursor.close()
                break
        if not skipped:
            return ListPage(entries, "")


def changes(
    sql: sqlite3.Connection, after: int, *, container: str | None, prefix: str, count: int
) -> tuple[list[Blob], int]:
    """Blobs whose last change has a number above ``after``, oldest change first, and the number to go on from."""
    query = f"SELECT {BLOB_COLUMNS} FROM blobs INDEXED BY blobs_seq WHERE seq > ?"
    arguments: list[object] = [after]
    if container is not None:
        query += " AND container = ?"
        arguments.append(container)
    if prefix:
        query += " AND name >= ? AND name < ?"
        arguments += [prefix, prefix + _LAST]
    sql.execute("BEGIN")  # both answers are of the same instant
    (last,) = sql.execute("SELECT value FROM meta WHERE key = 'seq'").fetchone()
    rows = sql.execute(f"{query} ORDER BY seq LIMIT ?", (*arguments, count))
    found = [records.blob(row) for row in rows]
    sql.execute("ROLLBACK")
    return found, found[-1].seq if len(found) == count else int(last)
