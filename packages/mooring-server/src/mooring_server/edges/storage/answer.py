"""Answers of the storage services."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import formatdate
from functools import lru_cache
from xml.sax.saxutils import escape

from starlette.types import Receive, Send

from mooring_server.domain.storage.errors import StorageError
from mooring_server.domain.storage.request import StorageRequest

Headers = list[tuple[str, str]]
# What clients that name no version get; nothing depends on it but the header.
_VERSION = "2021-12-02"


@dataclass
class Answer:
    """Status, headers and body, which is bytes or comes in pieces (then ``Content-Length`` is among the headers)."""

    status: int = 200
    headers: Headers = field(default_factory=list)
    body: bytes | AsyncGenerator[bytes, None] = b""
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))


def xml(body: str, status: int = 200) -> Answer:
    """An XML document."""
    text = f'<?xml version="1.0" encoding="utf-8"?>{body}'
    return Answer(status, [("content-type", "application/xml")], text.encode("utf-8"))


def refusal(error: StorageError) -> Answer:
    """An error as Azure words it."""
    details = "".join(f"<{name}>{clean(text)}</{name}>" for name, text in error.details.items())
    stamp = datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
    answer = xml("", error.status)
    message = f"{clean(error.message)}\nRequestId:{answer.request_id}\nTime:{stamp}"
    document = f"<Error><Code>{error.code}</Code><Message>{message}</Message>{details}</Error>"
    answer.body = f'<?xml version="1.0" encoding="utf-8"?>{document}'.encode("utf-8", "replace")
    answer.headers.append(("x-ms-error-code", error.code))
    if error.status == 304:
        answer.body, answer.headers = b"", [("x-ms-error-code", error.code)]
    if error.status == 401:
        answer.headers.append(("www-authenticate", 'SharedKey realm="storage account"'))
    return answer


def clean(text: str) -> str:
    """Text for an XML element, without the characters that XML cannot have."""
    return escape(
        "".join(c if c >= " " or c in "\t\n\r" else "?" for c in text if not 0xD800 <= ord(c) < 0xE000)
    )


def http_date(at: float) -> str:
    """RFC 1123."""
    return _http_date(int(at))


@lru_cache(maxsize=1024)
def _http_date(at: int) -> str:
    return formatdate(at, usegmt=True)


def iso_date(at: float) -> str:
    """ISO 8601 in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


async def send_answer(answer: Answer, request: StorageRequest, receive: Receive, send: Send) -> None:
    """Send an answer, with the headers that all have."""
    body = answer.body
    names = {name for name, _ in answer.headers}
    headers = [
        *answer.headers,
        ("server", f"Mooring-{request.service.title()}"),
        ("x-ms-request-id", answer.request_id),
        ("x-ms-version", _token(request.header("x-ms-version"), _VERSION)),
    ]
    client = request.header("x-ms-client-request-id")
    if client is not None and (echo := _token(client, "")):
        headers.append(("x-ms-client-request-id", echo))
    if isinstance(body, bytes) and "content-length" not in names and answer.status not in {204, 304}:
        headers.append(("content-length", str(len(body))))
    raw = [(name.encode("latin-1"), value.encode("utf-8")) for name, value in headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    if isinstance(body, bytes):
        body = b"" if request.method == "HEAD" else body
        await send({"type": "http.response.body", "body": body})
        return
    gone = asyncio.ensure_future(_disconnect(receive))
    try:
        async with aclosing(body):
            async for piece in body:
                if gone.done():
                    return  # nobody reads the rest
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _token(given: str | None, default: str) -> str:
    """A header of the request, for one of the answer."""
    return given if given and len(given) <= 1024 and given.isascii() and given.isprintable() else default
