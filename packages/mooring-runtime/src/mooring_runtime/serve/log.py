"""Follows a log of the supervisor's onto the terminal."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_STAMP = re.compile(rb"^\d{4}-\d\d-\d\dT\S+Z ")


class Follower:
    """One log file, over its rotations.

    Args:
        path: the file; it need not exist yet.
        write: takes lines without the time before them.
    """

    def __init__(self, path: Path, write: Callable[[str], None]) -> None:
        self._path = path
        self._write = write
        self._file: BinaryIO | None = None
        self._partial = b""

    def follow(self) -> None:
        """Passes on what is new."""
        if self._file is None:
            if not self._path.exists():
                return
            self._file = self._path.open("rb")
        self._read()
        current = self._path.stat() if self._path.exists() else None
        if current is not None and current.st_ino != _inode(self._file):
            self._file.close()
            self._file = self._path.open("rb")
            self._read()

    def _read(self) -> None:
        if self._file is None:
            return
        *lines, self._partial = (self._partial + self._file.read()).split(b"\n")
        for line in lines:
            self._write(_STAMP.sub(b"", line).decode("utf-8", "replace"))

    def close(self) -> None:
        """Passes on the rest and closes the file."""
        self.follow()
        if self._file is not None:
            self._file.close()
            self._file = None


def _inode(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_ino
