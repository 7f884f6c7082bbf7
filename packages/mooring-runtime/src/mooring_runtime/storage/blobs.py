"""The Blob service, as far as the function host needs it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from mooring_runtime.storage.client import StorageClient, StorageError
from mooring_runtime.storage.connection import StorageAccount

_META = "x-ms-meta-"
# A server that holds a request back for so long must still be waited for.
_SLACK = 30.0


@dataclass(frozen=True, slots=True)
class BlobItem:
    """A blob in a list. ``etag`` is in quotes."""

    name: str
    etag: str
    size: int


@dataclass(frozen=True, slots=True)
class Change:
    """A blob in the feed of changes; ``seq`` is its number (docs/protocols.md, section 6)."""

    seq: int
    blob: BlobItem


@dataclass(frozen=True, slots=True)
class BlobContent:
    """A blob's bytes, its content type and its metadata, names in lower case."""

    body: bytes
    content_type: str | None
    metadata: Mapping[str, str]


class Blobs:
    """Blobs of an account. All calls raise `StorageError` and `Unreachable`."""

    def __init__(self, account: StorageAccount) -> None:
        self._client = StorageClient(account, account.blob)

    async def has_container(self, container: str) -> bool:
        """Whether there is such a container."""
        found = await self._client.call("GET", f"/{container}", [("restype", "container")], expect=(404,))
        return found.status != 404

    async def create_container(self, container: str) -> None:
        """Make a container, unless it is there."""
        await self._client.call("PUT", f"/{container}", [("restype", "container")], expect=(409,))

    async def changes(
        self, after: int, container: str, prefix: str, wait: int, count: int
    ) -> tuple[str, int, list[Change]] | None:
        """Generation, where to go on, and the changes after a number; None where there is no such feed."""
        query = [("comp", "changes"), ("after", str(after)), ("wait", str(wait)), ("container", container)]
        query += [("prefix", prefix)] if prefix else []
        query.append(("maxresults", str(count)))
        answer = await self._client.call("GET", "/", query, expect=(400, 405, 501), seconds=wait + _SLACK)
        if answer.status != 200 or "json" not in answer.headers.get("content-type", ""):
            return None
        said = json.loads(answer.body)
        found = [
            Change(c["seq"], BlobItem(c["name"], c["etag"], int(c["contentLength"]))) for c in said["changes"]
        ]
        return said["generation"], int(said["after"]), found

    async def list(self, container: str, prefix: str, marker: str) -> tuple[list[BlobItem], str]:
        """A page of a container's blobs, and the marker of the next; an empty one after the last."""
        query = [("restype", "container"), ("comp", "list")]
        query += [(name, value) for name, value in (("prefix", prefix), ("marker", marker)) if value]
        answer = await self._client.call("GET", f"/{container}", query)
        try:
            tree = ET.fromstring(answer.body)  # noqa: S314 - the user's own storage; expat limits entities
        except ET.ParseError as error:
            raise ValueError(f"the list of blobs is no XML: {error}") from error
        found = []
        for blob in tree.iterfind("Blobs/Blob"):
            etag = blob.findtext("Properties/Etag", "")
            size = int(blob.findtext("Properties/Content-Length", "0"))
            found.append(BlobItem(blob.findtext("Name", ""), _quoted(etag), size))
        return found, tree.findtext("NextMarker") or ""

    async def get(self, container: str, name: str, etag: str | None = None) -> BlobContent | None:
        """A blob; None if it is not there, or is another version than ``etag``."""
        headers = {"if-match": etag} if etag else {}
        answer = await self._client.call("GET", f"/{container}/{name}", headers=headers, expect=(404, 412))
        if answer.status in {404, 412}:
            return None
        return BlobContent(answer.body, answer.headers.get("content-type"), _metadata(answer.headers))

    async def metadata(self, container: str, name: str) -> Mapping[str, str] | None:
        """A blob's metadata, names in lower case; None if it is not there."""
        answer = await self._client.call("HEAD", f"/{container}/{name}", expect=(404,))
        return None if answer.status == 404 else _metadata(answer.headers)

    async def put(
        self,
        container: str,
        name: str,
        body: bytes,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Write a block blob; its container is made if it is not there."""
        headers = {"x-ms-blob-type": "BlockBlob", "content-type": content_type}
        headers |= {f"{_META}{key}": value for key, value in (metadata or {}).items()}
        try:
            await self._client.call("PUT", f"/{container}/{name}", headers=headers, body=body)
        except StorageError as error:
            if error.code != "ContainerNotFound":
                raise
            await self.create_container(container)
            await self._client.call("PUT", f"/{container}/{name}", headers=headers, body=body)

    def close(self) -> None:
        """End its connections."""
        self._client.close()


def _metadata(headers: Mapping[str, str]) -> dict[str, str]:
    return {name[len(_META) :]: value for name, value in headers.items() if name.startswith(_META)}


def _quoted(etag: str) -> str:
    return etag if etag.startswith('"') else f'"{etag}"'
