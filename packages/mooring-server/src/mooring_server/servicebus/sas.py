"""Shared access signatures (learn.microsoft.com, "Service Bus access control with Shared Access Signatures")."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from urllib.parse import unquote, unquote_plus

from mooring_server.servicebus.entities import Entities, Namespace, Rule

_PREFIX = "SharedAccessSignature "
_FIELDS = {"sr", "sig", "se", "skn"}


@dataclass(frozen=True)
class Grant:
    """What a token gives.

    Attributes:
        namespace: whose rule it is signed by.
        scope: the path it is for, in lower case; empty for the whole namespace.
        queue: the key of the queue that the rule is for; empty for all.
        rights: `domain.servicebus.RIGHTS`.
        expires: seconds since 1970.
        token: itself, to be looked at again when keys change.
    """

    namespace: str
    scope: str
    queue: str
    rights: tuple[str, ...]
    expires: float
    token: str

    def allows(self, path: str, right: str, now: float) -> bool:
        """Whether it gives this right for a queue's or sub-queue's path."""
        covered = not self.scope or f"{path}/".startswith(f"{self.scope}/")
        mine = self.queue in {"", path.partition("/")[0]}
        return right in self.rights and mine and covered and now < self.expires


class BadToken(Exception):
    """The token is none, is over, or is signed by no key that we know; the text says which."""


def verify(token: str, entities: Entities, now: float) -> Grant:
    """What a token gives. All namespaces have one address: the key that signed it tells which is meant.

    Raises:
        BadToken
    """
    fields = _parse(token)
    try:
        expires = float(int(fields["se"]))
        signature = base64.b64decode(unquote(fields["sig"]), validate=True)
    except ValueError as error:
        raise BadToken("InvalidSignature: the token's fields cannot be read.") from error
    signed = f"{fields['sr']}\n{fields['se']}".encode("utf-8", "surrogatepass")
    found: tuple[Namespace, Rule] | None = None
    # Every key of that name is tried, in constant time each, whichever matches.
    for namespace in entities.namespaces:
        for rule in namespace.rules:
            if rule.name.lower() != unquote_plus(fields["skn"]).lower():
                continue
            for key in rule.keys:
                expected = hmac.new(key.encode(), signed, hashlib.sha256).digest()
                if hmac.compare_digest(expected, signature):
                    found = namespace, rule
    if found is None:
        raise BadToken("InvalidSignature: The token has an invalid signature.")
    if expires <= now:
        raise BadToken("ExpiredToken: The token is expired.")
    namespace, rule = found
    return Grant(namespace.name, path_of(unquote(fields["sr"])), rule.queue, rule.rights, expires, token)


def path_of(address: str) -> str:
    """The path of ``sb://host/path``, ``amqps://host:port/path`` or a bare path, in lower case."""
    _, scheme, rest = address.partition("://")
    path = rest.partition("/")[2] if scheme else address
    return path.strip("/").lower()


def sign(address: str, rule: str, key: str, expires: int) -> str:
    """A token, as clients make it."""
    from urllib.parse import quote

    resource = quote(address, safe="")
    digest = hmac.new(key.encode(), f"{resource}\n{expires}".encode(), hashlib.sha256).digest()
    return f"{_PREFIX}sr={resource}&sig={quote(base64.b64encode(digest), safe='')}&se={expires}&skn={quote(rule)}"


def _parse(token: str) -> dict[str, str]:
    parts = [part.partition("=") for part in token.removeprefix(_PREFIX).split("&")]
    fields = {name: value for name, _, value in parts}
    if not token.startswith(_PREFIX) or set(fields) != _FIELDS or len(parts) != len(_FIELDS):
        raise BadToken("MalformedToken: a shared access signature has the fields sr, sig, se and skn.")
    return fields
