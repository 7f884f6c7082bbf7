"""Temporary directories that a killed process may leave behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path


class Scratch:
    """Temporary directories below one root, on the same file system as what is made in them.

    Their names begin with the process id, so that `clean_stale` can tell whose they are.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._live: set[str] = set()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def directory(self) -> Iterator[Path]:
        """A new directory; what is still in it afterwards is removed."""
        self.root.mkdir(parents=True, exist_ok=True)
        path = Path(tempfile.mkdtemp(dir=self.root, prefix=f"{os.getpid()}-"))
        with self._lock:
            self._live.add(path.name)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            with self._lock:
                self._live.discard(path.name)

    def clean_stale(self) -> int:
        """Remove what processes left that no longer live; how many directories there were."""
        if not self.root.is_dir():
            return 0
        removed = 0
        for path in self.root.iterdir():
            with self._lock:
                ours = path.name in self._live
            owner = path.name.partition("-")[0]
            # Our own number on a directory that is not ours: left by a process that had the number before.
            if not ours and (owner == str(os.getpid()) or not owner.isdigit() or not _alive(int(owner))):
                shutil.rmtree(path, ignore_errors=True)
                removed += 1
        return removed


class KeyedLocks:
    """One lock for each key, so that two threads do not make the same thing twice."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, tuple[threading.Lock, int]] = {}

    @contextlib.contextmanager
    def hold(self, key: str) -> Iterator[None]:
        """Wait until nobody else holds the key."""
        with self._guard:
            lock, users = self._locks.get(key, (threading.Lock(), 0))
            self._locks[key] = (lock, users + 1)
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, users = self._locks.pop(key)
                if users > 1:
                    self._locks[key] = (lock, users - 1)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
