"""Clients that are slow on purpose: headers that never end, bodies that trickle."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# A request's line and headers have to be there within this time after the connection (or the last answer).
HEADER_SECONDS = 15.0
# A request's line and headers that are still not complete at this size are refused.
MAX_HEAD = 64 * 1024
# A body may pause this long altogether, plus what it takes at the slowest rate that is served.
BODY_SECONDS = 30.0
MIN_BYTES_PER_SECOND = 1024


class Patience:
    """An ASGI ``receive`` that gives up on a body that comes too slowly. Only waiting for the client counts."""

    def __init__(self, receive: Receive, seconds: float = BODY_SECONDS) -> None:
        self._receive = receive
        self._seconds = seconds
        self._waited = 0.0
        self._received = 0
        self._complete = False

    async def __call__(self) -> Message:
        """The next part of the body; after its end, whatever comes, however long it takes.

        Raises:
            HTTPException: 408, when patience has run out.
        """
        if self._complete:
            return await self._receive()
        allowed = self._seconds + self._received / MIN_BYTES_PER_SECOND
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            message = await _within(max(0.0, allowed - self._waited), self._receive)
        except (TimeoutError, asyncio.TimeoutError):
            raise HTTPException(408) from None
        self._waited += loop.time() - began
        self._received += len(message.get("body", b""))
        self._complete = message["type"] != "http.request" or not message.get("more_body", False)
        return message


async def _within(seconds: float, receive: Receive) -> Message:
    """What ``receive`` gives, if it does so in time."""
    if sys.version_info >= (3, 11):
        # Without a task for each part, which is what `wait_for` makes before 3.12.
        async with asyncio.timeout(seconds):
            return await receive()
    return await asyncio.wait_for(receive(), seconds)


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with bounds for the time and the size of headers, which it lacks."""

    header_seconds = HEADER_SECONDS
    _deadline: asyncio.TimerHandle | None = None
    # Bytes since the request's beginning while its head is not complete; None otherwise.
    _head: int | None = None

    def connection_made(self, transport: Any) -> None:
        """A client has connected."""
        super().connection_made(transport)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._forget_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Something came."""
        before = self._head
        super().data_received(data)
        if before is None or self._head is None:
            return
        self._head += len(data)
        if self._head > MAX_HEAD and not self.transport.is_closing():
            self.send_400_response("The request's headers are too large.")

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._head = 0

    def on_headers_complete(self) -> None:
        """Its head is there."""
        self._head = None
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """The next request may come on this connection."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self._expect_headers()

    def _expect_headers(self) -> None:
        self._forget_deadline()
        self._deadline = self.loop.call_later(self.header_seconds, self._too_late)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        # `cycle` is the request being answered; without one, headers are what is missing.
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
