"""The content store: immutable blobs on disk, named by their SHA-256.

    <root>/blobs/sha256/ab/<hex>    finished blobs, read-only, complete by construction
    <root>/uploads/                 blobs being written; a crash leaves files here and nowhere else

A blob becomes visible by one atomic rename after its bytes are on disk, so that a reader never sees half a
blob and two writers of the same content cannot disturb each other.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

from mooring_server.domain.errors import InvalidRequest, MooringError, NotFound

if TYPE_CHECKING:
    from typing_extensions import Self

CHUNK = 1 << 20
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})\Z")
FULL = {errno.ENOSPC, errno.EDQUOT}
_NOTHING = 64 * 1024


@dataclass(frozen=True)
class Blob:
    """A finished blob: ``sha256:<hex>`` and its size in bytes."""

    digest: str
    size: int


def digest_of(data: bytes) -> str:
    """The digest under which ``data`` is stored."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def parse_digest(digest: str) -> str:
    """Give the hexadecimal part of a digest.

    The pattern admits nothing that could be a path, so a digest from the network may become a file name.

    Raises:
        InvalidRequest: code ``DigestInvalid``.
    """
    match = _DIGEST.match(digest)
    if match is None:
        raise InvalidRequest(
            "DigestInvalid",
            f"{digest[:100]!r} is not a digest; expected sha256: and 64 lower-case hexadecimal digits.",
            target=digest[:100],
        )
    return match.group(1)


def nothing_free(directory: Path) -> bool:
    """Whether the file system of ``directory`` is as good as full, for failures that do not say so themselves."""
    return shutil.disk_usage(directory).free < _NOTHING


def full_disk(
    directory: Path, needed: int, *, phase: str, evidence: dict[str, str] | None = None
) -> MooringError:
    """The error for a full disk; arguments as of `disk_full`."""
    free = shutil.disk_usage(directory).free
    return MooringError(
        "DiskFull",
        f"No space is left below {directory}: {free:,} bytes are free, at least {needed:,} are needed.",
        hint="Free some space, delete images and models that are no longer used, or move MOORING_HOME.",
        phase=phase,
        evidence={"free": str(free), "needed": str(needed), **(evidence or {})},
        status_code=507,
    )


def disk_full(error: OSError, directory: Path, needed: int, *, phase: str = "Upload") -> MooringError | None:
    """The error to show when ``error`` says that no space is left, else None.

    Args:
        error: as raised by a write below ``directory``.
        directory: on the file system that is full.
        needed: bytes that had to be written, as far as known.
        phase: of the operation that needed them.
    """
    if error.errno not in FULL:
        return None
    return full_disk(directory, needed, phase=phase)


