"""A backup of everything but caches: made while the server works and services run.

The database is copied first, as it is at one instant. What it refers to was complete in the content store at that
instant, and blobs never change; as nothing is collected until the backup has ended, all of it is in the archive
whatever happens meanwhile. MLflow's runs and artifacts are taken after it: no run of a workspace is missing.
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import func, select

import mooring_server
from mooring_server.domain.errors import MooringError, NotFound
from mooring_server.services.references import referenced
from mooring_server.services.storage.backups import AccountCopies, copy_accounts
from mooring_server.services.storage.open_accounts import OpenAccounts
from mooring_server.services.tracking_data import TrackingData
from mooring_server.settings import Home
from mooring_server.store import archive
from mooring_server.store.content import ContentStore
from mooring_server.store.database import HEAD, Database, snapshot
from mooring_server.store.retention import Retention
from mooring_server.store.tables import Image, Model, Service, StorageAccount, Workspace, now

Summary = dict[str, Any]


class Backup:
    """One backup being read. `close` it: until then nothing is collected.

    Attributes:
        summary: when, by which version, of which schema, and how much of what.
        size: bytes of the archive.
    """

    def __init__(
        self, home: Home, store: ContentStore, retention: Retention, live: OpenAccounts | None = None
    ) -> None:
        """Copies the databases.

        Args:
            home: the data directory.
            store: its content.
            retention: keeps garbage collection away.
            live: the running server's storage accounts, None when none runs.

        Raises:
            MooringError: ``BackupIncomplete`` when the store has lost something, ``DataTooNew``.
        """
        self._lock = threading.Lock()
        self._retention: Retention | None = retention
        self._open: list[BinaryIO | TrackingData | AccountCopies] = []
        retention.hold()
        try:
            database, self.summary, blobs, copies = _snapshot(home, store, live)
            self._open += [database, copies]
            tracked = TrackingData(home)
            self._open.append(tracked)
            self.summary["artifacts"] = tracked.artifacts
            entries = [
                _bytes(archive.SUMMARY, json.dumps(self.summary, indent=1).encode()),
                _bytes(archive.SETTINGS, (home.path / "settings.json").read_bytes()),
                archive.Entry(archive.DATABASE, _size(database), lambda: database),
                *blobs,
                *copies.entries,
                *tracked.entries,
            ]
            self.size = archive.archive_size(entries)
            self._pieces = archive.pieces(entries)
        except BaseException:
            self.close()
            raise

    def read(self) -> bytes:
        """The next piece; empty at the end, and after `close`."""
        with self._lock:
            return b"" if self._retention is None else next(self._pieces, b"")

    def close(self) -> None:
        """Let go; harmless when done before. Waits for a `read` in another thread."""
        with self._lock:
            retention, self._retention = self._retention, None
        if retention is not None:
            retention.release()
            for opened in self._open:
                opened.close()


def _snapshot(
    home: Home, store: ContentStore, live: OpenAccounts | None
) -> tuple[BinaryIO, Summary, list[archive.Entry], AccountCopies]:
    if not home.database.exists():
        raise NotFound(
            "NothingToBackUp",
            f"There are no data of Mooring in {home.path}.",
            hint="Set MOORING_HOME to the data directory that is meant.",
        )
    home.cache.mkdir(mode=0o700, exist_ok=True)
    for left in home.cache.glob("backup-*"):  # of a process that was killed in the moment it takes
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="backup-", dir=home.cache) as directory:
        path = Path(directory) / "mooring.db"
        snapshot(home.database, path)
        database = Database.open(path)  # of an older schema: the copy is brought to this one
        try:
            summary, blobs = _describe(database, store)
            with database.read() as session:
                accounts = [(a.name, a.uid) for a in session.scalars(select(StorageAccount))]
        finally:
            database.close()
        copies = copy_accounts(home.storage, accounts, live, Path(directory))
        summary["storageBytes"] = sum(entry.size for entry in copies.entries)
        # They go on to exist while they are open, and cannot be left behind.
        return path.open("rb"), summary, blobs, copies


def _describe(database: Database, store: ContentStore) -> tuple[Summary, list[archive.Entry]]:
    with database.read() as session:
        try:
            digests = sorted(referenced(session, store))
        except NotFound as error:
            raise _incomplete([str(error.target)]) from error
        counts = {
            table.__tablename__: session.scalar(select(func.count()).select_from(table))
            for table in (Workspace, Model, Image, Service)
        }
        counts["storageAccounts"] = session.scalar(select(func.count()).select_from(StorageAccount))
    lost = [digest for digest in digests if not store.has(digest)]
    if lost:
        raise _incomplete(lost)
    blobs = [_blob(store, digest) for digest in digests]
    size = sum(blob.size for blob in blobs)
    summary = {
        "format": archive.FORMAT,
        "version": mooring_server.__version__,
        "dataVersion": HEAD,
        "createdTime": now(),
        **counts,
        "blobs": len(blobs),
        "blobBytes": size,
    }
    return summary, blobs


def _incomplete(lost: list[str]) -> MooringError:
    return MooringError(
        "BackupIncomplete",
        f"The content store has lost {len(lost)} blob{'s' if len(lost) > 1 else ''} that models or images need.",
        hint="`mooring doctor --check` names what needs them; delete or register it again, then back up.",
        phase="Run",
        evidence={"blobs": "\n".join(lost[:100])},
    )


def pieces(backup: Backup) -> Iterator[bytes]:
    """All that `read` gives."""
    while data := backup.read():
        yield data


def _blob(store: ContentStore, digest: str) -> archive.Entry:
    return archive.Entry(archive.blob_name(digest), store.size(digest), lambda: store.open(digest))


def _bytes(name: str, data: bytes) -> archive.Entry:
    return archive.Entry(name, len(data), lambda: io.BytesIO(data))


def _size(file: BinaryIO) -> int:
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return size
