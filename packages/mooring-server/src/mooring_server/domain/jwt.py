"""JSON Web Tokens signed with a secret (RFC 7519, HS256): what sign-ins hand out."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any

_HEADER = {"alg": "HS256", "typ": "JWT"}


def encode(claims: dict[str, Any], key: bytes) -> str:
    """The signed token."""
    signed = f"{_part(json.dumps(_HEADER).encode())}.{_part(json.dumps(claims).encode())}"
    return f"{signed}.{_part(_signature(signed, key))}"


def decode(token: str, key: bytes, now: float) -> dict[str, Any] | None:
    """The claims of a token that this key signed and that is not over; else None. Whom it is for is not looked at.

    The algorithm is ours, whatever the token's header says.
    """
    signed, _, signature = token.rpartition(".")
    head, _, body = signed.partition(".")
    if not head or not body or not token.isascii():
        return None
    try:
        given = _bytes(signature)
        if not hmac.compare_digest(given, _signature(signed, key)):
            return None
        claims = json.loads(_bytes(body))
    except (binascii.Error, ValueError):
        return None
    return claims if isinstance(claims, dict) and claims.get("exp", 0) > now else None


def _signature(signed: str, key: bytes) -> bytes:
    return hmac.new(key, signed.encode(), hashlib.sha256).digest()


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
