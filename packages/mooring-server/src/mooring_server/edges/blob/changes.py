"""``comp=changes``: blobs in the order of their changes, as they come (docs/protocols.md, section 6)."""

from __future__ import annotations

import asyncio

from mooring_server.edges.storage.answer import Answer, iso_date
from mooring_server.edges.storage.call import Call, json_answer
from mooring_server.store.storage import listing

MAX_WAIT = 30
MAX_PAGE = 5000


def signal(account: str) -> str:
    """The key under which changes of an account are told."""
    return f"storage/{account}"


async def follow(call: Call) -> Answer:
    """What has changed after a number; waits for the first if there is nothing yet.

    Raises:
        StorageError: ``InvalidQueryParameterValue``, ``OutOfRangeQueryParameterValue``.
    """
    request, ledger = call.request, call.account.ledger
    after = request.number("after", 0, 0, 2**62)
    wait = request.number("wait", 0, 0, MAX_WAIT)
    count = request.number("maxresults", 1000, 1, MAX_PAGE)
    container, prefix = request.arg("container"), request.arg("prefix") or ""
    if after > ledger.last:
        after = 0
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait
    key = signal(request.account)
    changed = call.signals.subscribe(key)
    try:
        while True:
            changed.clear()
            start = after
            found, after = await call.account.read(
                lambda sql, n=start: listing.changes(  # type: ignore[misc]
                    sql, n, container=container, prefix=prefix, count=count
                )
            )
            if found or loop.time() >= deadline:
                break
            if not await call.signals.woken(changed, deadline - loop.time()):
                break
    finally:
        call.signals.unsubscribe(key, changed)
    rows = [
        {
            "seq": blob.seq,
            "container": blob.container,
            "name": blob.name,
            "etag": f'"{ledger.etag(blob.seq)}"',
            "contentLength": blob.size,
            "contentType": blob.headers.get("Content-Type"),
            "lastModified": iso_date(blob.modified),
        }
        for blob in found
    ]
    return json_answer({"generation": ledger.generation, "after": after, "changes": rows})
