"""The OCI distribution API below ``/v2/``: the read side.

Any client that pulls (docker, podman, skopeo, containerd) reads Mooring's images here. Pushing is not
supported yet and is refused in the words of the specification.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response

from mooring_server.domain.errors import MooringError
from mooring_server.store.content import ContentStore, parse_digest

_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_ROUTE = re.compile(r"(?P<name>.+)/(?P<kind>manifests|blobs|tags)/(?P<reference>[^/]+|uploads/[^/]*)")
_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

Authenticate = Callable[[str, str], "str | None"]


class RegistryIndex(Protocol):
    """Which images there are; the control plane's database knows."""

    def manifest(self, repository: str, reference: str) -> tuple[str, str] | None:
        """Digest and media type of the manifest with that tag or digest, if the repository has it."""
        ...

    def tags(self, repository: str) -> list[str]:
        """The repository's tags."""
        ...

    def repositories(self, registry: str) -> list[str]:
        """The repositories of a registry, each beginning with its name."""
        ...

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether an image of the repository refers to the blob."""
        ...


def registry_app(store: ContentStore, index: RegistryIndex, authenticate: Authenticate) -> APIRouter:
    """The routes below ``/v2``.

    Args:
        store: has the blobs.
        index: says which of them belong to which repository.
        authenticate: gives the name of the registry a user (name, password) may read, or None.
    """
    registry = _Registry(store, index, authenticate)
    router = APIRouter(include_in_schema=False)
    # Plain functions: they read the database and the disk, and so run in threads.
    router.add_api_route("/v2/{path:path}", registry.answer, methods=_METHODS, response_model=None)
    router.add_api_route("/v2", registry.answer, methods=_METHODS, response_model=None)
    return router


class _Refused(Exception):
    """An answer in the specification's form of an error."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        body = json.dumps({"errors": [{"code": code, "message": message, "detail": None}]})
        self.response = Response(body, status, {**_VERSION, **(headers or {})}, media_type="application/json")


class _Registry:
    def __init__(self, store: ContentStore, index: RegistryIndex, authenticate: Authenticate) -> None:
        self._store = store
        self._index = index
        self._authenticate = authenticate

    def answer(self, request: Request) -> Response:
        """Answer a request; every refusal has the specification's form."""
        try:
            return self._answer(request, request.path_params.get("path", ""))
        except _Refused as refused:
            return refused.response
        except MooringError as error:
            code = "BLOB_UNKNOWN" if error.http_status == 404 else "UNKNOWN"
            return _Refused(error.http_status, code, error.message).response

    def _answer(self, request: Request, path: str) -> Response:
        registry = self._user(request)
        if request.method not in {"GET", "HEAD"}:
            message = "Pushing and deleting are not supported; register models and build images with Mooring."
            raise _Refused(405, "UNSUPPORTED", message, {"Allow": "GET, HEAD"})
        if path == "":
            return _json({})
        if path == "_catalog":
            names = sorted(self._index.repositories(registry))
            page, headers = _page(names, request)
            return _json({"repositories": page}, headers)
        route = _ROUTE.fullmatch(path)
        if route is None:
            raise _Refused(404, "NAME_UNKNOWN", f"There is nothing at /v2/{path}.")
        name, kind, reference = route["name"], route["kind"], route["reference"]
        self._check_repository(registry, name)
        if kind == "tags" and reference == "list":
            return self._tags(name, request)
        if kind == "manifests":
            return self._manifest(name, reference)
        if kind == "blobs":
            return self._blob(name, reference)
        raise _Refused(404, "NAME_UNKNOWN", f"There is nothing at /v2/{path}.")

    def _user(self, request: Request) -> str:
        """The name of the registry the user may read."""
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        name = password = ""
        if scheme.lower() == "basic":
            try:
                name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                name = ""
        registry = self._authenticate(name, password) if name else None
        if registry is None:
            message = "User name or password are missing or wrong; see the workspace's registry credentials."
            raise _Refused(401, "UNAUTHORIZED", message, {"WWW-Authenticate": 'Basic realm="mooring"'})
        return registry

    def _check_repository(self, registry: str, name: str) -> None:
        if len(name) > 255 or not _NAME.fullmatch(name):
            raise _Refused(400, "NAME_INVALID", f"{name[:255]!r} is no name of a repository.")
        # Another registry's repository does not exist for this user: even its name is none of their business.
        if not name.startswith(f"{registry}/") or name not in self._index.repositories(registry):
            raise _Refused(404, "NAME_UNKNOWN", f"The registry {registry} has no repository {name}.")

    def _tags(self, name: str, request: Request) -> Response:
        page, headers = _page(sorted(self._index.tags(name)), request)
        return _json({"name": name, "tags": page}, headers)

    def _manifest(self, name: str, reference: str) -> Response:
        if ":" in reference:
            _check_digest(reference)
        elif not _TAG.fullmatch(reference):
            raise _Refused(404, "MANIFEST_UNKNOWN", f"{reference!r} is neither a tag nor a digest.")
        found = self._index.manifest(name, reference)
        if found is None:
            raise _Refused(404, "MANIFEST_UNKNOWN", f"{name} has no manifest {reference}.")
        digest, media_type = found
        headers = {**_VERSION, "Docker-Content-Digest": digest, "ETag": f'"{digest}"'}
        return Response(self._store.read(digest), headers=headers, media_type=media_type)

    def _blob(self, name: str, digest: str) -> Response:
        _check_digest(digest)
        if not self._index.has_blob(name, digest) or not self._store.has(digest):
            raise _Refused(404, "BLOB_UNKNOWN", f"{name} has no blob {digest}.")
        headers = {
            **_VERSION,
            "Docker-Content-Digest": digest,
            "ETag": f'"{digest}"',
            "Cache-Control": "max-age=31536000, immutable",
        }
        return FileResponse(self._store.path(digest), headers=headers, media_type="application/octet-stream")


def _check_digest(digest: str) -> None:
    try:
        parse_digest(digest)
    except MooringError as error:
        raise _Refused(400, "DIGEST_INVALID", error.message) from error


def _page(items: Sequence[str], request: Request) -> tuple[list[str], dict[str, str]]:
    """The part of a list a client asked for by ``n`` and ``last``, and the link to the next one."""
    last = request.query_params.get("last")
    rest = [item for item in items if last is None or item > last]
    wanted = request.query_params.get("n")
    if wanted is None:
        return rest, {}
    if not wanted.isdecimal():
        raise _Refused(400, "PAGINATION_NUMBER_INVALID", f"n must be a number, not {wanted!r}.")
    page = rest[: int(wanted)]
    if not page or len(page) == len(rest):
        return page, {}
    query = urlencode({"n": wanted, "last": page[-1]})
    return page, {"Link": f'<{request.url.path}?{query}>; rel="next"'}


def _json(data: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(data), headers={**_VERSION, **(headers or {})}, media_type="application/json")
