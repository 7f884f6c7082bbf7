"""The OCI distribution API below ``/v2/`` (specification 1.1): pull, push, content discovery, content management.

Names begin with that of the registry, which is the user's name: ``<host>/<registry>/<repository>:<tag>``.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any, Protocol

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, Response

from mooring_server.domain.errors import MooringError
from mooring_server.edges.registry.answers import VERSION, Refused, as_json, check_digest, empty, page
from mooring_server.edges.registry.uploads import RegistryContent, Uploads
from mooring_server.images.documents import INDEX_TYPE
from mooring_server.services.sign_ins import TOKEN_USER
from mooring_server.store.content import ContentStore
from mooring_server.store.pushes import Pushes

_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_ROUTE = re.compile(
    r"(?P<name>.+)/(?P<kind>manifests|blobs|tags|referrers)/(?P<reference>uploads/[^/]*|uploads|[^/]+)"
)
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
_ALLOWED = {
    "manifests": {"GET", "HEAD", "PUT", "DELETE"},
    "blobs": {"GET", "HEAD", "DELETE"},
    "tags": {"GET", "HEAD"},
    "referrers": {"GET", "HEAD"},
    "uploads": {"GET", "POST", "PATCH", "PUT", "DELETE"},
}

Authenticate = Callable[[str, str], "str | None"]


class RegistryIndex(RegistryContent, Protocol):
    """Which images there are; the control plane's database knows."""

    def tags(self, repository: str) -> list[str]:
        """The repository's tags."""
        ...

    def repositories(self, registry: str) -> list[str]:
        """The repositories of a registry, each beginning with its name."""
        ...

    def referrers(self, repository: str, digest: str) -> list[dict[str, Any]]:
        """Descriptors of the manifests with this subject."""
        ...

    def delete_tag(self, repository: str, tag: str) -> bool:
        """Take a tag away."""
        ...

    def delete_manifest(self, repository: str, digest: str) -> bool:
        """Delete a manifest and its tags."""
        ...

    def delete_blob(self, repository: str, digest: str) -> bool:
        """Take a blob out of the repository."""
        ...


def registry_app(
    store: ContentStore, index: RegistryIndex, authenticate: Authenticate, pushes: Pushes
) -> APIRouter:
    """The routes below ``/v2``.

    Args:
        store: has the blobs.
        index: says which of them belong to which repository.
        authenticate: gives the name of the registry a user (name, password) may use, or None.
        pushes: keeps uploads under way.
    """
    registry = _Registry(store, index, authenticate, pushes)
    router = APIRouter(include_in_schema=False)
    router.add_api_route("/v2/{path:path}", registry.answer, methods=_METHODS, response_model=None)
    router.add_api_route("/v2", registry.answer, methods=_METHODS, response_model=None)
    return router


