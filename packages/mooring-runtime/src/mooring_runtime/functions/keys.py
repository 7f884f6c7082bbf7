"""Keys of a function app: Azure's authorisation levels.

The rules are those of https://learn.microsoft.com/azure/azure-functions/function-keys-how-to: a key comes in the query
as ``code`` or in the header ``x-functions-key``; the master key opens everything.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl

from mooring_runtime.front.exchange import Exchange

MASTER = "_master"
ANONYMOUS, FUNCTION, ADMIN = "anonymous", "function", "admin"
LEVELS = (ANONYMOUS, FUNCTION, ADMIN)


class FunctionKeys:
    """The keys of a function app.

    Args:
        keys: by name; ``_master`` is the master key, the others are host keys, which open all functions.
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = {name: value.encode() for name, value in keys.items() if value}

    def opens(self, exchange: Exchange, level: str) -> bool:
        """Whether the request shows a key for ``level``.

        Every key is compared in full, so that the time taken tells nothing about them.
        """
        if level == ANONYMOUS:
            return True
        shown = _shown(exchange).encode()
        found = [
            hmac.compare_digest(shown, key)
            for name, key in self._keys.items()
            if level == FUNCTION or name == MASTER
        ]
        return bool(shown) and any(found)


def _shown(exchange: Exchange) -> str:
    header = exchange.header("x-functions-key")
    if header:
        return header
    return dict(reversed(parse_qsl(exchange.query))).get("code", "")
