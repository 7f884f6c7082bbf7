"""How the registry answers: the specification's headers, errors and pages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import Response

from mooring_server.domain.errors import MooringError
from mooring_server.store.content import parse_digest

VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}
# Our codes in the specification's words.
_CODES = {
    "BlobNotFound": "BLOB_UNKNOWN",
    "UploadNotFound": "BLOB_UPLOAD_UNKNOWN",
    "RangeInvalid": "BLOB_UPLOAD_INVALID",
    "DigestMismatch": "DIGEST_INVALID",
    "ManifestInvalid": "MANIFEST_INVALID",
    "TagOfImage": "DENIED",
    "ManifestInUse": "DENIED",
    "BlobInUse": "DENIED",
}


class Refused(Exception):
    """An answer in the specification's form of an error."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        body = json.dumps({"errors": [{"code": code, "message": message, "detail": None}]})
        self.response = Response(body, status, {**VERSION, **(headers or {})}, media_type="application/json")

    @classmethod
    def of(cls, error: MooringError) -> Refused:
        """One of our errors."""
        text = f"{error.message} {error.hint}".strip()
        return cls(error.http_status, _CODES.get(error.code, "UNKNOWN"), text)


def check_digest(digest: str) -> str:
    """A digest that can be one.

    Raises:
        Refused: ``DIGEST_INVALID``.
    """
    try:
        parse_digest(digest)
    except MooringError as error:
        raise Refused(400, "DIGEST_INVALID", error.message) from error
    return digest


def page(items: Sequence[str], request: Request) -> tuple[list[str], dict[str, str]]:
    """The part of a list a client asked for by ``n`` and ``last``, and the link to the next one."""
    last = request.query_params.get("last")
    rest = [item for item in items if last is None or item > last]
    wanted = request.query_params.get("n")
    if wanted is None:
        return rest, {}
    if not wanted.isdecimal():
        raise Refused(400, "PAGINATION_NUMBER_INVALID", f"n must be a number, not {wanted!r}.")
    found = rest[: int(wanted)]
    if not found or len(found) == len(rest):
        return found, {}
    query = urlencode({"n": wanted, "last": found[-1]})
    return found, {"Link": f'<{request.url.path}?{query}>; rel="next"'}


def as_json(
    data: Any, headers: dict[str, str] | None = None, media_type: str = "application/json"
) -> Response:
    """An answer with data."""
    return Response(json.dumps(data), headers={**VERSION, **(headers or {})}, media_type=media_type)


def empty(status: int, headers: dict[str, str]) -> Response:
    """An answer without a body."""
    return Response(b"", status, {**VERSION, **headers})
