"""Put Blob, Put Block, Put Block List, Get Block List, Copy Blob."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import escape

from mooring_server.domain.storage import sas
from mooring_server.domain.storage.access import Access, Need
from mooring_server.domain.storage.conditions import parse
from mooring_server.domain.storage.errors import StorageError
from mooring_server.domain.storage.request import StorageRequest, parse_query
from mooring_server.edges.blob.blobs import content_headers, guarded, stamp
from mooring_server.edges.storage.answer import Answer, Headers, xml
from mooring_server.edges.storage.call import Call
from mooring_server.edges.storage.document import parse_document
from mooring_server.store.storage import blobs, blocks
from mooring_server.store.storage.blobs import Guarded
from mooring_server.store.storage.records import NewBlob, Piece

# Azure's limits since version 2019-12-12.
MAX_BLOB = 5000 * 1024 * 1024
MAX_BLOCK = 4000 * 1024 * 1024
_MAX_BLOCK_ID = 64
_DEFAULT_TYPE = "application/octet-stream"
_TIERS = {"", "hot"}


async def put_or_copy(call: Call) -> Answer:
    """Put Blob, or Copy Blob when there is a source."""
    headers = call.request.headers
    if (headers.get("x-ms-access-tier") or "").lower() not in _TIERS:
        raise StorageError("NotImplemented")
    if "x-ms-copy-source" in headers:
        return await _copy(call)
    kind = headers.get("x-ms-blob-type")
    if kind is None:
        raise StorageError("MissingRequiredHeader", HeaderName="x-ms-blob-type")
    if kind != "BlockBlob":
        raise StorageError("NotImplemented")
    target, kept, metadata = guarded(call), content_headers(call), call.metadata()
    if "Content-Type" not in kept:
        kept["Content-Type"] = headers.get("content-type") or _DEFAULT_TYPE
    received = await call.upload(MAX_BLOB)
    kept.setdefault("Content-MD5", received.md5)
    new = NewBlob(kept, metadata)
    pieces = [received.piece] if received.piece.size else []
    made = await call.account.keep(received, lambda tx: blobs.put(tx, target, new, pieces))
    return Answer(201, [*stamp(call, made), ("content-md5", received.md5), *_encryption()])


async def put_block(call: Call) -> Answer:
    """Put Block."""
    if "x-ms-copy-source" in call.request.headers:
        raise StorageError("NotImplemented")
    block = _block_id(call.request.arg("blockid"))
    target = guarded(call)
    received = await call.upload(MAX_BLOCK)
    piece = received.piece
    await call.account.keep(received, lambda tx: blocks.put_block(tx, target, block, piece))
    return Answer(201, [("content-md5", received.md5), *_encryption()])


async def put_block_list(call: Call) -> Answer:
    """Put Block List."""
    kept, metadata, target = content_headers(call), call.metadata(), guarded(call)
    kept.setdefault("Content-Type", _DEFAULT_TYPE)
    document = parse_document(await call.text(), "BlockList")
    wanted = [(entry.tag, _block_id(entry.text)) for entry in document]
    if any(where not in {"Committed", "Uncommitted", "Latest"} for where, _ in wanted):
        raise StorageError("InvalidXmlDocument")
    new = NewBlob(kept, metadata)
    made = await call.account.write(lambda tx: blocks.put_list(tx, target, new, wanted))
    return Answer(201, [*stamp(call, made), *_encryption()])


async def get_block_list(call: Call) -> Answer:
    """Get Block List."""
    kind = (call.request.arg("blocklisttype") or "committed").lower()
    if kind not in {"committed", "uncommitted", "all"}:
        raise StorageError("InvalidQueryParameterValue", QueryParameterName="blocklisttype")
    found, committed, waiting = await call.account.read(
        lambda sql: blocks.blocks(sql, call.container, call.blob)
    )
    parts = []
    if kind != "uncommitted":
        parts.append(f"<CommittedBlocks>{_blocks(committed)}</CommittedBlocks>")
    if kind != "committed":
        parts.append(f"<UncommittedBlocks>{_blocks(waiting)}</UncommittedBlocks>")
    answer = xml(f"<BlockList>{''.join(parts)}</BlockList>")
    if found is not None:
        answer.headers += [*stamp(call, found), ("x-ms-blob-content-length", str(found.size))]
    return answer


async def _copy(call: Call) -> Answer:
    """Copy Blob and Copy Blob From URL: within the account, done when it is answered."""
    if "x-ms-blob-type" in call.request.headers:
        raise StorageError("NotImplemented")  # Put Blob From URL
    url = call.request.headers["x-ms-copy-source"]
    source = _source(call, url)
    target = guarded(call)
    given = call.metadata()
    metadata = given if any(n.startswith("x-ms-meta-") for n in call.request.headers) else None
    made = await call.account.write(lambda tx: blobs.copy(tx, target, source, url, metadata))
    identity = made.copy["id"] if made.copy else ""
    done = [("x-ms-copy-id", identity), ("x-ms-copy-status", "success")]
    return Answer(202, [*stamp(call, made), *done])


def _source(call: Call, url: str) -> Guarded:
    """The blob that is copied: one of this account, which the caller may read.

    Raises:
        StorageError: ``NotImplemented`` for another account or server, ``CannotVerifyCopySource``.
    """
    parts = urlsplit(url)
    path = unquote(parts.path, errors="surrogateescape")
    account, _, resource = path[1:].partition("/")
    query = parse_query(parts.query)
    here = parts.netloc == (call.request.header("host") or "")
    if account != call.request.account or not here or "snapshot" in query or "versionid" in query:
        raise StorageError("NotImplemented", "Only blobs of the same account can be copied.")
    container, _, name = resource.partition("/")
    if not name:
        raise StorageError("CannotVerifyCopySource")
    _may_read(
        call, StorageRequest("GET", parts.path, account, "blob", resource, query, {}, call.request.address)
    )
    conditions = parse(call.request.headers, "x-ms-source-")
    etag, lease_id = call.account.ledger.etag, call.request.header("x-ms-source-lease-id")
    return Guarded(container, name, conditions, lease_id, etag)


def _may_read(call: Call, source: StorageRequest) -> None:
    """By the account's key, or by a SAS in the source's address."""
    access: Access = call.access
    if access.permissions is not None:
        if source.arg("sig") is None:
            raise StorageError("CannotVerifyCopySource", status=403)
        from datetime import datetime, timezone

        access = sas.check(source, call.account.credentials.keys, datetime.now(timezone.utc))
    container, _, name = source.resource.partition("/")
    access.check(Need("o", "r"), container, name)


def _block_id(text: str | None) -> str:
    """A block's id, as it was sent.

    Raises:
        StorageError: ``MissingRequiredQueryParameter``, ``InvalidBlockId``.
    """
    if not text:
        raise StorageError("MissingRequiredQueryParameter", QueryParameterName="blockid")
    try:
        right = 0 < len(base64.b64decode(text, validate=True)) <= _MAX_BLOCK_ID
    except (binascii.Error, ValueError):
        right = False
    if not right:
        raise StorageError("InvalidBlockId")
    return text


def _blocks(pieces: list[Piece]) -> str:
    return "".join(
        f"<Block><Name>{escape(p.block or '')}</Name><Size>{p.size}</Size></Block>" for p in pieces
    )


def _encryption() -> Headers:
    return [("x-ms-request-server-encrypted", "false")]
