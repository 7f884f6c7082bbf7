"""``Range`` and ``x-ms-range``: bytes ``a`` to ``b``, both included, or from ``a`` to the end."""

from __future__ import annotations

import re

from mooring_server.domain.storage.errors import StorageError

_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})", re.ASCII)


def parse(text: str | None, size: int) -> tuple[int, int] | None:
    """First byte and number of bytes, or None for the whole blob: also where Azure ignores what it cannot read.

    Raises:
        StorageError: ``InvalidRange`` when it begins behind the end.
    """
    match = _RANGE.fullmatch(text.strip()) if text else None
    if match is None:
        return None
    first, last = int(match[1]), int(match[2]) if match[2] else size - 1
    if match[2] and last < first:
        return None
    if first >= size:
        raise StorageError("InvalidRange")
    return first, min(last, size - 1) - first + 1