class _Registry:
    def __init__(
        self, store: ContentStore, index: RegistryIndex, authenticate: Authenticate, pushes: Pushes
    ) -> None:
        self._store = store
        self._index = index
        self._authenticate = authenticate
        self._uploads = Uploads(store, index, pushes)

    async def answer(self, request: Request) -> Response:
        """Answer a request; every refusal has the specification's form."""
        try:
            return await self._answer(request, request.path_params.get("path", ""))
        except Refused as refused:
            return refused.response
        except MooringError as error:
            return Refused.of(error).response
        except ClientDisconnect:
            return empty(499, {})

    async def _answer(self, request: Request, path: str) -> Response:
        registry = await run_in_threadpool(self._user, request)
        if path in {"", "_catalog"}:
            _check_method(request, {"GET", "HEAD"})
            return await run_in_threadpool(self._root, request, path, registry)
        route = _ROUTE.fullmatch(path)
        if route is None:
            raise Refused(404, "NAME_UNKNOWN", f"There is nothing at /v2/{path}.")
        name, kind, reference = route["name"], route["kind"], route["reference"]
        upload = kind == "blobs" and reference.partition("/")[0] == "uploads"
        _check_method(request, _ALLOWED["uploads" if upload else kind])
        writing = request.method in {"POST", "PUT", "PATCH"}
        await run_in_threadpool(self._check_repository, registry, name, writing=writing or upload)
        if not writing:
            return await run_in_threadpool(self._read, request, name, kind, reference)
        if not upload:
            if ":" not in reference and not _TAG.fullmatch(reference):
                raise Refused(400, "TAG_INVALID", f"{reference[:128]!r} is no tag.")
            return await self._uploads.manifest(request, name, reference)
        identity = reference.partition("/")[2]
        if request.method == "POST":
            return await self._uploads.begin(request, name, registry)
        take = self._uploads.append if request.method == "PATCH" else self._uploads.finish
        return await take(request, name, identity)

    def _root(self, request: Request, path: str, registry: str) -> Response:
        if path == "":
            return as_json({})
        names, headers = page(sorted(self._index.repositories(registry)), request)
        return as_json({"repositories": names}, headers)

    def _read(self, request: Request, name: str, kind: str, reference: str) -> Response:
        deleting = request.method == "DELETE"
        if kind == "tags" and reference == "list":
            tags, headers = page(sorted(self._index.tags(name)), request)
            return as_json({"name": name, "tags": tags}, headers)
        if kind == "manifests":
            return self._delete_manifest(name, reference) if deleting else self._manifest(name, reference)
        if kind == "referrers":
            return self._referrers(request, name, check_digest(reference))
        if kind == "blobs" and reference.startswith("uploads"):
            identity = reference.partition("/")[2]
            return (self._uploads.cancel if deleting else self._uploads.status)(name, identity)
        if kind == "blobs":
            return self._delete_blob(name, reference) if deleting else self._blob(name, reference)
        raise Refused(404, "NAME_UNKNOWN", f"There is nothing at /v2/{name}/{kind}/{reference}.")

    def _user(self, request: Request) -> str:
        """The name of the registry the user may use."""
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        name = password = ""
        if scheme.lower() in {"basic", "bearer"}:
            try:
                name, _, password = base64.b64decode(shown.strip(), validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                # What the token exchange gives for a sign-in; for a password it gives that itself.
                name, password = (TOKEN_USER, shown.strip()) if scheme.lower() == "bearer" else ("", "")
        registry = self._authenticate(name, password) if name else None
        if registry is None:
            message = "User name or password are missing or wrong; see the workspace's registry credentials."
            raise Refused(401, "UNAUTHORIZED", message, {"WWW-Authenticate": 'Basic realm="mooring"'})
        return registry

    def _check_repository(self, registry: str, name: str, *, writing: bool) -> None:
        if len(name) > 255 or not _NAME.fullmatch(name):
            raise Refused(400, "NAME_INVALID", f"{name[:255]!r} is no name of a repository.")
        if writing and not name.startswith(f"{registry}/"):
            raise Refused(403, "DENIED", f"Names of repositories begin with {registry}/ in this registry.")
        # Another registry's repository does not exist for this user: even its name is none of their business.
        if not writing and (
            not name.startswith(f"{registry}/") or name not in self._index.repositories(registry)
        ):
            raise Refused(404, "NAME_UNKNOWN", f"The registry {registry} has no repository {name}.")

    def _manifest(self, name: str, reference: str) -> Response:
        if ":" in reference:
            check_digest(reference)
        elif not _TAG.fullmatch(reference):
            raise Refused(404, "MANIFEST_UNKNOWN", f"{reference!r} is neither a tag nor a digest.")
        found = self._index.manifest(name, reference)
        if found is None:
            raise Refused(404, "MANIFEST_UNKNOWN", f"{name} has no manifest {reference}.")
        digest, media_type = found
        headers = {**VERSION, "Docker-Content-Digest": digest, "ETag": f'"{digest}"'}
        return Response(self._store.read(digest), headers=headers, media_type=media_type)

    def _blob(self, name: str, digest: str) -> Response:
        check_digest(digest)
        # Touched: who asks for it may be about to push a manifest that needs it.
        if not self._index.has_blob(name, digest) or not self._store.touch(digest):
            raise Refused(404, "BLOB_UNKNOWN", f"{name} has no blob {digest}.")
        headers = {
            **VERSION,
            "Docker-Content-Digest": digest,
            "ETag": f'"{digest}"',
            "Cache-Control": "max-age=31536000, immutable",
        }
        return FileResponse(self._store.path(digest), headers=headers, media_type="application/octet-stream")

    def _referrers(self, request: Request, name: str, digest: str) -> Response:
        found = self._index.referrers(name, digest)
        headers = {}
        if wanted := request.query_params.get("artifactType"):
            found = [each for each in found if each.get("artifactType") == wanted]
            headers["OCI-Filters-Applied"] = "artifactType"
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": found}
        return as_json(index, headers, INDEX_TYPE)

    def _delete_manifest(self, name: str, reference: str) -> Response:
        if ":" in reference:
            deleted = self._index.delete_manifest(name, check_digest(reference))
        else:
            deleted = self._index.delete_tag(name, reference)
        if not deleted:
            raise Refused(404, "MANIFEST_UNKNOWN", f"{name} has no manifest {reference}.")
        return empty(202, {})

    def _delete_blob(self, name: str, digest: str) -> Response:
        if not self._index.delete_blob(name, check_digest(digest)):
            raise Refused(404, "BLOB_UNKNOWN", f"{name} has no blob {digest}.")
        return empty(202, {"Docker-Content-Digest": digest})


def _check_method(request: Request, allowed: set[str]) -> None:
    if request.method not in allowed:
        message = f"{request.method} is not possible here."
        raise Refused(405, "UNSUPPORTED", message, {"Allow": ", ".join(sorted(allowed))})
