"""Calls for queues."""

from __future__ import annotations

import time
from xml.sax.saxutils import escape, quoteattr

from mooring_server.edges.storage.answer import Answer, clean, xml
from mooring_server.edges.storage.call import Call
from mooring_server.edges.storage.pages import asked, endpoint, mark
from mooring_server.store.storage import queues


async def list_queues(call: Call) -> Answer:
    """List Queues."""
    prefix, marker, count = asked(call)
    wanted = "metadata" in (call.request.arg("include") or "").lower()
    found, following = await call.account.read(lambda sql: queues.page(sql, prefix, marker, count))
    entries = "".join(
        f"<Queue><Name>{escape(name)}</Name>{_metadata(metadata) if wanted else ''}</Queue>"
        for name, metadata in found
    )
    return xml(
        f"<EnumerationResults ServiceEndpoint={quoteattr(endpoint(call))}><Prefix>{clean(prefix)}</Prefix>"
        f"<MaxResults>{count}</MaxResults><Queues>{entries}</Queues>"
        f"<NextMarker>{mark(following)}</NextMarker></EnumerationResults>"
    )


async def properties(_call: Call) -> Answer:
    """Get Queue Service Properties: all is off, as it is."""
    policy = "<RetentionPolicy><Enabled>false</Enabled></RetentionPolicy>"
    metrics = f"<Version>1.0</Version><Enabled>false</Enabled>{policy}"
    return xml(
        "<StorageServiceProperties><Logging><Version>1.0</Version><Delete>false</Delete><Read>false</Read>"
        f"<Write>false</Write>{policy}</Logging><HourMetrics>{metrics}</HourMetrics>"
        f"<MinuteMetrics>{metrics}</MinuteMetrics><Cors/></StorageServiceProperties>"
    )


async def create(call: Call) -> Answer:
    """Create Queue: 201, or 204 when it is there with the same metadata."""
    name, metadata = call.container, call.metadata()
    new = await call.account.write(lambda tx: queues.create(tx, name, metadata))
    return Answer(201 if new else 204)


async def delete(call: Call) -> Answer:
    """Delete Queue."""
    name = call.container
    await call.account.write(lambda tx: queues.delete(tx, name))
    return Answer(204)


async def show(call: Call) -> Answer:
    """Get Queue Metadata, with the number of messages."""
    name = call.container
    metadata = await call.account.read(lambda sql: queues.metadata_of(sql, name))
    count = await call.account.read(lambda sql: queues.length(sql, name, time.time()))
    headers = [(f"x-ms-meta-{key}", value) for key, value in metadata.items()]
    return Answer(200, [*headers, ("x-ms-approximate-messages-count", str(count))])


async def set_metadata(call: Call) -> Answer:
    """Set Queue Metadata."""
    name, metadata = call.container, call.metadata()
    await call.account.write(lambda tx: queues.set_metadata(tx, name, metadata))
    return Answer(204)


async def show_access(call: Call) -> Answer:
    """Get Queue ACL: there are no stored policies."""
    name = call.container
    await call.account.read(lambda sql: queues.metadata_of(sql, name))
    return xml("<SignedIdentifiers />")


def _metadata(metadata: dict[str, str]) -> str:
    return f"<Metadata>{''.join(f'<{n}>{clean(v)}</{n}>' for n, v in metadata.items())}</Metadata>"
