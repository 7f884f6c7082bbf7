"""SharedKey: signatures of requests (Azure's REST reference, "Authorize with Shared Key")."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence

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


def authorization(
    account: str,
    key: bytes,
    method: str,
    path: str,
    query: Sequence[tuple[str, str]],
    headers: Mapping[str, str],
) -> str:
    """The ``Authorization`` header.

    Args:
        account: its name.
        key: its key, decoded.
        method: in capitals.
        path: of the URL, as it is sent.
        query: names and values, decoded.
        headers: all others, names in lower case.
    """
    lines = [method]
    lines += [
        "" if (name, headers.get(name)) == ("content-length", "0") else headers.get(name, "")
        for name in _SIGNED
    ]
    lines += [f"{name}:{headers[name]}" for name in sorted(headers) if name.startswith("x-ms-")]
    resource = [f"/{account}{path}", *(f"{name.lower()}:{value}" for name, value in sorted(query))]
    text = "\n".join([*lines, "\n".join(resource)])
    signature = base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()
    return f"SharedKey {account}:{signature}"
