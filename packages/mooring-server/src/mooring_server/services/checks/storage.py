"""Checks of storage accounts: their databases are sound, and every body that they name is there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from mooring_server.services.checks.finding import NOTE, Finding
from mooring_server.services.storage.open_accounts import directory_of
from mooring_server.settings import Home
from mooring_server.store.storage.bodies import Bodies
from mooring_server.store.tables import StorageAccount

_HINT = "Restore a backup, or delete what is named and upload it again."


def accounts(session: Session, home: Home, *, deep: bool) -> Iterator[Finding]:
    """Look at every account.

    Args:
        session: of the server's database.
        home: the data directory.
        deep: also compare indexes with rows.
    """
    if not inspect(session.connection()).has_table(StorageAccount.__tablename__):
        return  # data of an earlier Mooring
    known = set()
    for account in session.scalars(select(StorageAccount).order_by(StorageAccount.name)):
        directory = directory_of(home.storage, account.name, account.uid)
        known.add(directory.name)
        if (directory / "account.db").exists():  # else nobody has used it yet
            yield from _account(account.name, directory, deep=deep)
        elif directory.exists() and any((directory / "bodies").glob("*/*")):
            yield Finding(
                code="StorageDamaged",
                subject=f"storage account {account.name}",
                message=f"{directory} has bodies, but no database that says what they are.",
                hint=_HINT,
            )
    for directory in sorted(home.storage.glob("*")):
        if directory.name not in known:
            yield Finding(
                code="TemporaryLeft",
                subject=str(directory),
                message="It is of a storage account that was deleted.",
                hint="The server removes it when it starts: mooring down && mooring up.",
                severity=NOTE,
            )


def _account(name: str, directory: Path, *, deep: bool) -> Iterator[Finding]:
    subject = f"storage account {name}"
    bodies = Bodies(directory / "bodies")
    try:
        with closing(sqlite3.connect(directory / "account.db")) as connection:
            check = "integrity_check" if deep else "quick_check"
            for (line,) in connection.execute(f"PRAGMA {check}(20)").fetchall():
                if line != "ok":
                    yield Finding(code="StorageDamaged", subject=subject, message=str(line), hint=_HINT)
            rows = connection.execute(
                "SELECT b.container, b.name, e.file, e.size FROM extents e JOIN blobs b ON b.id = e.id >> 16"
                " WHERE e.file IS NOT NULL"
            )
            for container, blob, file, size in rows:
                path = bodies.path(file)
                found = path.stat().st_size if path.exists() else None
                if found != size:
                    is_gone = "is gone" if found is None else f"has {found:,} bytes instead of {size:,}"
                    yield Finding(
                        code="BodyLost",
                        subject=f"blob {container}/{blob} of {subject}",
                        message=f"The file {file} of its content {is_gone}.",
                        hint=_HINT,
                    )
    except sqlite3.DatabaseError as error:
        yield Finding(code="StorageDamaged", subject=subject, message=str(error), hint=_HINT)
