"""The HTTP engine: llhttp and the event loop of this process; no other thread.

docs/decisions/0012-http-in-the-loop.md says what it was measured against.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from typing import Any

from mooring_runtime.front.exchange import App
from mooring_runtime.front.http_connection import HttpConnection
from mooring_runtime.tls import Certificate

BACKLOG = 1024
MAX_CONNECTIONS = 4096


class HttpEngine:
    """An `Engine`.

    Attributes:
        app: what answers.
        loop: the event loop.
        date: the header ``date``, as a line.
    """

    app: App
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        self.date = ""
        self._connections: set[HttpConnection] = set()
        self._sending: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._stopped: asyncio.Future[None] | None = None

    async def serve(
        self,
        app: App,
        listener: socket.socket,
        listening: Callable[[], None],
        certificate: Certificate | None = None,
    ) -> None:
        """Serves until `stop`; see `Engine.serve`."""
        self.app = app
        self.loop = asyncio.get_running_loop()
        self._stopped = self.loop.create_future()
        # The context stays the same when the certificate in it is renewed: no listener has to give way to another.
        context = certificate.context if certificate is not None else None
        self._server = await self.loop.create_server(
            lambda: HttpConnection(self), sock=listener, backlog=BACKLOG, ssl=context
        )
        self._tick()
        listening()
        await self._stopped

    def stop(self) -> None:
        """Stops listening."""
        if self._server is None or self._stopped is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.closing = True
            if connection.current is None:
                connection.close()
        self._ended()

    def opened(self, connection: HttpConnection) -> bool:
        """Takes a connection in; False if there are too many."""
        self._connections.add(connection)
        return len(self._connections) <= MAX_CONNECTIONS

    def closed(self, connection: HttpConnection) -> None:
        """A connection is no more."""
        self._connections.discard(connection)
        self._ended()

    def spawn(self, sending: Coroutine[Any, Any, None]) -> None:
        """Runs what sends a body in parts."""
        task = self.loop.create_task(sending)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def _ended(self) -> None:
        stopped = self._stopped
        serving = self._server is not None and self._server.is_serving()
        if stopped is not None and not stopped.done() and not serving and not self._connections:
            stopped.set_result(None)

    def _tick(self) -> None:
        """Once a second: the date, and the callers who are too slow."""
        self.date = f"date: {formatdate(usegmt=True)}\r\n"
        now = self.loop.time()
        for connection in list(self._connections):
            connection.overdue(now)
        self.loop.call_later(1.0, self._tick)
