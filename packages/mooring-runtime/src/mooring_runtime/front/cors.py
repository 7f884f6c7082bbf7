"""Cross-origin requests, as Azure's server (through flask-cors) answers them with ``AML_CORS_ORIGINS``."""

from __future__ import annotations

import re

from mooring_runtime.front.exchange import Exchange, Headers

METHODS = ("GET", "POST")
# What makes an origin a regular expression.
_PATTERN_CHARACTERS = frozenset("*\\]?$^[]()")


class Cors:
    """The origins that may use the service from a browser.

    Args:
        origins: separated by commas; ``*`` for all; regular expressions are allowed.
    """

    def __init__(self, origins: str) -> None:
        named = [".*" if item.strip() == "*" else item.strip() for item in origins.split(",")]
        named = [name for name in named if name]
        self._literal = sorted(name for name in named if _PATTERN_CHARACTERS.isdisjoint(name))
        patterns = [name for name in named if not _PATTERN_CHARACTERS.isdisjoint(name)]
        self._patterns = [re.compile(pattern, re.IGNORECASE) for pattern in patterns]
        self._any = ".*" in patterns
        self._varies = len(named) > 1 or bool(patterns)

    def headers(self, exchange: Exchange) -> Headers:
        """What is added to the answer to this request."""
        origin = exchange.header("origin")
        allowed = self._allowed(origin)
        headers: Headers = [("access-control-allow-origin", each) for each in allowed]
        if not allowed:
            return headers
        if exchange.header("access-control-request-private-network") == "true":
            headers.append(("access-control-allow-private-network", "false"))
        if exchange.method == "OPTIONS" and self.preflight(exchange):
            asked = exchange.header("access-control-request-headers")
            if asked:
                names = ", ".join(sorted(name.strip() for name in asked.split(",")))
                headers.append(("access-control-allow-headers", names))
            headers.append(("access-control-allow-methods", ", ".join(METHODS)))
        if allowed != ["*"] and self._varies:
            headers.append(("vary", "Origin"))
        return headers

    @staticmethod
    def preflight(exchange: Exchange) -> bool:
        """Whether a browser asks if it may send a request that the service takes; it shows no key then."""
        return (exchange.header("access-control-request-method") or "").upper() in METHODS

    def _allowed(self, origin: str | None) -> list[str]:
        if not origin:
            return ["*"] if self._any else self._literal[:1]
        lower = origin.lower()
        if any(lower == name.lower() for name in self._literal):
            return [origin]
        return [origin] if any(pattern.match(origin) for pattern in self._patterns) else []
