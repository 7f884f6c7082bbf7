"""Rows as the services see them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mooring_server.domain.storage.lease import Lease


@dataclass
class Container:
    """A container."""

    name: str
    seq: int
    modified: float
    metadata: dict[str, str]
    lease: Lease | None


@dataclass
class Blob:
    """A block blob without its content.

    Attributes:
        seq: number of its last change; the ETag follows from it.
        headers: ``Content-Type`` and the like, by their names as headers.
        copy: what a copy has left: ``id``, ``source``, ``completed``.
    """

    id: int
    container: str
    name: str
    seq: int
    created: float
    modified: float
    size: int
    headers: dict[str, str]
    metadata: dict[str, str]
    lease: Lease | None = None
    copy: dict[str, Any] | None = None


@dataclass(frozen=True)
class Piece:
    """A part of a blob's content, or a block: in the database (``data``) or a body (``file``)."""

    size: int
    file: str | None = None
    data: bytes | None = None
    block: str | None = None


@dataclass(frozen=True)
class Upload:
    """A body that was received: what a blob or block is made of.

    Attributes:
        md5: of all of it, in base64.
    """

    piece: Piece
    md5: str


@dataclass(frozen=True)
class NewBlob:
    """What a caller says of a blob beside its content."""

    headers: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)


BLOB_COLUMNS = "id, container, name, seq, created, modified, size, headers, metadata, lease, copy"


def blob(row: Sequence[Any]) -> Blob:
    """A row of `BLOB_COLUMNS`."""
    copied = json.loads(row[10]) if row[10] else None
    values = [*row[:7], json.loads(row[7]), json.loads(row[8]), lease(row[9]), copied]
    return Blob(*values)


def container(row: Sequence[Any]) -> Container:
    """A row of ``containers``."""
    return Container(row[0], row[1], row[2], json.loads(row[3]), lease(row[4]))


def lease(text: str | None) -> Lease | None:
    """A lease as it is kept."""
    return Lease(*json.loads(text)) if text else None


def lease_text(value: Lease | None) -> str | None:
    """The inverse of `lease`."""
    return None if value is None else json.dumps([value.id, value.duration, value.ends, value.breaks])
