"""Files of models and apps: walked, hashed and uploaded in constant memory, only what the server misses."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mooring.sdk.client import Client
from mooring.sdk.console import note
from mooring.sdk.errors import user_error
from mooring.sdk.ignore import IgnoreRules
from mooring.sdk.types import JSON

CHUNK = 1024 * 1024
# Uploads of this many bytes and more say how far they are.
TALK_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class LocalFile:
    """A file here and its place there.

    Attributes:
        path: relative and ``/``-separated, as the server shall know it.
        source: where it lies.
    """

    path: str
    source: Path


def walk(directory: Path, rules: IgnoreRules | None = None) -> Iterator[LocalFile]:
    """All files below a directory, in a stable order, with paths relative to it.

    Symbolic links are followed; a link that leads back to one of its own parents is an error, not a hang.
    """
    yield from _walk(directory, "", rules or IgnoreRules(()), ())


def _walk(directory: Path, prefix: str, rules: IgnoreRules, above: tuple[str, ...]) -> Iterator[LocalFile]:
    real = os.path.realpath(directory)
    if real in above:
        raise user_error(
            f"{directory} is a symbolic link to a directory it lies in.",
            code="SymlinkLoop",
            phase="Upload",
            hint="Remove the link or name it in .amlignore.",
        )
    with os.scandir(directory) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        path = prefix + entry.name
        if rules.ignores(path, is_dir=entry.is_dir()):
            continue
        if entry.is_dir():
            yield from _walk(Path(entry.path), path + "/", rules, (*above, real))
        elif entry.is_file():
            yield LocalFile(path, Path(entry.path))


def tree_text(directory: Path, limit: int = 40) -> str:
    """What is in a directory, for the evidence of an error."""
    try:
        names = sorted(e.name + ("/" if e.is_dir() else "") for e in os.scandir(directory))
    except OSError as error:
        return f"{directory}: {error.strerror}"
    shown = names[:limit] + ([f"... and {len(names) - limit} more"] if len(names) > limit else [])
    return f"{directory}:\n" + "\n".join(f"  {name}" for name in shown or ["(nothing)"])


def digest_of(path: Path) -> tuple[str, int]:
    """``sha256:<hex>`` and size in bytes of a file."""
    sha = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            sha.update(piece)
            size += len(piece)
    return f"sha256:{sha.hexdigest()}", size


def upload(client: Client, files: Iterable[LocalFile]) -> list[JSON]:
    """Bring files to the server.

    Returns:
        ``[{path, digest, size, executable}]`` in the order given.

    Raises:
        UserErrorException: FileUnreadable.
    """
    described: list[JSON] = []
    sources: dict[str, tuple[Path, int]] = {}
    for file in files:
        check_path(file.path)
        try:
            digest, size = digest_of(file.source)
            executable = os.access(file.source, os.X_OK)
        except OSError as error:
            raise user_error(
                f"{file.source} cannot be read: {error.strerror}.", code="FileUnreadable", phase="Upload"
            ) from error
        described.append({"path": file.path, "digest": digest, "size": size, "executable": executable})
        sources[digest] = (file.source, size)
    if sources:
        missing = sorted(client.missing(list(sources)))
        progress = _Progress(sum(sources[digest][1] for digest in missing))
        for digest in missing:
            source, size = sources[digest]
            client.upload(digest, source, size, progress)
        progress.close()
    return described


def check_path(path: str) -> None:
    """Paths that the server takes: relative, without ``.`` or ``..`` parts."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in path.split("/") or "." in path.split("/"):
        raise user_error(
            f"{path!r} is not a relative path inside the app.", code="InvalidPath", phase="Upload"
        )


class _Progress:
    """Says on stderr how far a large upload is: in place on a terminal, every ten seconds elsewhere."""

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0
        self._talk = total >= TALK_BYTES
        self._terminal = sys.stderr.isatty()
        self._last = time.monotonic()
        self._shown = False

    def __call__(self, size: int) -> None:
        self._done += size
        if not self._talk:
            return
        now = time.monotonic()
        if now - self._last >= (0.2 if self._terminal else 10.0):
            self._last = now
            self._say()

    def _say(self) -> None:
        mib = 1024 * 1024
        percent = 100 * self._done // self._total
        text = f"Uploading: {percent} % ({self._done // mib} of {self._total // mib} MiB)"
        if self._terminal:
            sys.stderr.write(f"\r{text}")
            sys.stderr.flush()
            self._shown = True
        else:
            note(text)

    def close(self) -> None:
        """End the line on a terminal."""
        if self._shown:
            self._say()
            sys.stderr.write("\n")
