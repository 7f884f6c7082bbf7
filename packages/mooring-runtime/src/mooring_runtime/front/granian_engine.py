"""The HTTP engine: granian's embedded server and its RSGI interface.

On Linux granian binds its own socket with SO_REUSEPORT (``granian.server.common._init_shared_socket``),
which is what lets the supervisor keep the port reserved while a front is down.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Any

from granian._granian import RSGIProtocolClosed, RSGIProtocolError
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server

from mooring_runtime.front.connection import CallerStalled, Connection
from mooring_runtime.front.exchange import App, BodyTooLarge, ClientGone, Headers
from mooring_runtime.front.patience import Patience, Wait
from mooring_runtime.front.stream import BodyStream, StreamBroken

BACKLOG = 1024
MAX_CONNECTIONS = 4096
# A body that is too long is still read up to here: a caller that is busy sending does not see the answer.
DISCARD = 16 << 20
PROBE_SECONDS = 0.005
# A longer body is taken in pieces, so that one that comes slowly but steadily can be told from one that stalls.
WHOLE = 1 << 20
# For a request's head, and for a body of which nothing comes.
HEAD_SECONDS = 30.0
BODY_SECONDS = 60.0
# A caller that takes nothing of a streamed body for so long is given up: it holds a worker.
SEND_SECONDS = 60.0


class GranianExchange:
    """An `Exchange` over an RSGI scope and protocol."""

    __slots__ = ("_headers", "_patience", "_proto", "_scope", "method", "path")

    def __init__(self, scope: Any, proto: Any, patience: Patience) -> None:
        self._scope = scope
        self._patience = patience
        self._proto = proto
        self._headers = scope.headers
        self.method: str = scope.method
        self.path: str = scope.path

    @property
    def query(self) -> str:
        """Without the question mark."""
        return str(self._scope.query_string)

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return str(self._scope.scheme)

    @property
    def host(self) -> str:
        """The host and port the caller asked for."""
        return str(self._scope.authority or self._headers.get("host") or self._scope.server)

    @property
    def client(self) -> str:
        """The caller's address."""
        return str(self._scope.client).rpartition(":")[0].strip("[]")

    def header(self, name: str) -> str | None:
        """A header's value."""
        value: str | None = self._headers.get(name)
        return value

    def headers(self) -> Sequence[tuple[str, str]]:
        """All headers."""
        items: list[tuple[str, str]] = self._headers.items()
        return items

    async def body(self, limit: int) -> bytes:
        """The whole body; see `Exchange.body`."""
        length = self._headers.get("content-length")
        if length is not None and int(length) > max(limit, DISCARD):
            raise BodyTooLarge
        try:
            if length is None or int(length) > WHOLE:
                return await self._pieces(limit)
            with Wait(self._patience):
                body: bytes = await self._proto()
            if len(body) > limit:
                raise BodyTooLarge
        except (RSGIProtocolClosed, RSGIProtocolError) as exc:
            raise ClientGone from exc
        return body

    async def _pieces(self, limit: int) -> bytes:
        chunks: list[bytes] = []
        size = 0
        with Wait(self._patience) as wait:
            async for chunk in self._proto:
                size += len(chunk)
                wait.received(len(chunk))
                if size > max(limit, DISCARD):
                    break
                if size <= limit:
                    chunks.append(chunk)
        if size > limit:
            raise BodyTooLarge
        return b"".join(chunks)

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Answers."""
        self._proto.response_bytes(status, headers, body)

    async def respond_stream(self, status: int, headers: Headers, stream: BodyStream) -> None:
        """Answers with a body in parts; see `Exchange.respond_stream`."""
        connection = Connection(str(self._scope.client))
        transport = self._proto.response_stream(status, headers)
        gone = asyncio.ensure_future(self._proto.client_disconnect())
        gone.add_done_callback(lambda _: stream.drop())
        try:
            while (part := await stream.next()) is not None:
                await connection.room(len(part), SEND_SECONDS)
                await transport.send_bytes(part)
        except (RSGIProtocolClosed, RSGIProtocolError):
            return  # the caller has gone
        except (StreamBroken, CallerStalled) as exc:
            sys.stderr.write(
                f"a streamed answer broke off: {exc or 'the caller took nothing for too long'}\n"
            )
            await connection.cut()
        finally:
            stream.drop()
            gone.cancel()
            connection.close()


class GranianEngine:
    """An `Engine`.

    Args:
        head_seconds: how long a caller may take to send a request's head, or to begin with one.
        body_seconds: how long it may send nothing of a body.
    """

    def __init__(self, head_seconds: float = HEAD_SECONDS, body_seconds: float = BODY_SECONDS) -> None:
        self._server: Server | None = None
        self._head_seconds = head_seconds
        self._patience = Patience(body_seconds)

    async def serve(self, app: App, host: str, port: int, listening: Callable[[], None]) -> None:
        """Serves until `stop`; see `Engine.serve`."""

        async def target(scope: Any, proto: Any) -> None:
            await app.handle(GranianExchange(scope, proto, self._patience))

        self._server = Server(
            target,
            address=host,
            port=port,
            interface=Interfaces.RSGI,
            http=HTTPModes.http1,
            websockets=False,
            backlog=BACKLOG,
            backpressure=MAX_CONNECTIONS,
            log_level=LogLevels.error,
            http1_settings=HTTP1Settings(header_read_timeout=int(self._head_seconds * 1000)),
        )
        probe = asyncio.create_task(_until_listening(host, port, listening))
        try:
            await self._server.serve()
        finally:
            probe.cancel()

    def stop(self) -> None:
        """Stops listening."""
        if self._server is not None:
            self._server.stop()  # type: ignore[no-untyped-call]


async def _until_listening(host: str, port: int, listening: Callable[[], None]) -> None:
    """Granian binds in a thread of its own and does not say when; the first connection made does."""
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    while True:
        try:
            _, writer = await asyncio.open_connection(address, port)
        except OSError:
            await asyncio.sleep(PROBE_SECONDS)
            continue
        writer.close()
        listening()
        return
