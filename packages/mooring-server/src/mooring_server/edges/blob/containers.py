"""Calls for containers."""

from __future__ import annotations

import time

from mooring_server.domain.storage import lease as leases
from mooring_server.domain.storage.conditions import parse
from mooring_server.domain.storage.errors import StorageError
from mooring_server.edges.blob.leasing import lease_step
from mooring_server.edges.storage.answer import Answer, Headers, http_date, xml
from mooring_server.edges.storage.call import Call
from mooring_server.store.storage import containers
from mooring_server.store.storage.records import Container


async def create(call: Call) -> Answer:
    """Create Container; never a public one."""
    if call.request.header("x-ms-blob-public-access"):
        raise StorageError("PublicAccessNotPermitted")
    name, metadata = call.container, call.metadata()
    made = await call.account.write(lambda tx: containers.create(tx, name, metadata))
    return Answer(201, stamp(call, made))


async def show(call: Call) -> Answer:
    """Get Container Properties, Get Container Metadata."""
    name = call.container
    found = await call.account.read(lambda sql: containers.find(sql, name))
    now = time.time()
    leases.check(found.lease, call.request.header("x-ms-lease-id"), now, "Container", writes=False)
    state = leases.state(found.lease, now)
    headers = [
        *stamp(call, found),
        *((f"x-ms-meta-{key}", value) for key, value in found.metadata.items()),
        ("x-ms-lease-status", "locked" if leases.locked(found.lease, now) else "unlocked"),
        ("x-ms-lease-state", state),
        ("x-ms-has-immutability-policy", "false"),
        ("x-ms-has-legal-hold", "false"),
        ("x-ms-immutable-storage-with-versioning-enabled", "false"),
    ]
    if state == "leased" and found.lease is not None:
        headers.append(("x-ms-lease-duration", "infinite" if found.lease.duration < 0 else "fixed"))
    return Answer(200, headers)


async def show_access(call: Call) -> Answer:
    """Get Container ACL: nothing is public, and there are no stored policies."""
    name = call.container
    found = await call.account.read(lambda sql: containers.find(sql, name))
    answer = xml("<SignedIdentifiers />")
    answer.headers += stamp(call, found)
    return answer


async def set_metadata(call: Call) -> Answer:
    """Set Container Metadata."""
    name, metadata, conditions = call.container, call.metadata(), parse(call.request.headers)
    etag, lease_id = call.account.ledger.etag, call.request.header("x-ms-lease-id")
    changed = await call.account.write(
        lambda tx: containers.set_metadata(tx, name, metadata, conditions, etag, lease_id)
    )
    return Answer(200, stamp(call, changed))


async def delete(call: Call) -> Answer:
    """Delete Container, at once with all that it holds."""
    name, conditions = call.container, parse(call.request.headers)
    etag, lease_id = call.account.ledger.etag, call.request.header("x-ms-lease-id")
    await call.account.write(lambda tx: containers.delete(tx, name, conditions, etag, lease_id))
    return Answer(202)


async def lease(call: Call) -> Answer:
    """Lease Container."""
    name, (step, status) = call.container, lease_step(call.request)
    found, left = await call.account.write(lambda tx: containers.set_lease(tx, name, step))
    return Answer(status, [*stamp(call, found), *lease_headers(call, found.lease, left)])


def lease_headers(call: Call, lease: leases.Lease | None, left: int) -> Headers:
    """What Lease Container and Lease Blob answer."""
    action = (call.request.header("x-ms-lease-action") or "").lower()
    if action == "break":
        return [("x-ms-lease-time", str(left))]
    return [("x-ms-lease-id", lease.id)] if lease is not None else []


def stamp(call: Call, found: Container) -> Headers:
    """ETag and time of the last change."""
    return [
        ("etag", f'"{call.account.ledger.etag(found.seq)}"'),
        ("last-modified", http_date(found.modified)),
    ]
