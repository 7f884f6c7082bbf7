"""One HTTP request and its answer: an `Exchange`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING

from mooring_runtime.front.exchange import Exchange, Headers
from mooring_runtime.front.http_head import header_lines, status_line
from mooring_runtime.front.http_outlet import CallerStalled
from mooring_runtime.front.outlet import SLICE
from mooring_runtime.front.stream import BodyStream, StreamBroken

if TYPE_CHECKING:
    from mooring_runtime.front.http_connection import HttpConnection
    from mooring_runtime.front.tracing import RequestTrace

# A body that is too long is still read up to here: a caller that is busy sending does not see the answer.
DISCARD = 16 << 20
# Longer bodies are not copied behind their head.
JOINED = 1 << 16
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
WITHOUT_BODY = frozenset((204, 304))


class HttpRequest:
    """An `Exchange` on an `HttpConnection`.

    Args:
        connection: where it came.
        method: in capitals.
        target: path and query as they came.
        headers: names in lower case; those whose values are not ASCII are left out.
        version: of HTTP, ``1.1`` or ``1.0``.
        keep_alive: whether the caller wants to go on with the connection.

    Attributes:
        complete: the whole of it has been read.
        answered: the whole answer has been written.
        streaming: the answer is sent in parts.
        keep_alive: whether the connection can be used again afterwards.
        gone: called once when the caller goes away before it is answered.
        status, begun, trace, finished: see `Exchange`.
    """

    __slots__ = (
        "_body",
        "_connection",
        "_index",
        "_joined",
        "_limit",
        "_pairs",
        "_size",
        "_too_large",
        "_version",
        "_whole",
        "answered",
        "begun",
        "complete",
        "finished",
        "gone",
        "keep_alive",
        "method",
        "path",
        "query",
        "status",
        "streaming",
        "trace",
    )

    def __init__(
        self,
        connection: HttpConnection,
        method: str,
        target: tuple[str, str],
        headers: Headers,
        *,
        version: str,
        keep_alive: bool,
    ) -> None:
        self._connection = connection
        self.method = method
        self.path, self.query = target
        self._pairs = headers
        # The first of several counts.
        self._index = dict(reversed(headers))
        self._version = version
        self.keep_alive = keep_alive
        self.complete = False
        self.answered = False
        self.streaming = False
        self.gone: Callable[[], None] | None = None
        self.status = 0
        self.begun = 0.0
        self.trace: RequestTrace | None = None
        self.finished: Callable[[Exchange], None] | None = None
        self._body = b""
        self._joined: BytesIO | None = None
        self._size = 0
        self._limit = 0
        self._whole: Callable[[bytes], None] | None = None
        self._too_large: Callable[[], None] | None = None

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return self._connection.scheme

    @property
    def host(self) -> str:
        """The host and port the caller asked for."""
        return self._index.get("host") or self._connection.server

    @property
    def client(self) -> str:
        """The caller's address."""
        return self._connection.client

    def header(self, name: str) -> str | None:
        """A header's value."""
        return self._index.get(name)

    def headers(self) -> Headers:
        """All headers."""
        return self._pairs

    # The request's body

    def read(self, limit: int, whole: Callable[[bytes], None], too_large: Callable[[], None]) -> None:
        """Collects the body; see `Exchange.read`."""
        length = self._index.get("content-length", "")
        if length and int(length) > max(limit, DISCARD):
            self.keep_alive = False
            too_large()
            return
        self._limit = limit
        self._whole = whole
        self._too_large = too_large
        if not self.complete and self._index.get("expect", "").lower() == "100-continue":
            self._connection.outlet.write(CONTINUE)

    def feed(self, data: bytes) -> None:
        """A part of the body has come."""
        self._size += len(data)
        if self._whole is not None and self._size <= self._limit:
            if self._size == len(data):
                self._body = data
                return
            if self._joined is None:
                # Grows in place and gives its bytes away without a copy.
                self._joined = BytesIO()
                self._joined.write(self._body)
                self._body = b""
            self._joined.write(data)
            return
        self._body = b""
        self._joined = None
        if self._size > max(self._limit, DISCARD):
            self.keep_alive = False
            if self.answered:
                self._connection.close()
            elif self._too_large is not None:
                self._too_large()

    def ended(self) -> None:
        """The body has come to its end."""
        self.complete = True
        if self.answered:
            self._connection.finished(self)
        elif self._whole is not None and self._too_large is not None:
            if self._size > self._limit:
                self.keep_alive = False
                self._too_large()
            else:
                self._whole(self._body if self._joined is None else self._joined.getvalue())
        self._whole = self._too_large = None
        self._body = b""
        self._joined = None

    def half_closed(self) -> None:
        """The caller sends no more; it has gone, or waits for its answer."""
        self.keep_alive = False
        if self.gone is None:
            return
        if self.streaming:
            # What it has got must not look whole.
            self._connection.outlet.cut(reset=True)
        elif self._version == "1.1":
            # One that has gone answers this with a reset, and its request need not be run.
            self._connection.outlet.write(CONTINUE)

    # The answer

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Answers."""
        if self._connection.lost or self.answered:
            return
        self.status = status
        if not self.complete and self._whole is None and "expect" in self._index:
            self.keep_alive = False  # nobody can tell whether the body will come now
        head = self._head(status, headers)
        if status in WITHOUT_BODY:
            body = b""
        else:
            head += f"content-length: {len(body)}\r\n"
            if self.method == "HEAD":
                body = b""
        text = (head + "\r\n").encode("ascii")
        if len(body) <= JOINED:
            self._connection.outlet.write(text + body)
        elif len(body) <= SLICE or not self.complete:
            self._connection.outlet.write(text)
            self._connection.outlet.write(body)
        else:
            self._connection.outlet.write(text)
            self.gone = None
            self._connection.spawn(self._send_long(body))
            return
        self._done()

    def respond_stream(self, status: int, headers: Headers, stream: BodyStream) -> None:
        """Answers with a body in parts; see `Exchange.respond_stream`."""
        if self._connection.lost or self.answered:
            stream.drop()
            return
        self.status = status
        self.gone = stream.drop
        self.streaming = True
        self._connection.spawn(self._send(status, headers, stream))

    async def _send(self, status: int, headers: Headers, stream: BodyStream) -> None:
        connection = self._connection
        outlet = connection.outlet
        sized = any(name == "content-length" for name, _ in headers)
        chunked = not sized and self._version == "1.1"
        if not chunked:
            self.keep_alive = False  # the end of the connection is the end of the body
        framing = "transfer-encoding: chunked\r\n" if chunked else ""
        outlet.write((self._head(status, headers) + framing + "\r\n").encode("ascii"))
        silent = self.method == "HEAD" or status in WITHOUT_BODY
        try:
            while (part := await stream.next()) is not None:
                if silent:
                    continue
                await outlet.pour(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
        except (StreamBroken, CallerStalled) as exc:
            self._break_off(exc, reset=isinstance(exc, CallerStalled) or not (chunked or sized))
            return
        finally:
            stream.drop()
        if not connection.lost:
            if chunked and not silent:
                outlet.write(b"0\r\n\r\n")
            self._done()

    async def _send_long(self, body: bytes) -> None:
        try:
            await self._connection.outlet.pour(body)
        except CallerStalled as exc:
            self._break_off(exc, reset=True)
            return
        if not self._connection.lost:
            self._done()

    def _break_off(self, exc: Exception, *, reset: bool) -> None:
        sys.stderr.write(f"an answer broke off: {exc or 'the caller took nothing for too long'}\n")
        self._connection.outlet.cut(reset=reset)
        self.finish()

    def _head(self, status: int, headers: Headers) -> str:
        """Status line and headers, without the empty line."""
        block = header_lines(headers)
        if self._connection.closing:
            self.keep_alive = False
        if not self.keep_alive:
            block += "connection: close\r\n"
        elif self._version == "1.0":
            block += "connection: keep-alive\r\n"
        line = status_line(status)
        if "date: " in block and any(name == "date" for name, _ in headers):
            return line + block
        return line + self._connection.date + block

    def _done(self) -> None:
        self.answered = True
        self.gone = None
        self.finish()
        self._connection.finished(self)

    def finish(self) -> None:
        """Nothing more is to be done for it."""
        finished, self.finished = self.finished, None
        if finished is not None:
            finished(self)
