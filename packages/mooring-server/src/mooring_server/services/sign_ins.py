"""Sign-ins as an identity provider of Azure's gives them: a token of ours is the secret, short-lived ones come back.

What is handed out names the token by its id, so that revoking that ends all of them.
"""

from __future__ import annotations

import secrets
import string
import threading
import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from mooring_server.domain import jwt
from mooring_server.domain.access import Principal
from mooring_server.domain.errors import Denied
from mooring_server.services.tokens import Tokens

ACCESS_SECONDS = 3600
REFRESH_SECONDS = 14 * 86400
# So long somebody may take to open the page and enter the code.
CODE_SECONDS = 900
# How often a client that waits for that may ask.
POLL_SECONDS = 2
_ACCESS, _REFRESH, _REGISTRY = "mooring", "mooring:refresh", "mooring:registry:"
_CODES_KEPT = 1000
# The user under which a registry's clients show a token instead of a password, by Azure's convention.
TOKEN_USER = "00000000-0000-0000-0000-000000000000"  # noqa: S105 - a user, no secret
# No vowels, so that no words appear (RFC 8628, section 6.1).
_LETTERS = "".join(sorted(set(string.ascii_uppercase) - set("AEIOU")))


@dataclass
class _Device:
    code: str
    until: float
    token: str | None = None


class SignIns:
    """The use cases. Device codes live in memory: a restart asks people to begin anew."""

    def __init__(self, tokens: Tokens, key: bytes) -> None:
        self._tokens = tokens
        self._key = key
        self._lock = threading.Lock()
        self._devices: OrderedDict[str, _Device] = OrderedDict()
        # One of its own for a server, the same as long as it keeps its secret.
        self.tenant = str(uuid.uuid5(uuid.NAMESPACE_OID, key.hex()))

    def by_secret(self, identity: str, secret: str) -> Principal:
        """Whoever shows a token and its id or name.

        Raises:
            Denied: ``AADSTS7000215`` for a wrong token, ``AADSTS700016`` for a token of another name: Azure's codes.
        """
        principal = self._tokens.authenticate(secret)
        if principal is None:
            raise Denied(
                "AADSTS7000215",
                f"Invalid client secret: what was given for {identity!r} is no token of this server, or one that is "
                "good no more.",
                hint="`mooring az-setup` makes one and signs in with it; `mooring token create` makes others.",
                target=identity,
            )
        if identity.lower() not in {principal.id, principal.name.lower()}:
            raise Denied(
                "AADSTS700016",
                f"Application {identity!r} was not found: the token that was given has another name.",
                hint="The user is the id or the name of the token: `mooring token list` shows them.",
                target=identity,
            )
        return principal

    def access_token(self, principal: Principal, issuer: str) -> str:
        """What calls of Azure's APIs show, for `ACCESS_SECONDS`."""
        return self._issue(principal, issuer, _ACCESS, ACCESS_SECONDS)

    def refresh_token(self, principal: Principal, issuer: str) -> str:
        """What a client shows when its access token is over."""
        return self._issue(principal, issuer, _REFRESH, REFRESH_SECONDS)

    def authenticate(self, token: str) -> Principal | None:
        """Who shows this access token, or None."""
        return self._verified(token, _ACCESS)

    def refreshed(self, token: str) -> Principal:
        """Who shows this refresh token.

        Raises:
            Denied: ``AADSTS700082``.
        """
        principal = self._verified(token, _REFRESH)
        if principal is None:
            raise Denied(
                "AADSTS700082",
                "The refresh token has expired, or its token was revoked.",
                hint="Sign in again.",
            )
        return principal

    def begin_device(self) -> tuple[str, str]:
        """A secret for the client that waits, and a code for its user to enter elsewhere."""
        secret = secrets.token_urlsafe(32)
        code = "".join(secrets.choice(_LETTERS) for _ in range(8))
        with self._lock:
            self._devices[secret] = _Device(code, time.monotonic() + CODE_SECONDS)
            while len(self._devices) > _CODES_KEPT:
                self._devices.popitem(last=False)
        return secret, code

    def approve_device(self, code: str, token: str) -> Principal:
        """Let the client that waits under this code in, as this token.

        Raises:
            Denied: ``AADSTS7000215``: the token; ``AADSTS70020``: the code.
        """
        principal = self._tokens.authenticate(token)
        if principal is None:
            raise Denied("AADSTS7000215", "This is no token of this server, or one that is good no more.")
        with self._lock:
            for device in self._devices.values():
                if device.code == code.strip().upper() and device.until > time.monotonic():
                    device.token = principal.id
                    return principal
        raise Denied("AADSTS70020", "This code is unknown, or too old.", hint="Begin the sign-in anew.")

    def device_principal(self, secret: str) -> Principal | None:
        """Who was let in under a secret; None while nobody was yet.

        Raises:
            Denied: ``AADSTS70020``.
        """
        with self._lock:
            device = self._devices.get(secret)
            if device is None or device.until <= time.monotonic():
                self._devices.pop(secret, None)
                raise Denied("AADSTS70020", "The device code has expired.", hint="Begin the sign-in anew.")
            if device.token is None:
                return None
            del self._devices[secret]
        principal = self._tokens.current(device.token)
        if principal is None:
            raise Denied("AADSTS70020", "The token was revoked meanwhile.", hint="Begin the sign-in anew.")
        return principal

    def registry_token(self, principal: Principal, issuer: str, registry: str, **more: Any) -> str:
        """For one registry."""
        return self._issue(principal, issuer, _REGISTRY + registry, ACCESS_SECONDS, **more)

    def registry_principal(self, token: str) -> tuple[str, Principal] | None:
        """For which registry a token is, and who shows it; None for one that is not good."""
        claims = jwt.decode(token, self._key, time.time())
        if claims is None or not str(claims["aud"]).startswith(_REGISTRY):
            return None
        principal = self._tokens.current(str(claims["sub"]))
        return None if principal is None else (str(claims["aud"]).removeprefix(_REGISTRY), principal)

    def identity_token(self, principal: Principal, issuer: str, client: str) -> str:
        """What tells a client who signed in (OpenID Connect)."""
        return self._issue(principal, issuer, client, ACCESS_SECONDS, upn=principal.name)

    def _issue(self, principal: Principal, issuer: str, audience: str, seconds: float, **more: Any) -> str:
        began = int(time.time())
        claims = {
            "aud": audience,
            "iss": issuer,
            "iat": began,
            "nbf": began,
            "exp": began + int(seconds),
            "sub": principal.id,
            "oid": principal.id,
            "appid": principal.id,
            "unique_name": principal.name,
            "tid": self.tenant,
            **more,
        }
        return jwt.encode(claims, self._key)

    def _verified(self, token: str, audience: str) -> Principal | None:
        claims = jwt.decode(token, self._key, time.time())
        if claims is None or claims["aud"] != audience:
            return None
        return self._tokens.current(str(claims["sub"]))
