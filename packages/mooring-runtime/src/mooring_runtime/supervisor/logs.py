"""Logs of what processes print, with rotation."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

MAX_BYTES = 10 << 20
BACKUPS = 3
MAX_LINE = 64 << 10
TAIL_BYTES = 32 << 10


def timestamp() -> str:
    """UTC with milliseconds: ``2026-01-01T00:00:00.000Z``."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class RotatingLog:
    """A file, and older files ``name.1`` (the newest) to ``name.3``.

    Args:
        path: the file.
        max_bytes: size at which it is put aside.
        backups: how many older files are kept.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES, backups: int = BACKUPS) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._file = path.open("ab", buffering=0)
        self._size = self._file.tell()

    def write(self, lines: list[bytes]) -> None:
        """Appends whole lines, each with a timestamp before it."""
        prefix = timestamp().encode() + b" "
        self.append([prefix + line for line in lines])

    def append(self, lines: list[bytes]) -> None:
        """Appends whole lines as they are."""
        data = b"".join(line + b"\n" for line in lines)
        if self._size and self._size + len(data) > self._max_bytes:
            self._rotate()
        self._file.write(data)
        self._size += len(data)

    def _rotate(self) -> None:
        self._file.close()
        for number in range(self._backups - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        self._path.replace(self._numbered(1))
        self._file = self._path.open("ab", buffering=0)
        self._size = 0

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class Output:
    """One process's output: cut into lines, passed on, and its end remembered.

    Args:
        write: takes whole lines.
    """

    def __init__(self, write: Callable[[list[bytes]], None]) -> None:
        self._write = write
        self._partial = b""
        self._tail: deque[bytes] = deque()
        self._tail_size = 0

    def about_to_read(self) -> None:
        """The pipe will be read now."""

    def feed(self, data: bytes, *, drained: bool = True) -> None:  # noqa: ARG002 - `records.Stream` needs it
        """Takes what was read; a line without an end is passed on when it gets too long."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        while len(self._partial) > MAX_LINE:
            lines.append(self._partial[:MAX_LINE])
            self._partial = self._partial[MAX_LINE:]
        self._pass(lines)

    def finish(self) -> None:
        """The process has ended: what is left is a line as well."""
        if self._partial:
            self._pass([self._partial])
            self._partial = b""

    def _pass(self, lines: list[bytes]) -> None:
        if not lines:
            return
        self._write(lines)
        for line in lines:
            self._tail.append(line)
            self._tail_size += len(line) + 1
        while self._tail_size > TAIL_BYTES and len(self._tail) > 1:
            self._tail_size -= len(self._tail.popleft()) + 1

    def tail(self) -> str:
        """The last lines."""
        return "".join(line.decode("utf-8", "replace") + "\n" for line in self._tail)
