"""Key authentication."""

from __future__ import annotations

import hmac
from collections.abc import Iterable


class Keys:
    """The keys a caller may show; none means that no key is asked for."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._keys = [key.encode() for key in keys]

    @property
    def any(self) -> bool:
        """Whether a key is asked for."""
        return bool(self._keys)

    def refusal(self, authorization: str | None) -> str | None:
        """Why a caller with this ``Authorization`` header is not let in; None if it is.

        Every key is compared in full, so that the time taken tells nothing about them.
        """
        if not self._keys:
            return None
        if authorization is None:
            return "This service needs a key: send the header 'Authorization: Bearer <key>'."
        scheme, _, shown = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return f"Expected 'Authorization: Bearer <key>', got the scheme '{scheme[:20]}'."
        found = [hmac.compare_digest(shown.strip().encode(), key) for key in self._keys]
        return None if any(found) else "The key in the Authorization header is not one of this service's."
