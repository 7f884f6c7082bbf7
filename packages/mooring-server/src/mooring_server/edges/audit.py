"""The audit log: who changed what, and who was refused. JSON lines, appended, never rewritten."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mooring_server.store.tables import now

log = logging.getLogger(__name__)

MAX_BYTES = 10 * 1024 * 1024
KEPT = 5
# Paths are the caller's; a line must stay one line of sensible length.
_LONGEST = 512


class AuditLog:
    """``audit.jsonl``, with ``audit.jsonl.1`` (the newest) to ``.5`` behind it. Readable by the owner only."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._lock = threading.Lock()

    def write(self, **fields: Any) -> None:
        """Append one entry; texts are cut to a sensible length.

        A failure to write is logged and does not fail the call, which was answered or carried out already.
        """
        entry = {"time": now(), **{k: v[:_LONGEST] if isinstance(v, str) else v for k, v in fields.items()}}
        line = (json.dumps(entry) + "\n").encode()
        with self._lock:
            try:
                self._append(line)
            except OSError as error:
                log.error("audit log %s: %s", self._path, error.strerror)  # noqa: TRY400 - the cause is named

    def _append(self, line: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        try:
            os.write(descriptor, line)
            size = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        if size >= self._max_bytes:
            for number in range(KEPT - 1, 0, -1):
                older = self._numbered(number)
                if older.exists():
                    older.replace(self._numbered(number + 1))
            self._path.replace(self._numbered(1))

    def tail(self, count: int) -> list[dict[str, Any]]:
        """The last ``count`` entries, oldest first."""
        with self._lock:
            return list(deque(self._entries(), maxlen=count))

    def _entries(self) -> Iterator[dict[str, Any]]:
        for path in [*(self._numbered(n) for n in range(KEPT, 0, -1)), self._path]:
            if path.exists():
                with path.open(encoding="utf-8") as file:
                    yield from (entry for line in file if (entry := _parse(line)) is not None)

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def _parse(line: str) -> dict[str, Any] | None:
    """An entry; None for a line cut off when the disk was full or the power failed."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None