class BlobWriter:
    """Writes one blob; made by `ContentStore.writer`.

    A context manager: leaving it without `commit` removes what was written.
    """

    def __init__(self, store: ContentStore) -> None:
        self._store = store
        self._hash = hashlib.sha256()
        self.size = 0
        try:
            descriptor, name = tempfile.mkstemp(dir=store.uploads)
        except OSError as error:
            raise disk_full(error, store.root, 1) or error from error
        self._path = Path(name)
        # Unbuffered: writers give large pieces, and nothing may be left to flush when the disk is full.
        self._file = os.fdopen(descriptor, "wb", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.abort()

    def write(self, data: bytes | memoryview) -> int:
        """Append ``data``.

        Raises:
            MooringError: code ``DiskFull``; the temporary file is gone then.
        """
        view = memoryview(data)
        written = 0
        try:
            while written < len(view):
                written += self._file.write(view[written:]) or 0
        except OSError as error:
            raise self._failed(error, self.size + len(view)) from error
        self._hash.update(view)
        self.size += len(view)
        return len(view)

    def commit(self, expected: str | None = None) -> Blob:
        """Make the blob visible under its digest.

        Args:
            expected: the digest the caller announced.

        Raises:
            InvalidRequest: code ``DigestMismatch``; nothing is stored.
            MooringError: code ``DiskFull``.
        """
        digest = "sha256:" + self._hash.hexdigest()
        if expected is not None and expected != digest:
            self.abort()
            raise InvalidRequest(
                "DigestMismatch",
                f"The {self.size:,} bytes have the digest {digest}, but {expected[:100]} was announced.",
                hint="Send it again; the file may have changed while it was read.",
                phase="Upload",
                target=expected[:100],
            )
        self._file.close()
        try:
            return self._store.adopt(self._path, digest)
        except OSError as error:
            raise self._failed(error, self.size) from error

    def abort(self) -> None:
        """Throw away what was written; harmless after `commit`."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _failed(self, error: OSError, needed: int) -> Exception:
        self.abort()
        return disk_full(error, self._store.root, needed) or error


class ContentStore:
    """Blobs below one directory; safe for several threads and processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uploads = root / "uploads"
        self._blobs = root / "blobs" / "sha256"
        self._ages = threading.Lock()
        self.uploads.mkdir(parents=True, exist_ok=True)
        self._blobs.mkdir(parents=True, exist_ok=True)

    def has(self, digest: str) -> bool:
        """Whether the blob is stored."""
        return self._location(digest).is_file()

    def path(self, digest: str) -> Path:
        """The blob's file, to be read only.

        Raises:
            NotFound: code ``BlobNotFound``.
        """
        path = self._location(digest)
        if not path.is_file():
            raise _not_found(digest)
        return path

    def size(self, digest: str) -> int:
        """The blob's size in bytes.

        Raises:
            NotFound: code ``BlobNotFound``.
        """
        try:
            return self._location(digest).stat().st_size
        except FileNotFoundError:
            raise _not_found(digest) from None

    def open(self, digest: str) -> BinaryIO:
        """Open the blob for reading.

        Raises:
            NotFound: code ``BlobNotFound``.
        """
        try:
            return self._location(digest).open("rb")
        except FileNotFoundError:
            raise _not_found(digest) from None

    def read(self, digest: str) -> bytes:
        """All bytes of a small blob."""
        with self.open(digest) as file:
            return file.read()

    def put_bytes(self, data: bytes) -> str:
        """Store ``data`` and give its digest."""
        digest = digest_of(data)
        if self.touch(digest):
            return digest
        with self.writer() as writer:
            writer.write(data)
            return writer.commit().digest

    def put_file(self, path: Path) -> Blob:
        """Store a copy of a file."""
        with path.open("rb") as source, self.writer() as writer:
            while chunk := source.read(CHUNK):
                writer.write(chunk)
            return writer.commit()

    def adopt(self, path: Path, digest: str) -> Blob:
        """Make a file a blob, by a rename; the caller knows its digest."""
        target = self._location(digest)
        with path.open("rb") as file:
            os.fchmod(file.fileno(), 0o444)
            os.utime(file.fileno())
            os.fsync(file.fileno())
            size = os.fstat(file.fileno()).st_size
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
        _sync_directory(target.parent)
        return Blob(digest, size)

    def writer(self) -> BlobWriter:
        """Begin a blob whose bytes come in pieces."""
        return BlobWriter(self)

    def touch(self, digest: str) -> bool:
        """Whether the blob is stored; if so it counts as new, and `delete_older` leaves it for its grace.

        Whoever is going to refer to a blob calls this instead of `has`: nobody deletes it between the answer and
        the reference.
        """
        with self._ages:
            try:
                os.utime(self._location(digest))
            except FileNotFoundError:
                return False
        return True

    def delete_older(self, digest: str, horizon: float) -> int:
        """Remove the blob if nobody has stored or touched it since ``horizon``; the bytes it had, 0 if it stays."""
        path = self._location(digest)
        with self._ages:
            try:
                found = path.stat()
            except FileNotFoundError:
                return 0
            if found.st_mtime > horizon:
                return 0
            path.unlink()
        return found.st_size

    def delete(self, digest: str) -> bool:
        """Remove the blob; False if there was none."""
        try:
            self._location(digest).unlink()
        except FileNotFoundError:
            return False
        return True

    def digests(self) -> Iterator[str]:
        """The digests of all blobs, sorted within each of the 256 directories."""
        for directory in sorted(self._blobs.iterdir()):
            for file in sorted(directory.iterdir()):
                yield f"sha256:{file.name}"

    def remove_stale_uploads(self, older_than_s: float) -> int:
        """Remove uploads nobody has written to for that long; how many there were."""
        oldest = time.time() - older_than_s
        removed = 0
        for file in self.uploads.iterdir():
            with contextlib.suppress(FileNotFoundError):  # committed or aborted meanwhile
                if file.stat().st_mtime <= oldest:
                    file.unlink()
                    removed += 1
        return removed

    def _location(self, digest: str) -> Path:
        name = parse_digest(digest)
        return self._blobs / name[:2] / name


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_found(digest: str) -> NotFound:
    return NotFound("BlobNotFound", f"The content store has no {digest}.", target=digest)
