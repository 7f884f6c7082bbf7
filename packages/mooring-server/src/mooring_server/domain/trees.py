"""Paths inside uploaded trees (models, source directories)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mooring_server.domain.errors import InvalidRequest

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MAX_PATH = 1024


def check_tree_path(path: str) -> str:
    """Return ``path`` if it names a file inside a tree: relative, ``/``-separated, nothing that leaves the tree.

    Raises:
        InvalidRequest: ``InvalidPath``.
    """
    parts = path.split("/")
    if (
        not path
        or len(path.encode("utf-8", "surrogatepass")) > _MAX_PATH
        or "\\" in path
        or any(ord(c) < 32 or 0xD800 <= ord(c) <= 0xDFFF for c in path)
        or any(part in {"", ".", ".."} or len(part.encode()) > 255 for part in parts)
    ):
        raise InvalidRequest(
            "InvalidPath",
            f"{path[:200]!r} cannot be the path of a file in a model or source directory.",
            hint="Use a relative path with '/' between its parts, without '.', '..' or control characters.",
            target=path[:200],
        )
    return path


def check_tree(paths: Iterable[str]) -> None:
    """Check that paths are valid and can exist together: no duplicates, no file that is also a folder."""
    seen: set[str] = set()
    folders: set[str] = set()
    for path in paths:
        check_tree_path(path)
        if path in seen or path in folders:
            raise InvalidRequest("InvalidPath", f"{path!r} occurs twice in the tree.", target=path)
        seen.add(path)
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            folder = "/".join(parts[:depth])
            if folder in seen:
                raise InvalidRequest("InvalidPath", f"{folder!r} is both a file and a folder.", target=path)
            folders.add(folder)


def check_digest(digest: str) -> str:
    """Return ``digest`` if it is ``sha256:`` and 64 hexadecimal digits.

    Raises:
        InvalidRequest: ``InvalidDigest``.
    """
    if not DIGEST.fullmatch(digest):
        raise InvalidRequest(
            "InvalidDigest", f"{digest[:100]!r} is not a digest.", hint="Give sha256:<64 hexadecimal digits>."
        )
    return digest
