"""Calls that change a blob without its content, and what is said of the account."""

from __future__ import annotations

import re

from mooring_server.domain.storage.conditions import parse
from mooring_server.domain.storage.errors import StorageError
from mooring_server.edges.blob.containers import lease_headers
from mooring_server.edges.blob.leasing import lease_step
from mooring_server.edges.storage.answer import Answer, Headers, http_date
from mooring_server.edges.storage.call import Call, check_md5
from mooring_server.store.storage import blobs
from mooring_server.store.storage.blobs import Guarded
from mooring_server.store.storage.records import Blob

_HEADERS = {
    "x-ms-blob-content-type": "Content-Type",
    "x-ms-blob-content-encoding": "Content-Encoding",
    "x-ms-blob-content-language": "Content-Language",
    "x-ms-blob-cache-control": "Cache-Control",
    "x-ms-blob-content-disposition": "Content-Disposition",
    "x-ms-blob-content-md5": "Content-MD5",
}
_PLAIN = re.compile(r"[\x20-\x7e\xa0-\U0010ffff]*")


def guarded(call: Call) -> Guarded:
    """The blob that a call is for, with its conditions."""
    headers = call.request.headers
    return Guarded(
        call.container,
        call.blob,
        parse(headers),
        headers.get("x-ms-lease-id"),
        call.account.ledger.etag,
        call.access.creates_only,
    )


def content_headers(call: Call) -> dict[str, str]:
    """What ``x-ms-blob-content-type`` and the like ask to keep.

    Raises:
        StorageError: ``InvalidHeaderValue``, ``InvalidMd5``.
    """
    found = {
        kept: call.request.headers[name] for name, kept in _HEADERS.items() if name in call.request.headers
    }
    for name, value in found.items():
        if not _PLAIN.fullmatch(value):
            raise StorageError("InvalidHeaderValue", HeaderName=name)
    if "Content-MD5" in found:
        check_md5(found["Content-MD5"])
    return {name: value for name, value in found.items() if value}


def stamp(call: Call, found: Blob) -> Headers:
    """ETag and time of the last change."""
    return [
        ("etag", f'"{call.account.ledger.etag(found.seq)}"'),
        ("last-modified", http_date(found.modified)),
    ]


async def delete(call: Call) -> Answer:
    """Delete Blob. There are no snapshots that could go with it, or stay."""
    if (call.request.header("x-ms-delete-snapshots") or "include").lower() != "include":
        raise StorageError("NotImplemented")
    target = guarded(call)
    await call.account.write(lambda tx: blobs.delete(tx, target))
    return Answer(202, [("x-ms-delete-type-permanent", "true")])


async def set_metadata(call: Call) -> Answer:
    """Set Blob Metadata."""
    target, metadata = guarded(call), call.metadata()
    changed = await call.account.write(lambda tx: blobs.set_metadata(tx, target, metadata))
    return Answer(200, [*stamp(call, changed), ("x-ms-request-server-encrypted", "false")])


async def set_headers(call: Call) -> Answer:
    """Set Blob Properties: those that are not given are cleared."""
    if (
        "x-ms-blob-content-length" in call.request.headers
        or "x-ms-sequence-number-action" in call.request.headers
    ):
        raise StorageError("NotImplemented")  # of page blobs
    target, headers = guarded(call), content_headers(call)
    changed = await call.account.write(lambda tx: blobs.set_headers(tx, target, headers))
    return Answer(200, stamp(call, changed))


async def lease(call: Call) -> Answer:
    """Lease Blob."""
    target, (step, status) = guarded(call), lease_step(call.request)
    found, left = await call.account.write(lambda tx: blobs.set_lease(tx, target, step))
    return Answer(status, [*stamp(call, found), *lease_headers(call, found.lease, left)])


async def account_information(_call: Call) -> Answer:
    """Get Account Information."""
    kind = [
        ("x-ms-sku-name", "Standard_LRS"),
        ("x-ms-account-kind", "StorageV2"),
        ("x-ms-is-hns-enabled", "false"),
    ]
    return Answer(200, kind)
