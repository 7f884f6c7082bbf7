"""One caller's connection: HTTP/1.1 as llhttp reads it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote_to_bytes

import httptools

from mooring_runtime.front.exchange import Headers
from mooring_runtime.front.http_request import CallerStalled, HttpRequest

if TYPE_CHECKING:
    from mooring_runtime.front.http_engine import HttpEngine

MAX_HEAD = 1 << 16
HIGH_WATER = 1 << 20
# A caller that takes nothing of a streamed body for so long is given up: it holds a worker.
SEND_SECONDS = 60.0


class HttpConnection(asyncio.Protocol):
    """Reads requests one after the other and hands them to the application.

    Args:
        engine: what it belongs to.

    Attributes:
        lost: the caller has gone.
        closing: no further request is taken.
        since: when what the connection waits for began, by the loop's clock.
        current: the request that is being read or answered.
    """

    def __init__(self, engine: HttpEngine) -> None:
        self._engine = engine
        self._loop = engine.loop
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._target = b""
        self._pairs: Headers = []
        self._head_bytes = 0
        self._reading: HttpRequest | None = None
        self._pending: deque[tuple[HttpRequest, list[bytes]]] = deque()
        self._room: asyncio.Future[None] | None = None
        self._paused = False
        self._half_closed = False
        self.current: HttpRequest | None = None
        self.lost = False
        self.closing = False
        self.since = 0.0
        self.scheme = "http"
        self.client = self.server = ""

    @property
    def date(self) -> str:
        """The header ``date``, as a line."""
        return self._engine.date

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A caller has come."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self.client = peer[0] if peer else ""
        self.server = f"{own[0]}:{own[1]}" if own else ""
        self.since = self._loop.time()
        if not self._engine.opened(self):
            self._refuse(503, "The service has too many connections.")

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self.closing and self._reading is None:
            return
        if self._reading is None:
            if not self._head_bytes:
                self.since = self._loop.time()
            self._head_bytes += len(data)
        else:
            self.since = self._loop.time()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # What follows would be another protocol, which we do not speak; the request itself is HTTP.
            self.closing = True
        except httptools.HttpParserCallbackError as exc:
            self._failed(exc)
            return
        except httptools.HttpParserError as exc:
            self._refuse(400, f"This is not HTTP: {exc}")
            return
        if self._reading is None and self._head_bytes > MAX_HEAD:
            self._refuse(431, f"The request's head may have {MAX_HEAD} bytes.")

    # What the parser finds

    def on_message_begin(self) -> None:
        """A request begins."""
        self._target = b""
        self._pairs = []

    def on_url(self, url: bytes) -> None:
        """A part of its target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        if value.isascii():
            self._pairs.append((name.decode("ascii").lower(), value.decode("ascii")))

    def on_headers_complete(self) -> None:
        """Its head is complete."""
        parser = self._parser
        self._head_bytes = 0
        request = HttpRequest(
            self,
            parser.get_method().decode("ascii"),
            _split(self._target),
            self._pairs,
            version=parser.get_http_version(),
            keep_alive=parser.should_keep_alive() and not parser.should_upgrade(),
        )
        self._reading = request
        if self.current is None:
            self.current = request
            self._engine.app.handle(request)
        else:
            self._pending.append((request, []))
            if not self._paused and self._transport is not None:
                self._paused = True
                self._transport.pause_reading()

    def on_body(self, data: bytes) -> None:
        """A part of its body."""
        request = self._reading
        if request is self.current and request is not None:
            request.feed(data)
        elif self._pending:
            self._pending[-1][1].append(data)

    def on_message_complete(self) -> None:
        """It has been read."""
        request, self._reading = self._reading, None
        if request is self.current and request is not None:
            request.ended()
        elif request is not None:
            request.complete = True

    # For the request

    def write(self, data: bytes) -> None:
        """Sends bytes."""
        if self._transport is not None and not self.lost:
            self._transport.write(data)

    def finished(self, request: HttpRequest) -> None:
        """A request has been answered, or been read to its end after that."""
        if request is not self.current or not request.answered:
            return
        if not request.complete:
            return  # it has been refused early; the rest of it is read and forgotten
        self.current = None
        self.since = self._loop.time()
        if self.closing or not request.keep_alive:
            self.close()
        elif self._pending:
            self._loop.call_soon(self._next)
        elif self._half_closed:
            self.close()

    def _next(self) -> None:
        if self.current is not None or not self._pending or self.lost:
            return
        request, parts = self._pending.popleft()
        self.current = request
        complete, request.complete = request.complete, False
        self._engine.app.handle(request)
        for part in parts:
            request.feed(part)
        if complete:
            request.ended()
        if not self._pending and self._paused and self._transport is not None and not self.lost:
            self._paused = False
            self._transport.resume_reading()

    def spawn(self, sending: Coroutine[Any, Any, None]) -> None:
        """Runs what sends a body in parts."""
        self._engine.spawn(sending)

    async def room(self) -> None:
        """Waits until more may be sent.

        Raises:
            CallerStalled: nothing moved for too long.
        """
        transport = self._transport
        while self._room is not None and transport is not None and not self.lost:
            before = transport.get_write_buffer_size()
            await asyncio.wait((self._room,), timeout=SEND_SECONDS)
            if self._room is not None and transport.get_write_buffer_size() >= before:
                raise CallerStalled

    def pause_writing(self) -> None:
        """The caller is slower than we are."""
        self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        """It has caught up."""
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def cut(self, *, stalled: bool) -> None:
        """Ends the connection so that the caller sees that the answer is not complete."""
        if self._transport is not None:
            if stalled:
                self._transport.abort()
            else:
                self._transport.close()

    def close(self) -> None:
        """Ends the connection when what was written has been sent."""
        self.closing = True
        if self._transport is not None:
            self._transport.close()

    def _failed(self, exc: httptools.HttpParserCallbackError) -> None:
        """Something that the parser called has raised."""
        cause = exc.__context__
        if isinstance(cause, (UnicodeDecodeError, httptools.HttpParserError)):
            self._refuse(400, "The request's URL cannot be decoded.")
            return
        if self._transport is not None:
            self._transport.abort()
        raise exc

    def _refuse(self, status: int, message: str) -> None:
        """Answers what is no request, and ends."""
        if self.lost or self.closing:
            return
        if self.current is not None:
            # Another answer is under way: after it nothing can be said that the caller would not misread.
            self.closing = True
            self.current.keep_alive = False
            return
        self.current = HttpRequest(self, "GET", ("", ""), [], version="1.1", keep_alive=False)
        self.current.complete = True
        self.current.respond(status, [("content-type", "text/plain; charset=utf-8")], message.encode())

    # The caller's end

    def overdue(self, head: float, body: float, idle: float) -> None:
        """Ends the connection if the caller has been silent for too long.

        Args:
            head: the latest beginning of a head that may still be incomplete.
            body: the latest time of the last bytes of a body that may still be incomplete.
            idle: the latest end of the last request.
        """
        if self._reading is not None:
            if self.since < body and self._reading is self.current:
                self._late()
        elif self._head_bytes:
            if self.since < head:
                self._late()
        elif self.current is None and self.since < idle:
            self.close()

    def _late(self) -> None:
        request = self.current
        if request is None:
            self._refuse(408, "The request did not come to its end.")
        elif self._transport is not None:
            self._transport.abort()

    def eof_received(self) -> bool:
        """The caller sends no more; it may still wait for its answer."""
        request = self.current
        self._half_closed = True
        if request is None or not request.complete or self.scheme == "https":
            return False
        request.half_closed()
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The caller has gone."""
        self.lost = True
        self.closing = True
        self._pending.clear()
        self.resume_writing()
        if self.current is not None and self.current.gone is not None:
            gone, self.current.gone = self.current.gone, None
            gone()
        self._engine.closed(self)


def _split(target: bytes) -> tuple[str, str]:
    """Path, decoded, and query of a request's target.

    Raises:
        UnicodeDecodeError: the path is not UTF-8.
        HttpParserError: the target is no URL.
    """
    if not target.startswith(b"/") and target != b"*":
        url = httptools.parse_url(target)
        path, query = url.path or b"/", url.query or b""
    else:
        path, _, query = target.partition(b"#")[0].partition(b"?")
    if b"%" in path:
        path = unquote_to_bytes(path)
    return path.decode(), query.decode()
