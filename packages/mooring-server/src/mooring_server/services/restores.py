"""Restores a backup: unpacked and checked beside the data, then put in their place.

    <home>/restore/            what is being unpacked; without `commit` it is removed by whoever comes next
    <home>/restore/commit      everything is there and right: from now on it is only moved, also after a crash

Nothing of the data that are there is touched before `commit` exists; `finish` completes what a crash interrupted.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from mooring_server.domain.errors import Conflict, InvalidRequest, MooringError
from mooring_server.services import tracking_data
from mooring_server.services.backups import Summary
from mooring_server.settings import Home, write_private
from mooring_server.store import archive
from mooring_server.store.content import disk_full
from mooring_server.store.database import HEAD
from mooring_server.store.storage import schema

Progress = Callable[[int, int], None]
_STAGING, _COMMIT = "restore", "commit"
_PARTS = ("content", "services", "storage", "mlflow", "mooring.db", "settings.json")
# What a data directory has before there is anything in it.
_EMPTY = {"logs", "server.lock", "start.lock", _STAGING}
_UID = re.compile(r"[0-9a-f]{32}")


def inspect(path: Path, progress: Progress) -> Summary:
    """Read a backup to its end and give its summary; nothing is written.

    Raises:
        InvalidRequest: ``BackupInvalid``, ``BackupDamaged``, ``FileUnreadable``.
        MooringError: ``DataTooNew``.
    """
    with _opened(path, progress) as file:
        summary: Summary = {}
        for name, size, content in archive.entries_of(file):
            if name == archive.SUMMARY:
                summary = _summary(archive.read_small(name, size, content))
    return {**summary, "bytes": path.stat().st_size}


def restore(home: Home, path: Path, progress: Progress, *, force: bool) -> Summary:
    """Make the data directory what the backup holds. The caller holds its lock.

    Raises:
        Conflict: ``HomeNotEmpty`` without ``force``, ``ServicesRunning``.
        InvalidRequest: ``BackupInvalid``, ``BackupDamaged``, ``FileUnreadable``.
        MooringError: ``DataTooNew``, ``DiskFull``.
    """
    finish(home)
    _check_target(home, force=force)
    staging = home.path / _STAGING
    staging.mkdir(mode=0o700)
    try:
        with _opened(path, progress) as file:
            summary = _unpack(file, staging)
        moved = _prepare(staging)
        os.sync()  # all of it is on disk before anything says so
    except BaseException as error:
        shutil.rmtree(staging)
        full = isinstance(error, OSError) and disk_full(error, home.path, path.stat().st_size, phase="Unpack")
        if full:
            raise full from error
        raise
    write_private(staging / _COMMIT, json.dumps(summary))
    finish(home)
    return {**summary, "bytes": path.stat().st_size, "home": str(home.path), "moved": moved}


def finish(home: Home) -> bool:
    """Complete a restore that was cut short, or clean up after one. Returns whether data were put in place.

    The caller holds the lock of the data directory.
    """
    staging = home.path / _STAGING
    if not staging.exists():
        return False
    complete = (staging / _COMMIT).exists()
    if complete:
        for name in _PARTS:
            if (staging / name).exists():
                for old in (name, f"{name}-wal", f"{name}-shm") if name.endswith(".db") else (name,):
                    _remove(home.path / old)
                (staging / name).rename(home.path / name)
        # What was unpacked and cached belongs to the content that is gone.
        _remove(home.cache)
        os.sync()
        (staging / _COMMIT).unlink()
    shutil.rmtree(staging)
    return complete


def _check_target(home: Home, *, force: bool) -> None:
    running = [d.name for d in home.services.glob("*") if _locked(d / "supervisor.lock")]
    if running:
        raise Conflict(
            "ServicesRunning",
            f"{len(running)} service{'s run' if len(running) > 1 else ' runs'} from the data in {home.path}.",
            hint="Stop them: mooring down --services",
            phase="Start",
        )
    there = sorted(p.name for p in home.path.iterdir() if p.name not in _EMPTY)
    if there and not force:
        raise Conflict(
            "HomeNotEmpty",
            f"There are data in {home.path} already.",
            hint="Restore into a new directory (MOORING_HOME), or replace what is there with --force.",
            phase="Validate",
            evidence={"tree": "\n".join(there)},
        )


def _unpack(file: BinaryIO, staging: Path) -> Summary:
    summary: Summary = {}
    names: set[str] = set()
    for name, size, content in archive.entries_of(file):
        names.add(name)
        if name == archive.SUMMARY:
            summary = _summary(archive.read_small(name, size, content))
            continue
        blob = name.startswith("blobs/")
        target = staging / "content" / name if blob else staging / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444 if blob else 0o600)
        with os.fdopen(descriptor, "wb") as out:
            for data in content:
                out.write(data)
    missing = {archive.SETTINGS, archive.DATABASE} - names
    if missing:
        raise archive.damaged(f"it has no {', '.join(sorted(missing))}")
    return summary


def _prepare(staging: Path) -> list[str]:
    """Ready the database for another place and time; the names of services whose port somebody else has now."""
    (staging / "services").mkdir(mode=0o700)
    (staging / "content").mkdir(mode=0o700, exist_ok=True)
    (staging / "storage").mkdir(mode=0o700, exist_ok=True)
    for database in (staging / "storage").glob("*/account.db"):
        _prepare_account(database)
    tracking = staging / tracking_data.FOLDER
    tracking_data.place(tracking)
    tracking.mkdir(exist_ok=True)
    tracking.chmod(0o700)
    moved = []
    try:
        with closing(sqlite3.connect(staging / "mooring.db")) as connection:
            if connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise archive.damaged("its database is not sound", archive.DATABASE)
            (version,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            _check_version(str(version))
            _begin_again(connection)
            for uid, name, observed in connection.execute(
                "SELECT uid, name, observed FROM services"
            ).fetchall():
                port = int((json.loads(observed).get("url") or ":0").rpartition(":")[2])
                if not port or not _UID.fullmatch(uid):
                    continue
                if not _free(port):
                    moved.append(name)
                    continue
                directory = staging / "services" / uid
                directory.mkdir(mode=0o700)
                # From here the supervisor takes the port that it had.
                write_private(directory / "state.json", json.dumps({"port": port}))
            # Nothing of them runs here yet, and their old addresses may be somebody else's now.
            connection.execute(
                "UPDATE services SET observed = '{}', state = 'Transitioning'"
                " WHERE active_revision IS NOT NULL AND NOT deleting"
            )
            connection.commit()
            connection.execute("PRAGMA journal_mode=DELETE").close()
    except (sqlite3.DatabaseError, ValueError, TypeError) as error:
        raise archive.damaged(f"its database cannot be used ({error})", archive.DATABASE) from error
    return sorted(moved)


def _prepare_account(database: Path) -> None:
    try:
        with closing(sqlite3.connect(database)) as connection:
            if connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise archive.damaged("a storage account's database is not sound", database.parent.name)
        schema.begin_again(database)
    except sqlite3.DatabaseError as error:
        what = f"a storage account's database cannot be used ({error})"
        raise archive.damaged(what, database.parent.name) from error


def _begin_again(connection: sqlite3.Connection) -> None:
    """Phases that ran when the backup was made begin anew, with all their time: it passed elsewhere."""
    rows = connection.execute("SELECT id, phases FROM operations WHERE ended IS NULL").fetchall()
    for identity, text in rows:
        phases: list[dict[str, Any]] = json.loads(text)
        for phase in phases:
            if phase["state"] == "Running":
                phase["state"], phase["started"] = "Pending", None
        connection.execute("UPDATE operations SET phases = ? WHERE id = ?", (json.dumps(phases), identity))


def _summary(data: bytes) -> Summary:
    try:
        summary: Summary = json.loads(data)
        form, version = int(summary["format"]), str(summary["dataVersion"])
    except (ValueError, KeyError, TypeError) as error:
        raise archive.damaged(f"{archive.SUMMARY} cannot be read ({error})") from error
    if form != archive.FORMAT:
        raise InvalidRequest(
            "BackupInvalid",
            f"The backup has format {form}, this Mooring reads format {archive.FORMAT}.",
            hint=f"Restore it with Mooring {summary.get('version')}, or a newer one.",
        )
    _check_version(version)
    return summary


def _check_version(version: str) -> None:
    if version > HEAD:
        raise MooringError(
            "DataTooNew",
            f"The backup has schema {version}, this Mooring knows schemas up to {HEAD}.",
            hint="Use the Mooring version that wrote it, or a newer one.",
            phase="Validate",
        )


@contextmanager
def _opened(path: Path, progress: Progress) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield _Counting(file, path.stat().st_size, progress)  # type: ignore[misc]
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        if error.filename != str(path):
            raise
        raise InvalidRequest(
            "FileUnreadable", f"{path} cannot be read: {error.strerror}.", target=str(path)
        ) from error


class _Counting:
    """Tells how much of a file was read."""

    def __init__(self, file: BinaryIO, size: int, progress: Progress) -> None:
        self._file, self._size, self._progress = file, size, progress
        self._done = 0

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._done += len(data)
        self._progress(self._done, self._size)
        return data


def _locked(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open("a") as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
