"""List Containers, List Blobs. Memory follows the page: at most 5,000 entries."""

from __future__ import annotations

import sqlite3
import time
from xml.sax.saxutils import escape, quoteattr

from mooring_server.domain.storage import lease as leases
from mooring_server.domain.storage.errors import StorageError
from mooring_server.edges.storage.answer import Answer, clean, http_date, xml
from mooring_server.edges.storage.call import Call
from mooring_server.edges.storage.pages import asked, endpoint, mark
from mooring_server.store.storage import containers, listing
from mooring_server.store.storage.blobs import need_container
from mooring_server.store.storage.listing import ListPage
from mooring_server.store.storage.records import Blob, Container

# What is kept of a blob, and how lists name it.
_KEPT = (
    "Content-Type",
    "Content-Encoding",
    "Content-Language",
    "Content-MD5",
    "Content-Disposition",
    "Cache-Control",
)


async def list_containers(call: Call) -> Answer:
    """List Containers."""
    prefix, marker, count = asked(call)
    include = _include(call)
    found, following = await call.account.read(lambda sql: containers.page(sql, prefix, marker, count))
    now = time.time()
    entries = "".join(_container(call, c, now, metadata="metadata" in include) for c in found)
    return xml(
        f"<EnumerationResults ServiceEndpoint={quoteattr(endpoint(call))}>{_echo(call)}"
        f"<Containers>{entries}</Containers><NextMarker>{mark(following)}</NextMarker></EnumerationResults>"
    )


async def list_blobs(call: Call) -> Answer:
    """List Blobs, with or without a delimiter."""
    prefix, marker, count = asked(call)
    delimiter = call.request.arg("delimiter") or ""
    include = _include(call)
    if include - {"metadata", "copy", "snapshots", "versions", "deleted", "tags", "deletedwithversions"}:
        raise StorageError("NotImplemented")  # uncommittedblobs
    name = call.container

    def look(sql: sqlite3.Connection) -> str:
        sql.execute("BEGIN")
        need_container(sql, name)
        found = listing.page(sql, name, prefix=prefix, delimiter=delimiter, start=marker, count=count)
        return _page(call, found, include)

    body = await call.account.read(look)
    return xml(
        f"<EnumerationResults ServiceEndpoint={quoteattr(endpoint(call))} ContainerName={quoteattr(name)}>"
        f"{_echo(call)}{body}</EnumerationResults>"
    )


def _page(call: Call, found: ListPage, include: set[str]) -> str:
    now, etag = time.time(), call.account.ledger.etag
    parts = ["<Blobs>"]
    for entry in found.entries:
        if isinstance(entry, str):
            parts.append(f"<BlobPrefix><Name>{escape(entry)}</Name></BlobPrefix>")
            continue
        parts.append(_blob(entry, etag(entry.seq), now, include))
    parts.append(f"</Blobs><NextMarker>{mark(found.next)}</NextMarker>")
    return "".join(parts)


def _blob(entry: Blob, etag: str, now: float, include: set[str]) -> str:
    kept = "".join(f"<{n}>{clean(entry.headers[n])}</{n}>" for n in _KEPT if n in entry.headers)
    extra = ""
    if entry.copy is not None and "copy" in include:
        size = entry.size
        extra = (
            f"<CopyId>{entry.copy['id']}</CopyId><CopyStatus>success</CopyStatus>"
            f"<CopySource>{clean(entry.copy['source'])}</CopySource><CopyProgress>{size}/{size}</CopyProgress>"
            f"<CopyCompletionTime>{http_date(entry.copy['completed'])}</CopyCompletionTime>"
        )
    metadata = _metadata(entry.metadata) if "metadata" in include else ""
    return (
        f"<Blob><Name>{escape(entry.name)}</Name><Properties>"
        f"<Creation-Time>{http_date(entry.created)}</Creation-Time>"
        f"<Last-Modified>{http_date(entry.modified)}</Last-Modified><Etag>{etag}</Etag>"
        f"<Content-Length>{entry.size}</Content-Length>{kept}<BlobType>BlockBlob</BlobType>"
        "<AccessTier>Hot</AccessTier><AccessTierInferred>true</AccessTierInferred>"
        f"{_lease(entry.lease, now)}<ServerEncrypted>false</ServerEncrypted>{extra}</Properties>{metadata}"
        "<OrMetadata/></Blob>"
    )


def _container(call: Call, found: Container, now: float, *, metadata: bool) -> str:
    return (
        f"<Container><Name>{escape(found.name)}</Name><Properties>"
        f"<Last-Modified>{http_date(found.modified)}</Last-Modified>"
        f'<Etag>"{call.account.ledger.etag(found.seq)}"</Etag>{_lease(found.lease, now)}'
        "<HasImmutabilityPolicy>false</HasImmutabilityPolicy><HasLegalHold>false</HasLegalHold></Properties>"
        f"{_metadata(found.metadata) if metadata else ''}</Container>"
    )


def _lease(lease: leases.Lease | None, now: float) -> str:
    state = leases.state(lease, now)
    status = "locked" if leases.locked(lease, now) else "unlocked"
    text = f"<LeaseStatus>{status}</LeaseStatus><LeaseState>{state}</LeaseState>"
    if state == "leased" and lease is not None:
        text += f"<LeaseDuration>{'infinite' if lease.duration < 0 else 'fixed'}</LeaseDuration>"
    return text


def _metadata(metadata: dict[str, str]) -> str:
    return f"<Metadata>{''.join(f'<{n}>{clean(v)}</{n}>' for n, v in metadata.items())}</Metadata>"


def _include(call: Call) -> set[str]:
    values = call.request.query.get("include", ())
    return {part.strip().lower() for value in values for part in value.split(",") if part.strip()}


def _echo(call: Call) -> str:
    parts = []
    for name, tag in (
        ("prefix", "Prefix"),
        ("marker", "Marker"),
        ("maxresults", "MaxResults"),
        ("delimiter", "Delimiter"),
    ):
        value = call.request.arg(name)
        if value:
            parts.append(f"<{tag}>{clean(value)}</{tag}>")
    return "".join(parts)
