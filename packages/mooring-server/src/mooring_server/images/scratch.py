"""Temporary directories that a killed process may leave behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path


class Scratch:
    """Temporary directories below one root, on the same file system as what is made in them.

    Their names begin with the process and the time of its start, so that `clean_stale` can tell whose they are:
    after a reboot another process soon has the number.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._live: set[str] = set()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def directory(self) -> Iterator[Path]:
        """A new directory; what is still in it afterwards is removed."""
        self.root.mkdir(parents=True, exist_ok=True)
        path = Path(tempfile.mkdtemp(dir=self.root, prefix=f"{os.getpid()}.{_started(os.getpid())}-"))
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
            owner, _, started = path.name.partition("-")[0].partition(".")
            # Ours, and not in use: left by a process that had our number before.
            known = (
                owner.isdigit() and owner != str(os.getpid()) and started == (_started(int(owner)) or None)
            )
            if not ours and not known:
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


def _started(pid: int) -> str:
    """When the process was started, in the kernel's ticks since boot; empty if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The second field is the program's name in parentheses and may itself contain anything.
    return text[text.rindex(")") + 2 :].split()[19]


def kill_left(*roots: Path) -> int:
    """Kill what builds of a killed server have left running: processes whose working directory is below ``roots``.

    uv, and what it starts, goes on for minutes when nobody reads what it says. To be called when nothing is built.
    """
    prefixes = tuple(f"{root.absolute()}{os.sep}" for root in roots)
    found = [
        pid for pid in map(_number, Path("/proc").iterdir()) if pid and _directory(pid).startswith(prefixes)
    ]
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(found)


def _number(process: Path) -> int:
    return int(process.name) if process.name.isdigit() else 0


def _directory(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:  # it ended meanwhile, or is another user's
        return ""
