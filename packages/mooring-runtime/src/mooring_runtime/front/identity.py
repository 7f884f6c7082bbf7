"""Request ids and the headers that carry them, as in Azure's server."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

from mooring_runtime import __version__
from mooring_runtime.front.exchange import Exchange, Headers

LIMIT = 100
SERVER_VERSION = f"mooring/{__version__}"


class IdTooLong(Exception):
    """A caller's id has more than 100 characters."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The ids of one request.

    Attributes:
        request_id: the caller's ``x-ms-request-id``, else its ``x-ms-client-request-id``, else made here.
        headers: for the answer.
    """

    request_id: str
    headers: Headers


def identify(exchange: Exchange) -> Identity:
    """The ids of a request.

    Raises:
        IdTooLong: see there; its text names the header.
    """
    own = str(uuid4())
    given = _given(exchange, "x-ms-request-id")
    client = _given(exchange, "x-ms-client-request-id")
    request_id = given or client or own
    headers = [
        ("x-ms-server-version", SERVER_VERSION),
        ("x-request-id", own),
        ("x-ms-request-id", request_id),
    ]
    if client is not None:
        headers.append(("x-ms-client-request-id", client))
    trace = exchange.header("traceid")
    if trace is not None and trace.isascii() and trace.isprintable():
        headers.append(("traceid", trace))
    return Identity(request_id, headers)


def _given(exchange: Exchange, name: str) -> str | None:
    value = exchange.header(name)
    if value is None or not value.isascii() or not value.isprintable():
        return None
    if len(value) > LIMIT:
        raise IdTooLong(f"The {name} header may have {LIMIT} characters; it has {len(value)}.")
    return value
