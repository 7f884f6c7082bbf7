"""The OCI distribution API's write side: uploads of blobs, and manifests."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any, Protocol

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from mooring_server.edges.registry.answers import Refused, check_digest, empty
from mooring_server.services.pushed import MAX_BYTES, Manifest, read_manifest
from mooring_server.store.content import ContentStore
from mooring_server.store.pushes import Pushes

_RANGE = re.compile(r"(?:bytes[ =])?(\d{1,18})-(\d{1,18})(?:/(?:\d+|\*))?")
_PIECE = 1 << 20


class RegistryContent(Protocol):
    """What may be written; the control plane's database keeps it."""

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository has the blob."""
        ...

    def manifest(self, repository: str, reference: str) -> tuple[str, str] | None:
        """Digest and media type of a manifest."""
        ...

    def add_blob(self, repository: str, digest: str) -> None:
        """A blob has been pushed, or is mounted."""
        ...

    def add_manifest(self, repository: str, manifest: Manifest, tag: str | None) -> None:
        """A manifest has been pushed."""
        ...


class Uploads:
    """Answers requests of clients that push; the caller has checked that they may."""

    def __init__(self, store: ContentStore, content: RegistryContent, pushes: Pushes) -> None:
        self._store = store
        self._content = content
        self._pushes = pushes

    async def begin(self, request: Request, name: str, registry: str) -> Response:
        """Begin an upload, take a whole blob, or mount one of another repository of the same registry."""
        query = request.query_params
        if digest := query.get("mount"):
            source = query.get("from", "")
            if await run_in_threadpool(self._mount, name, check_digest(digest), source, registry):
                return self._stored(name, digest)
        elif digest := query.get("digest"):
            check_digest(digest)
            identity = await run_in_threadpool(self._pushes.begin, name)
            await self._append(request, name, identity, None)
            return await run_in_threadpool(self._finish, name, identity, digest)
        identity = await run_in_threadpool(self._pushes.begin, name)
        return self._under_way(202, name, identity, 0)

    async def append(self, request: Request, name: str, identity: str) -> Response:
        """Take a piece."""
        start = _start(request)
        size = await self._append(request, name, identity, start)
        return self._under_way(202, name, identity, size)

    async def finish(self, request: Request, name: str, identity: str) -> Response:
        """Take the last piece, if any, and end the upload."""
        digest = check_digest(request.query_params.get("digest", ""))
        await self._append(request, name, identity, _start(request))
        return await run_in_threadpool(self._finish, name, identity, digest)

    def status(self, name: str, identity: str) -> Response:
        """How much has come."""
        return self._under_way(204, name, identity, self._pushes.size(name, identity))

    def cancel(self, name: str, identity: str) -> Response:
        """Forget the upload."""
        self._pushes.cancel(name, identity)
        return empty(204, {})

    async def manifest(self, request: Request, name: str, reference: str) -> Response:
        """Take a manifest, under a tag or its digest."""
        data = bytearray()
        async for chunk in request.stream():
            data += chunk
            if len(data) > MAX_BYTES:
                raise Refused(413, "MANIFEST_INVALID", f"A manifest has at most {MAX_BYTES:,} bytes.")
        media_type = request.headers.get("content-type", "").partition(";")[0].strip()
        manifest = read_manifest(bytes(data), media_type)
        if ":" in reference and check_digest(reference) != manifest.digest:
            raise Refused(400, "DIGEST_INVALID", f"The manifest has the digest {manifest.digest}.")
        tag = None if ":" in reference else reference
        await run_in_threadpool(self._put, name, manifest, bytes(data), tag)
        headers = {
            "Location": f"/v2/{name}/manifests/{manifest.digest}",
            "Docker-Content-Digest": manifest.digest,
        }
        if manifest.subject:
            headers["OCI-Subject"] = manifest.subject
        return empty(201, headers)

    def _put(self, name: str, manifest: Manifest, data: bytes, tag: str | None) -> None:
        # Touched, so that nothing of it is collected before it is written down who needs it.
        missing = [
            digest
            for digest in manifest.blobs
            if not self._content.has_blob(name, digest) or not self._store.touch(digest)
        ]
        missing += [digest for digest in manifest.manifests if self._content.manifest(name, digest) is None]
        if missing:
            raise Refused(400, "MANIFEST_BLOB_UNKNOWN", f"{name} does not have {', '.join(missing)}.")
        self._store.put_bytes(data)
        self._content.add_manifest(name, manifest, tag)

    async def _append(self, request: Request, name: str, identity: str, start: int | None) -> int:
        """Write the body to the upload; its size then. What has come of a body that is cut short stays."""
        appending = self._pushes.appending(name, identity, start)
        appender = await run_in_threadpool(appending.__enter__)
        try:
            async for piece in _pieces(request):
                await run_in_threadpool(appender.write, piece)
        finally:
            await run_in_threadpool(appending.__exit__, None, None, None)
        return appender.size

    def _finish(self, name: str, identity: str, digest: str) -> Response:
        self._pushes.finish(name, identity, digest)
        self._content.add_blob(name, digest)
        return self._stored(name, digest)

    def _mount(self, name: str, digest: str, source: str, registry: str) -> bool:
        # Another registry's blobs are none of this user's business.
        if not source.startswith(f"{registry}/") or not self._content.has_blob(source, digest):
            return False
        if not self._store.touch(digest):
            return False
        self._content.add_blob(name, digest)
        return True

    @staticmethod
    def _stored(name: str, digest: str) -> Response:
        return empty(201, {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest})

    @staticmethod
    def _under_way(status: int, name: str, identity: str, size: int) -> Response:
        headers: dict[str, Any] = {
            "Location": f"/v2/{name}/blobs/uploads/{identity}",
            "Docker-Upload-UUID": identity,
            "Range": f"0-{max(0, size - 1)}",
        }
        return empty(status, headers)


def _start(request: Request) -> int | None:
    """Where the body belongs, if the client says it."""
    header = request.headers.get("content-range")
    if header is None:
        return None
    match = _RANGE.fullmatch(header.strip())
    if match is None or int(match[2]) < int(match[1]):
        raise Refused(416, "BLOB_UPLOAD_INVALID", f"Content-Range: {header[:100]!r} is no range START-END.")
    length = request.headers.get("content-length")
    if length is not None and length.isdecimal() and int(length) != int(match[2]) - int(match[1]) + 1:
        raise Refused(400, "SIZE_INVALID", f"Content-Range: {header} is no range of {length} bytes.")
    return int(match[1])


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """The body in pieces worth a call each."""
    pending = bytearray()
    async for chunk in request.stream():
        pending += chunk
        if len(pending) >= _PIECE:
            yield bytes(pending)
            pending.clear()
    if pending:
        yield bytes(pending)
