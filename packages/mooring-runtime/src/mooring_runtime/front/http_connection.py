"""One caller's connection: HTTP/1.1 as llhttp reads it."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, cast

import httptools

from mooring_runtime.front.exchange import Headers
from mooring_runtime.front.http_head import target_of
from mooring_runtime.front.http_outlet import HttpOutlet
from mooring_runtime.front.http_request import HttpRequest
from mooring_runtime.front.patience import Patience

if TYPE_CHECKING:
    from mooring_runtime.front.http_engine import HttpEngine

MAX_HEAD = 1 << 16


class HttpConnection(asyncio.Protocol):
    """Reads requests one after the other and hands them to the application.

    Args:
        engine: what it belongs to.

    Attributes:
        outlet: what goes out; there is one once there is a caller.
        lost: the caller has gone.
        closing: no further request is taken.
        current: the request that is being read or answered.
    """

    outlet: HttpOutlet

    def __init__(self, engine: HttpEngine) -> None:
        self._engine = engine
        self._loop = engine.loop
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._target = b""
        self._pairs: Headers = []
        # Since a head or a piece of a body was complete.
        self._unread = 0
        self._patience = Patience(self._loop.time())
        self._reading: HttpRequest | None = None
        self._pending: deque[tuple[HttpRequest, list[bytes]]] = deque()
        self._paused = False
        self._half_closed = False
        self.current: HttpRequest | None = None
        self.lost = False
        self.closing = False
        self.scheme = "http"
        self.client = self.server = ""

    @property
    def date(self) -> str:
        """The header ``date``, as a line."""
        return self._engine.date

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A caller has come."""
        self._transport = cast("asyncio.Transport", transport)
        self.outlet = HttpOutlet(self._transport)
        peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self.client = peer[0] if peer else ""
        self.server = f"{own[0]}:{own[1]}" if own else ""
        self.scheme = "http" if transport.get_extra_info("sslcontext") is None else "https"
        if not self._engine.opened(self):
            self._refuse(503, "The service has too many connections.")

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self.closing and self._reading is None:
            return
        if self._reading is not None:
            self._patience.received(self._loop.time(), len(data))
        elif not self._unread:
            self._patience.head(self._loop.time())
        self._unread += len(data)
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
        if self._unread > MAX_HEAD:
            # Of a chunked body it is what stands between and behind the chunks.
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
        """A header; what stands behind a chunked body is none."""
        if self._reading is None and value.isascii():
            self._pairs.append((name.decode("ascii").lower(), value.decode("ascii")))

    def on_headers_complete(self) -> None:
        """Its head is complete."""
        parser = self._parser
        self._unread = 0
        self._patience.body(self._loop.time())
        request = HttpRequest(
            self,
            parser.get_method().decode("ascii"),
            target_of(self._target),
            self._pairs,
            version=parser.get_http_version(),
            keep_alive=parser.should_keep_alive() and not parser.should_upgrade(),
        )
        self._reading = request
        if self.current is None and not self._pending and self.outlet.room is None:
            self.current = request
            self._engine.app.handle(request)
        else:
            self._pending.append((request, []))
            if not self._paused and self._transport is not None:
                self._paused = True
                self._transport.pause_reading()

    def on_body(self, data: bytes) -> None:
        """A part of its body."""
        self._unread = 0
        request = self._reading
        if request is self.current and request is not None:
            request.feed(data)
        elif self._pending:
            self._pending[-1][1].append(data)

    def on_message_complete(self) -> None:
        """It has been read."""
        self._unread = 0
        request, self._reading = self._reading, None
        if request is self.current and request is not None:
            request.ended()
        elif request is not None:
            request.complete = True

    # For the request

    def finished(self, request: HttpRequest) -> None:
        """A request has been answered, or been read to its end after that."""
        if request is not self.current or not request.answered:
            return
        if not request.complete:
            return  # it has been refused early; the rest of it is read and forgotten
        self.current = None
        if self._unread:
            self._patience.head(self._loop.time())
        else:
            self._patience.idle(self._loop.time())
        if self.closing or not request.keep_alive:
            self.close()
        elif self._pending:
            self._loop.call_soon(self._next)
        elif self._half_closed:
            self.close()

    def _next(self) -> None:
        if self.current is not None or not self._pending or self.lost or self.outlet.room is not None:
            return
        request, parts = self._pending.popleft()
        self.current = request
        complete, request.complete = request.complete, False
        self._patience.body(self._loop.time())
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

    def pause_writing(self) -> None:
        """The caller is slower than we are."""
        self.outlet.pause()

    def resume_writing(self) -> None:
        """It has caught up."""
        self.outlet.resume()
        if self._pending:
            self._loop.call_soon(self._next)

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
        broken, self._reading = self._reading, None
        if self.current is not None and self.current is broken and not broken.answered:
            broken.complete = True
            broken.keep_alive = False
            _say(broken, status, message)
            return
        if self.current is not None:
            # Another answer is under way, or given: after it nothing can be said that the caller would not misread.
            self.closing = True
            self.current.keep_alive = False
            if self.current.answered:
                self.close()
            return
        self.current = HttpRequest(self, "GET", ("", ""), [], version="1.1", keep_alive=False)
        self.current.complete = True
        _say(self.current, status, message)

    # The caller's end

    def overdue(self, now: float) -> None:
        """Ends the connection if what the caller must send has not come in time."""
        if self._transport is None:
            return
        if self._half_closed and self.outlet.refused():
            self._transport.abort()
            return
        if now < self._patience.until:
            return
        if self.current is not None and self.current is not self._reading:
            return  # it waits for us
        if self.closing or (self.current is not None and self.current.answered):
            self._transport.abort()
        elif self._reading is not None or self._unread:
            self._refuse(408, "The request did not come to its end in time.")
        else:
            self.close()

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
        self.outlet.close()
        if self.current is not None:
            if self.current.gone is not None:
                gone, self.current.gone = self.current.gone, None
                gone()
            self.current.finish()
        self._engine.closed(self)


def _say(request: HttpRequest, status: int, message: str) -> None:
    request.respond(status, [("content-type", "application/json")], json.dumps({"message": message}).encode())
