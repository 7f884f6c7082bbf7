"""Shared Key: requests signed with an account's key.

Source: "Authorize with Shared Key" of Azure's REST reference, for versions since 2015-02-21.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache

from mooring_server.domain.storage.errors import StorageError
from mooring_server.domain.storage.request import StorageRequest

SKEW = timedelta(minutes=15)
_SIGNED = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)
# The service's own order of header names: hyphens do not count, digits come before letters, signs before digits.
_ORDER = {char: rank for rank, char in enumerate("!#$%&*.^_`|~+0123456789abcdefghijklmnopqrstuvwxyz")}


def check(request: StorageRequest, keys: Sequence[bytes], now: datetime) -> None:
    """Refuse a request whose ``Authorization: SharedKey`` is not by one of the account's keys, or not of now.

    Raises:
        StorageError: ``AuthenticationFailed``; the detail says what was signed here, as Azure's does.
    """
    name, _, given = request.headers["authorization"].partition(" ")[2].strip().partition(":")
    _check_date(request, now)
    if name != request.account:
        raise _failed(
            f"The account name {name[:100]!r} in the Authorization header is not the one in the path."
        )
    offered = given.encode("utf-8", "surrogatepass")
    signed = []
    for text in strings_to_sign(request):
        signed.append(text)
        if any(hmac.compare_digest(offered, sign(key, text).encode()) for key in keys):
            return
    raise _failed(
        f"The MAC signature found in the HTTP request is not the same as any computed signature. "
        f"Server used following string to sign: {signed[0]!r}."
    )


def sign(key: bytes, text: str) -> str:
    """HMAC-SHA256 in base64."""
    digest = hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def strings_to_sign(request: StorageRequest) -> Iterator[str]:
    """What clients may have signed: they sort headers by code point, or in the service's own order."""
    headers = request.headers
    first = [request.method]
    for name in _SIGNED:
        value = headers.get(name, "")
        if (name == "content-length" and value == "0") or (name == "date" and "x-ms-date" in headers):
            value = ""
        first.append(value)
    head = "\n".join(first)
    names = [name for name in headers if name.startswith("x-ms-")]
    resource = canonical_resource(request)
    ordinal = sorted(names)
    yield f"{head}\n{_canonical(request, ordinal)}{resource}"
    other = sorted(names, key=_service_order)
    if other != ordinal:
        yield f"{head}\n{_canonical(request, other)}{resource}"


def canonical_resource(request: StorageRequest) -> str:
    """The account, the path as sent, and each query parameter on a line."""
    lines = [f"/{request.account}{request.raw_path}"]
    lines += [f"{name}:{','.join(sorted(values))}" for name, values in sorted(request.query.items())]
    return "\n".join(lines)


def _canonical(request: StorageRequest, names: Sequence[str]) -> str:
    return "".join(f"{name}:{request.headers[name]}\n" for name in names)


def _service_order(name: str) -> tuple[list[int], str]:
    return [_ORDER.get(char, 0) for char in re.sub("[-']", "", name)], name


# Callers sign many requests within a second.
@lru_cache(maxsize=64)
def _parse_date(text: str) -> datetime:
    """A date header.

    Raises:
        ValueError: it is none.
    """
    date = parsedate_to_datetime(text)
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)


def _check_date(request: StorageRequest, now: datetime) -> None:
    text = request.header("x-ms-date") or request.header("date")
    if not text:
        raise StorageError("AuthenticationFailed", AuthenticationErrorDetail="The request has no date.")
    try:
        near = abs(now - _parse_date(text)) <= SKEW
    except (ValueError, OverflowError):
        raise _failed(f"The date header {text[:100]!r} is not an RFC 1123 date.") from None
    if not near:
        raise _failed(
            f"Request date header too old or too new: '{text}'; the server's clock says "
            f"{now:%a, %d %b %Y %H:%M:%S} GMT, and 15 minutes are allowed."
        )


def _failed(detail: str) -> StorageError:
    return StorageError("AuthenticationFailed", AuthenticationErrorDetail=detail)
