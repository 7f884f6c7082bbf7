"""Which handler answers which call of the Blob service, and what it needs. What is not here is not implemented."""

from __future__ import annotations

from mooring_server.domain.storage.access import Need
from mooring_server.domain.storage.errors import StorageError
from mooring_server.domain.storage.names import check_blob_name, check_container_name
from mooring_server.edges.blob import blobs, changes, containers, download, listing, upload
from mooring_server.edges.blob.blobs import account_information
from mooring_server.edges.storage.answer import Answer, xml
from mooring_server.edges.storage.call import Call, Routes

# Asks for something that would silently not be done.
_UNSUPPORTED = (
    "x-ms-encryption-key",
    "x-ms-encryption-scope",
    "x-ms-tags",
    "x-ms-if-tags",
    "x-ms-content-crc64",
    "x-ms-structured-body",
    "x-ms-immutability-policy-until-date",
    "x-ms-legal-hold",
    "x-ms-expiry-option",
)
_READ, _WRITE, _CREATE = Need("o", "r"), Need("o", "w"), Need("o", "cw")


async def properties(_call: Call) -> Answer:
    """Get Blob Service Properties: all is off, as it is."""
    off = "<Version>1.0</Version><Enabled>false</Enabled>"
    policy = "<RetentionPolicy><Enabled>false</Enabled></RetentionPolicy>"
    metrics = f"{off}{policy}"
    return xml(
        "<StorageServiceProperties><Logging><Version>1.0</Version><Delete>false</Delete><Read>false</Read>"
        f"<Write>false</Write>{policy}</Logging><HourMetrics>{metrics}</HourMetrics>"
        f"<MinuteMetrics>{metrics}</MinuteMetrics><Cors/>"
        "<DeleteRetentionPolicy><Enabled>false</Enabled></DeleteRetentionPolicy>"
        "<StaticWebsite><Enabled>false</Enabled></StaticWebsite></StorageServiceProperties>"
    )


ROUTES: Routes = {
    ("s", "GET", "list"): (Need("s", "l", ""), listing.list_containers),
    ("s", "GET", "service/properties"): (Need("s", "r", ""), properties),
    ("s", "GET", "account/properties"): (Need("s", "rl", ""), account_information),
    ("s", "HEAD", "account/properties"): (Need("s", "rl", ""), account_information),
    ("s", "GET", "changes"): (Need("c", "l", ""), changes.follow),
    ("c", "PUT", "container"): (Need("c", "cw", ""), containers.create),
    ("c", "GET", "container"): (Need("c", "r"), containers.show),
    ("c", "HEAD", "container"): (Need("c", "r"), containers.show),
    ("c", "DELETE", "container"): (Need("c", "d", ""), containers.delete),
    ("c", "GET", "container/list"): (Need("c", "l"), listing.list_blobs),
    ("c", "GET", "container/metadata"): (Need("c", "r"), containers.show),
    ("c", "HEAD", "container/metadata"): (Need("c", "r"), containers.show),
    ("c", "PUT", "container/metadata"): (Need("c", "w", ""), containers.set_metadata),
    ("c", "GET", "container/acl"): (Need("c", "r", ""), containers.show_access),
    ("c", "PUT", "container/lease"): (Need("c", "wd", ""), containers.lease),
    ("c", "GET", "account/properties"): (Need("c", "rl"), account_information),
    ("c", "HEAD", "account/properties"): (Need("c", "rl"), account_information),
    ("o", "PUT", ""): (_CREATE, upload.put_or_copy),
    ("o", "GET", ""): (_READ, download.get),
    ("o", "HEAD", ""): (_READ, download.show),
    ("o", "DELETE", ""): (Need("o", "d"), blobs.delete),
    ("o", "PUT", "block"): (_CREATE, upload.put_block),
    ("o", "PUT", "blocklist"): (_CREATE, upload.put_block_list),
    ("o", "GET", "blocklist"): (_READ, upload.get_block_list),
    ("o", "GET", "metadata"): (_READ, download.show),
    ("o", "HEAD", "metadata"): (_READ, download.show),
    ("o", "PUT", "metadata"): (_WRITE, blobs.set_metadata),
    ("o", "PUT", "properties"): (_WRITE, blobs.set_headers),
    ("o", "PUT", "lease"): (Need("o", "wd"), blobs.lease),
    ("o", "GET", "account/properties"): (_READ, account_information),
    ("o", "HEAD", "account/properties"): (_READ, account_information),
}


async def blob_service(call: Call) -> Answer:
    """Answer a call.

    Raises:
        StorageError: all that can be wrong; ``NotImplemented`` for what this service does not have.
    """
    request = call.request
    comp, restype = (request.arg("comp") or "").lower(), (request.arg("restype") or "").lower()
    level = "o" if call.blob else "c" if call.container else "s"
    if request.resource.startswith("/"):
        raise StorageError("InvalidUri")
    kind = f"{restype}/{comp}".strip("/") if level != "o" or restype == "account" else comp
    route = ROUTES.get((level, request.method, kind))
    if route is None:
        raise StorageError("NotImplemented")
    need, handler = route
    call.access.check(need, call.container, call.blob)
    if call.container:
        check_container_name(call.container)
    if call.blob:
        check_blob_name(call.blob)
    for name in _UNSUPPORTED:
        if name in request.headers:
            raise StorageError("UnsupportedHeader", HeaderName=name)
    if request.arg("snapshot") or request.arg("versionid"):
        raise StorageError("NotImplemented")
    return await handler(call)
