"""Bodies of blobs and blocks that are too large for the database: immutable files, complete before they are named."""

from __future__ import annotations

import os
import threading
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


class BodyWriter:
    """Writes one body. `commit` names it; whoever leaves it without that calls `abort`."""

    def __init__(self, bodies: Bodies) -> None:
        self.name = uuid.uuid4().hex
        self.size = 0
        self._bodies = bodies
        self._path = bodies.path(self.name)
        bodies.reserve(self.name)
        try:
            if not self._path.parent.exists():
                self._path.parent.mkdir(mode=0o700, exist_ok=True)
                sync_directory(self._path.parent.parent)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except OSError:
            bodies.release([self.name])
            raise
        # Unbuffered: pieces are large, and nothing may be left to flush when the disk is full.
        self._file = os.fdopen(descriptor, "wb", buffering=0)

    def write(self, data: bytes | bytearray) -> None:
        """Append."""
        view = memoryview(data)
        while view:
            written = self._file.write(view) or 0
            self.size += written
            view = view[written:]

    def commit(self) -> None:
        """All of it is on disk from here on; nobody removes it before `Bodies.release`."""
        os.fsync(self._file.fileno())
        self._file.close()
        sync_directory(self._path.parent)

    def release(self) -> None:
        """The database refers to it, or never will: from now on it can be removed."""
        self._bodies.release([self.name])

    def abort(self) -> None:
        """Throw away what was written."""
        self._file.close()
        self._path.unlink(missing_ok=True)
        self._bodies.release([self.name])


class Bodies:
    """The files of one account. A file that is being written or read is not removed until that has ended."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()
        self._doomed: set[str] = set()

    def path(self, name: str) -> Path:
        """Where the body lies; its name is ours, never a caller's."""
        return self._root / name[:2] / name

    def writer(self) -> BodyWriter:
        """Begin a body."""
        return BodyWriter(self)

    def open(self, name: str) -> BinaryIO:
        """Read a body; `reading` keeps it from being removed before."""
        return self.path(name).open("rb", buffering=0)

    def reserve(self, name: str) -> None:
        """Keep a body."""
        with self._lock:
            self._held[name] += 1

    def release(self, names: Iterable[str]) -> None:
        """Undo one `reserve` of each; those that were removed meanwhile go now."""
        with self._lock:
            gone = []
            for name in names:
                self._held[name] -= 1
                if self._held[name] <= 0:
                    del self._held[name]
                    if name in self._doomed:
                        self._doomed.discard(name)
                        gone.append(name)
        self._unlink(gone)

    @contextmanager
    def reading(self, names: Iterable[str]) -> Iterator[None]:
        """Keep bodies while they are read."""
        kept = list(names)
        for name in kept:
            self.reserve(name)
        try:
            yield
        finally:
            self.release(kept)

    def remove(self, names: Iterable[str]) -> None:
        """Remove bodies that nothing refers to any more."""
        with self._lock:
            gone = []
            for name in names:
                if name in self._held:
                    self._doomed.add(name)
                else:
                    gone.append(name)
        self._unlink(gone)

    def sweep(self, referenced: set[str]) -> int:
        """Remove what a server that was killed has left: files that the database does not name. How many."""
        left = [name for name in self.names() if name not in referenced]
        self._unlink(left)
        return len(left)

    def names(self) -> Iterator[str]:
        """All files."""
        for directory in self._root.iterdir():
            yield from (entry.name for entry in os.scandir(directory))

    def _unlink(self, names: Iterable[str]) -> None:
        for name in names:
            with suppress(FileNotFoundError):
                self.path(name).unlink()


def sync_directory(directory: Path) -> None:
    """Names in it survive a power failure from here on."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
