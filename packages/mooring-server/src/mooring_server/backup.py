"""``python -m mooring_server.backup``: backups without a server, and restoring.

For programs: JSON lines on standard output, ``{"progress": [done, total]}`` about five times a second, and at the
end ``{"result": {...}}`` or ``{"error": {...}}`` (then the exit status is 1).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mooring_server.domain.errors import MooringError
from mooring_server.services import restores
from mooring_server.services.backups import Backup, Summary, pieces
from mooring_server.settings import Home, locked
from mooring_server.store.content import ContentStore, disk_full
from mooring_server.store.retention import Retention

_TELL_SECONDS = 0.2


def main(arguments: list[str] | None = None) -> int:
    """Make, look at or restore a backup. Returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        result = _run(options)
    except MooringError as error:
        _tell({"error": error.to_json()})
        return 1
    _tell({"result": result})
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mooring-server-backup", description="See `mooring backup --help`.")
    parser.add_argument("what", choices=("create", "inspect", "restore"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--home", type=Path, required=True, help="data directory")
    parser.add_argument("--force", action="store_true", help="replace the data that are there")
    return parser


def _run(options: argparse.Namespace) -> Summary:
    path = options.file.absolute()
    progress = _Progress()
    if options.what == "inspect":
        return restores.inspect(path, progress)
    place = options.home.expanduser().absolute()
    if options.what == "create" and not place.is_dir():
        raise MooringError(
            "NothingToBackUp",
            f"There is no data directory {place}.",
            hint="Set MOORING_HOME to the data directory that is meant.",
            status_code=404,
        )
    home = Home.open(place)
    # No server can start meanwhile; and none runs, or it would be asked instead.
    with locked(home):
        if options.what == "restore":
            return restores.restore(home, path, progress, force=options.force)
        restores.finish(home)
        return _create(home, path, progress)


def _create(home: Home, path: Path, progress: _Progress) -> Summary:
    backup = Backup(home, ContentStore(home.content), Retention())
    try:
        done = 0
        with _written(path, backup.size) as descriptor:
            for data in pieces(backup):
                view = memoryview(data)
                while view:
                    view = view[os.write(descriptor, view) :]
                done += len(data)
                progress(done, backup.size)
        return {**backup.summary, "bytes": backup.size, "file": str(path)}
    finally:
        backup.close()


@contextmanager
def _written(path: Path, size: int) -> Iterator[int]:
    """A file (0600) that appears under its name when it is complete and on disk."""
    part = path.with_name(f"{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            yield descriptor
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        full = disk_full(error, path.parent, size, phase="Run")
        raise full or MooringError(
            "FileNotUsable", f"{path} cannot be written: {error.strerror}.", phase="Run", target=str(path)
        ) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


class _Progress:
    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last >= _TELL_SECONDS:
            self._last = now
            _tell({"progress": [done, total]})


def _tell(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
