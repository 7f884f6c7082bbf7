"""Get Blob, Get Blob Properties, Get Blob Metadata."""

from __future__ import annotations

import base64
import hashlib
import sqlite3
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from mooring_server.domain.storage import lease as leases
from mooring_server.domain.storage import ranges
from mooring_server.domain.storage.conditions import parse
from mooring_server.domain.storage.errors import StorageError
from mooring_server.edges.blob.blobs import stamp
from mooring_server.edges.storage.answer import Answer, Headers, http_date
from mooring_server.edges.storage.call import Call
from mooring_server.store.storage import blobs
from mooring_server.store.storage.extents import data, pieces
from mooring_server.store.storage.records import Blob, Piece

# Azure gives the MD5 of ranges up to this size.
_MD5_RANGE = 4 * 1024 * 1024
# A blob that is replaced between the look at it and the opening of its body is looked at again.
_TRIES = 5
_OVERRIDES = {
    "rscc": "Cache-Control",
    "rscd": "Content-Disposition",
    "rsce": "Content-Encoding",
    "rscl": "Content-Language",
    "rsct": "Content-Type",
}


async def show(call: Call) -> Answer:
    """Get Blob Properties, Get Blob Metadata."""
    # A row by its key: handing it to another thread costs more than looking.
    found = call.account.look(lambda sql: blobs.find(sql, call.container, call.blob))
    _check(call, found)
    headers = _headers(call, found)
    if call.request.method == "HEAD":
        headers.append(("content-length", str(found.size)))
    return Answer(200, headers)


async def get(call: Call) -> Answer:
    """Get Blob, or a range of it."""
    for _ in range(_TRIES):
        found, parts, whole = call.account.look(lambda sql: _look(call, sql))
        _check(call, found)
        given = call.request.header("x-ms-range") or call.request.header("range")
        asked = ranges.parse(given, found.size)
        first, count = asked or (0, found.size)
        headers = [*_headers(call, found, ranged=asked is not None), ("content-length", str(count))]
        if asked is not None:
            headers.append(("content-range", f"bytes {first}-{first + count - 1}/{found.size}"))
        status = 206 if asked is not None else 200
        if whole is not None:
            part = whole[first : first + count]
            return Answer(status, [*headers, *_range_md5(call, part)], part)
        stream = call.account.stream(found.id, parts, first, count)
        try:
            # Its body is open from here on, and stays whatever happens to the blob.
            begin = await anext(stream, b"")
        except FileNotFoundError:
            continue
        if _wants_md5(call):
            _check_md5_range(count)
            rest = begin + b"".join([piece async for piece in stream])
            return Answer(status, [*headers, *_range_md5(call, rest)], rest)
        return Answer(status, headers, _chain(begin, stream))
    raise StorageError("ServerBusy", "The blob is replaced faster than it can be read.")


async def _chain(begin: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        yield begin
        async for piece in rest:
            yield piece


def _look(call: Call, sql: sqlite3.Connection) -> tuple[Blob, list[Piece], bytes | None]:
    """The blob, its pieces, and its content if that is one piece in the database; all as of one instant."""
    sql.execute("BEGIN")
    found = blobs.find(sql, call.container, call.blob)
    parts = pieces(sql, found.id)
    whole = None
    if not parts:
        whole = b""
    elif len(parts) == 1 and parts[0].file is None:
        whole = data(sql, found.id, 0)
    return found, parts, whole


def _check(call: Call, found: Blob) -> None:
    leases.check(found.lease, call.request.header("x-ms-lease-id"), time.time(), writes=False)
    parse(call.request.headers).check_read(call.account.ledger.etag(found.seq), found.modified)


def _headers(call: Call, found: Blob, *, ranged: bool = False) -> Headers:
    now = time.time()
    state = leases.state(found.lease, now)
    kept = dict(found.headers)
    for name, header in _OVERRIDES.items():
        value = call.request.arg(name)
        if value and "\n" not in value and "\r" not in value:
            kept[header] = value
    if ranged and "Content-MD5" in kept:
        kept["x-ms-blob-content-md5"] = kept.pop("Content-MD5")
    headers = [
        *stamp(call, found),
        *kept.items(),
        *((f"x-ms-meta-{name}", value) for name, value in found.metadata.items()),
        ("x-ms-creation-time", http_date(found.created)),
        ("x-ms-blob-type", "BlockBlob"),
        ("x-ms-lease-status", "locked" if leases.locked(found.lease, now) else "unlocked"),
        ("x-ms-lease-state", state),
        ("x-ms-server-encrypted", "false"),
        ("x-ms-access-tier", "Hot"),
        ("x-ms-access-tier-inferred", "true"),
        ("accept-ranges", "bytes"),
    ]
    if state == "leased" and found.lease is not None:
        headers.append(("x-ms-lease-duration", "infinite" if found.lease.duration < 0 else "fixed"))
    if found.copy is not None:
        headers += [
            ("x-ms-copy-id", found.copy["id"]),
            ("x-ms-copy-source", found.copy["source"]),
            ("x-ms-copy-status", "success"),
            ("x-ms-copy-progress", f"{found.size}/{found.size}"),
            ("x-ms-copy-completion-time", http_date(found.copy["completed"])),
        ]
    return headers


def _wants_md5(call: Call) -> bool:
    return (call.request.header("x-ms-range-get-content-md5") or "").lower() == "true"


def _range_md5(call: Call, part: bytes) -> Headers:
    if not _wants_md5(call):
        return []
    _check_md5_range(len(part))
    digest = hashlib.md5(part, usedforsecurity=False).digest()
    return [("content-md5", base64.b64encode(digest).decode())]


def _check_md5_range(count: int) -> None:
    if count > _MD5_RANGE:
        raise StorageError("OutOfRangeInput")
