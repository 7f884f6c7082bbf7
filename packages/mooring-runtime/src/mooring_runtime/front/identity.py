"""Request ids and the headers that carry them, as in Azure's server."""

from __future__ import annotations

from dataclasses import dataclass
from random import getrandbits

from mooring_runtime import __version__
from mooring_runtime.front.exchange import Exchange, Headers

LIMIT = 100
# RFC 9562: version 4 in the 13th digit, the variant in the 17th.
_VERSION_BITS = 0x4000_8000_0000_0000_0000
_RANDOM_BITS = (1 << 128) - 1 ^ (0xF000_C000_0000_0000_0000)
SERVER_VERSION = f"mooring/{__version__}"


class IdTooLong(Exception):
    """A caller's id has more than 100 characters.

    Attributes:
        headers: for the answer.
    """

    def __init__(self, message: str, headers: Headers) -> None:
        super().__init__(message)
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Identity:
    """The ids of one request.

    Attributes:
        request_id: the caller's ``x-ms-request-id``, else its ``x-ms-client-request-id``, else its
            ``x-request-id``, else made here.
        headers: for the answer.
    """

    request_id: str
    headers: Headers


def identify(exchange: Exchange) -> Identity:
    """The ids of a request.

    ``x-ms-request-id`` is the older name of ``x-ms-client-request-id``: given alone it is answered as both.

    Raises:
        IdTooLong: see there; its text names the header.
    """
    headers: Headers = []
    trace = _given(exchange, "traceid")
    if trace is not None:
        headers.append(("traceid", trace))
    own = _given(exchange, "x-request-id")
    if own is None:
        own = new_id()
    elif len(own) > LIMIT:
        raise IdTooLong(f"x-request-id must not exceed {LIMIT} characters", headers)
    if own:
        headers.append(("x-request-id", own))
    given = _given(exchange, "x-ms-request-id")
    client = _given(exchange, "x-ms-client-request-id") or given
    request_id = given or client or own
    if len(request_id) > LIMIT or (client and len(client) > LIMIT):
        raise IdTooLong(
            f"x-ms-request-id and x-ms-client-request-id must not exceed {LIMIT} characters", headers
        )
    if request_id:
        headers.append(("x-ms-request-id", request_id))
    if client:
        headers.append(("x-ms-client-request-id", client))
    return Identity(request_id, headers)


def new_id() -> str:
    """A random UUID (version 4) as text; a third of the time that `uuid.uuid4` takes, and no secret."""
    text = f"{getrandbits(128) & _RANDOM_BITS | _VERSION_BITS:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _given(exchange: Exchange, name: str) -> str | None:
    value = exchange.header(name)
    return value if value is not None and value.isascii() and value.isprintable() else None
