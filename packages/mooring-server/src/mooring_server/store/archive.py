"""The format of a backup: a tar file of few kinds of entries, checked to the last byte.

    mooring-backup.json          what it is and holds; always the first
    settings.json                token and port
    mooring.db                   the database
    blobs/sha256/ab/<hex>        each blob that the database refers to
    storage/<account>-<id>/account.db           what a storage account holds
    storage/<account>-<id>/bodies/ab/<hex>      the bodies that it names
    mlflow/...                   runs and artifacts, once MLflow is used (`services.tracking_data`)
    end.json                     SHA-256 of all bytes before it; always the last, 512 bytes long

Reading admits nothing but regular files with these names, each once, and interprets no extension of tar: nothing
in an archive can name a place outside of it, and no header makes the reader hold more than a block in memory.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from mooring_server.domain.errors import InvalidRequest, MooringError

SUMMARY, SETTINGS, DATABASE, END = "mooring-backup.json", "settings.json", "mooring.db", "end.json"
FORMAT = 1
CHUNK = 1 << 20
_BLOCK = tarfile.BLOCKSIZE
_NAME = re.compile(
    rf"{re.escape(SUMMARY)}|{re.escape(SETTINGS)}|{re.escape(DATABASE)}|{re.escape(END)}"
    r"|blobs/sha256/([0-9a-f]{2})/\1[0-9a-f]{62}"
    r"|storage/[a-z0-9]{3,24}-[0-9a-f]{12}/(?:account\.db|bodies/([0-9a-f]{2})/\2[0-9a-f]{30})"
    r"|mlflow/(?:mlflow\.db|paths\.jsonl|files/[0-9]{1,9})"
)
# What is read into memory as a whole.
_SMALL = 1 << 20
# Header and body of the last entry, and the two empty blocks that end a tar file.
TRAILER = 4 * _BLOCK


@dataclass(frozen=True)
class Entry:
    """What goes into an archive; ``open`` is called when its turn comes."""

    name: str
    size: int
    open: Callable[[], BinaryIO]

    @property
    def archived_size(self) -> int:
        """Bytes it takes with its header and padding."""
        return _BLOCK + self.size + _padding(self.size)


def blob_name(digest: str) -> str:
    """Where the blob ``sha256:<hex>`` lies in an archive."""
    name = digest.partition(":")[2]
    return f"blobs/sha256/{name[:2]}/{name}"


def artifact_name(number: int) -> str:
    """Where an artifact of MLflow's lies in an archive."""
    return f"mlflow/files/{number}"


def archive_size(entries: Iterable[Entry]) -> int:
    """Bytes that `pieces` will give."""
    return sum(entry.archived_size for entry in entries) + TRAILER


def pieces(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The archive, in pieces of at most `CHUNK` bytes.

    Raises:
        MooringError: ``BackupIncomplete`` when an entry has not as many bytes as were announced.
    """
    digest = hashlib.sha256()

    def hashed(data: bytes) -> bytes:
        digest.update(data)
        return data

    count = 0
    for entry in entries:
        count += 1
        yield hashed(_header(entry.name, entry.size))
        left = entry.size
        with entry.open() as file:
            while left:
                data = file.read(min(CHUNK, left))
                if not data:
                    raise MooringError(
                        "BackupIncomplete",
                        f"{entry.name} is {left:,} bytes shorter than it was when the backup began.",
                        hint="Try again; if it happens again, the disk or the content store is damaged.",
                        phase="Run",
                        target=entry.name,
                    )
                left -= len(data)
                yield hashed(data)
        if _padding(entry.size):
            yield hashed(b"\0" * _padding(entry.size))
    end = json.dumps({"sha256": digest.hexdigest(), "entries": count}).encode()
    yield _header(END, _BLOCK) + end.ljust(_BLOCK) + b"\0" * (2 * _BLOCK)


def entries_of(file: BinaryIO) -> Iterator[tuple[str, int, Iterator[bytes]]]:
    """Name, size and content of each entry but the last, checked while they are read.

    What an entry held is known to be right only when the iteration has ended: the checksum comes last. The content of
    an entry that the caller does not read is read, and checked, all the same.

    Raises:
        InvalidRequest: ``BackupInvalid`` (no backup of ours), ``BackupDamaged``.
    """
    digest = hashlib.sha256()
    seen: set[str] = set()
    while True:
        block = _read(file, _BLOCK)
        name, size = _parse(block, first=not seen)
        if name in seen or (not seen and name != SUMMARY):
            raise damaged(f"the entry {name!r} is not where it can be", name)
        if name == END:
            _check_end(file, size, digest.hexdigest(), len(seen))
            return
        seen.add(name)
        digest.update(block)
        content = _content(file, name, size, digest)
        yield name, size, content
        for _ in content:
            pass


def read_small(name: str, size: int, content: Iterator[bytes]) -> bytes:
    """The whole content of a small entry."""
    if size > _SMALL:
        raise damaged(f"{name} has {size:,} bytes, which is too many", name)
    return b"".join(content)


def damaged(what: str, target: str | None = None) -> InvalidRequest:
    """The error for an archive that is not as it was written."""
    return InvalidRequest(
        "BackupDamaged",
        f"The backup is damaged: {what}.",
        hint="Nothing was changed. Use another copy of it, or another backup.",
        target=target,
    )


def _content(file: BinaryIO, name: str, size: int, whole: hashlib._Hash) -> Iterator[bytes]:
    own = hashlib.sha256()
    left = size
    while left:
        data = _read(file, min(CHUNK, left))
        left -= len(data)
        own.update(data)
        whole.update(data)
        yield data
    whole.update(_read(file, _padding(size)))
    if name.startswith("blobs/") and own.hexdigest() != name.rpartition("/")[2]:
        raise damaged(f"{name} has other content than its name says", name)


def _check_end(file: BinaryIO, size: int, digest: str, entries: int) -> None:
    if size != _BLOCK:
        raise damaged("its checksum is not where it has to be", END)
    try:
        end = json.loads(_read(file, _BLOCK))
        right = end == {"sha256": digest, "entries": entries}
    except ValueError:
        right = False
    if not right:
        raise damaged("its checksum does not fit", END)
    if _read(file, 2 * _BLOCK).strip(b"\0") or file.read(1):
        raise damaged("something follows its end", END)


def _parse(block: bytes, *, first: bool) -> tuple[str, int]:
    try:
        member = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.HeaderError, UnicodeError) as error:
        if first:
            raise InvalidRequest(
                "BackupInvalid",
                "This is not a backup made by `mooring backup`.",
                hint="Name the file that `mooring backup FILE` wrote.",
            ) from error
        raise damaged(f"an entry cannot be read ({error})") from error
    if not member.isreg() or member.size < 0 or not _NAME.fullmatch(member.name):
        if first:
            raise InvalidRequest(
                "BackupInvalid",
                f"This is not a backup made by `mooring backup`: it begins with {member.name[:100]!r}.",
                hint="Name the file that `mooring backup FILE` wrote.",
            )
        raise damaged(f"it has an entry {member.name[:100]!r} that backups do not have", member.name[:100])
    return member.name, member.size


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member.tobuf(tarfile.GNU_FORMAT, "ascii", "strict")


def _padding(size: int) -> int:
    return -size % _BLOCK


def _read(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise damaged("it ends too early")
    return data
