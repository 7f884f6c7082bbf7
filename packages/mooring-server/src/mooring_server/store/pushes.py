"""Blobs that clients push in pieces, over as many connections and restarts of the server as they need.

<root>/<id>/repository    for which repository
<root>/<id>/data          what has come so far
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mooring_server.domain.errors import InvalidRequest, MooringError, NotFound
from mooring_server.store.content import CHUNK, Blob, ContentStore, disk_full

_ID = re.compile(r"[0-9a-f]{32}")
_IDLE_SECONDS = 24 * 3600.0


class Pushes:
    """The uploads under way."""

    def __init__(self, store: ContentStore, root: Path) -> None:
        self._store = store
        self._root = root
        self._guard = threading.Lock()
        self._writing: set[str] = set()
        # What was hashed while it came; after a restart it is read again.
        self._hashes: dict[str, tuple[int, hashlib._Hash]] = {}

    def begin(self, repository: str) -> str:
        """A new upload; its id."""
        identity = uuid.uuid4().hex
        folder = self._root / identity
        try:
            folder.mkdir(parents=True)
            (folder / "data").touch()
            (folder / "repository").write_text(repository, encoding="utf-8")
        except OSError as error:
            raise disk_full(error, self._store.root, 1) or error from error
        return identity

    def size(self, repository: str, identity: str) -> int:
        """Bytes that have come.

        Raises:
            NotFound: code ``UploadNotFound``.
        """
        return (self._folder(repository, identity) / "data").stat().st_size

    @contextmanager
    def appending(self, repository: str, identity: str, start: int | None) -> Iterator[Appender]:
        """Take more bytes.

        Args:
            repository: the upload's.
            identity: the upload's.
            start: where they belong; None for the end.

        Raises:
            NotFound: code ``UploadNotFound``.
            InvalidRequest: code ``RangeInvalid``: they do not follow what has come, or another request is writing.
        """
        folder = self._folder(repository, identity)
        with self._guard:
            if identity in self._writing:
                raise _range("Another request writes to this upload.")
            self._writing.add(identity)
        try:
            size = (folder / "data").stat().st_size
            if start is not None and start != size:
                raise _range(f"The next byte of this upload is {size}, not {start}.")
            hashed = self._hashes.pop(identity, (0, hashlib.sha256()))
            with (folder / "data").open("ab", buffering=0) as file:
                appender = Appender(self._store, file, size, hashed[1] if hashed[0] == size else None)
                try:
                    yield appender
                finally:
                    if appender.hashed is not None:
                        self._hashes[identity] = (appender.size, appender.hashed)
        finally:
            with self._guard:
                self._writing.discard(identity)

    def finish(self, repository: str, identity: str, digest: str) -> Blob:
        """Make what has come a blob.

        Raises:
            NotFound: code ``UploadNotFound``.
            InvalidRequest: code ``DigestMismatch``; the upload is gone then.
        """
        folder = self._folder(repository, identity)
        path = folder / "data"
        size, hashed = self._hashes.pop(identity, (-1, hashlib.sha256()))
        if size != path.stat().st_size:
            hashed = _hash(path)
        found = f"sha256:{hashed.hexdigest()}"
        if found != digest:
            self._remove(folder)
            raise InvalidRequest(
                "DigestMismatch", f"What was uploaded has the digest {found}, but {digest} was announced."
            )
        blob = self._store.adopt(path, digest)
        self._remove(folder)
        return blob

    def cancel(self, repository: str, identity: str) -> None:
        """Forget an upload.

        Raises:
            NotFound: code ``UploadNotFound``.
        """
        self._hashes.pop(identity, None)
        self._remove(self._folder(repository, identity))

    def clean_stale(self) -> int:
        """Remove uploads that nobody has gone on with for a day; how many."""
        oldest = time.time() - _IDLE_SECONDS
        stale = []
        for folder in self._root.glob("*"):
            data = folder / "data"
            if (data if data.exists() else folder).stat().st_mtime < oldest:
                stale.append(folder)
        for folder in stale:
            self._remove(folder)
        return len(stale)

    def _folder(self, repository: str, identity: str) -> Path:
        folder = self._root / identity
        name = folder / "repository"
        if _ID.fullmatch(identity) and name.is_file() and name.read_text(encoding="utf-8") == repository:
            return folder
        raise NotFound("UploadNotFound", "There is no such upload; it has ended or was never begun.")

    @staticmethod
    def _remove(folder: Path) -> None:
        # The name first: half an upload is none.
        (folder / "repository").unlink(missing_ok=True)
        shutil.rmtree(folder)


class Appender:
    """Writes to one upload."""

    def __init__(self, store: ContentStore, file: BinaryIO, size: int, hashed: hashlib._Hash | None) -> None:
        self._store = store
        self._file = file
        self.size = size
        self.hashed = hashed

    def write(self, data: bytes) -> None:
        """Append.

        Raises:
            MooringError: code ``DiskFull``; what was written before stays.
        """
        view = memoryview(data)
        try:
            while view:
                written = os.write(self._file.fileno(), view)
                if self.hashed is not None:
                    self.hashed.update(view[:written])
                self.size += written
                view = view[written:]
        except OSError as error:
            raise disk_full(error, self._store.root, len(view)) or error from error


def _hash(path: Path) -> hashlib._Hash:
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            hashed.update(chunk)
    return hashed


def _range(message: str) -> MooringError:
    return InvalidRequest("RangeInvalid", message, status_code=416)
