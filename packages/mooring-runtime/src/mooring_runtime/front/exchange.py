"""What the front needs of an HTTP engine, so that another engine can take its place."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from mooring_runtime.front.stream import BodyStream
from mooring_runtime.tls import Certificate

if TYPE_CHECKING:
    from mooring_runtime.front.tracing import RequestTrace

Headers = list[tuple[str, str]]


class Exchange(Protocol):
    """One HTTP request and the means to answer it, once.

    Attributes:
        status: of the answer; 0 before it.
        begun: when it came; the application's own.
        trace: of the request, if requests are traced.
        finished: called once with it when it has been answered, or nobody is there any more to be answered.
        gone: called when the caller goes away before it is answered; None if nobody needs to know.
    """

    status: int
    begun: float
    trace: RequestTrace | None
    finished: Callable[[Exchange], None] | None
    gone: Callable[[], None] | None

    @property
    def method(self) -> str:
        """In capitals."""
        ...

    @property
    def path(self) -> str:
        """Without the query."""
        ...

    @property
    def query(self) -> str:
        """Without the question mark."""
        ...

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        ...

    @property
    def host(self) -> str:
        """The host and port the caller asked for."""
        ...

    @property
    def client(self) -> str:
        """The caller's address."""
        ...

    def header(self, name: str) -> str | None:
        """A header's value; ``name`` is in lower case."""
        ...

    def headers(self) -> Sequence[tuple[str, str]]:
        """All headers; names in lower case."""
        ...

    def read(self, limit: int, whole: Callable[[bytes], None], too_large: Callable[[], None]) -> None:
        """Collects the body.

        Nothing is called when the caller goes away before its end.

        Args:
            limit: in bytes.
            whole: gets it.
            too_large: called instead if it has more bytes; the connection is of no further use then.
        """
        ...

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Answers."""
        ...

    def respond_stream(self, status: int, headers: Headers, stream: BodyStream) -> None:
        """Answers with a body in parts.

        `BodyStream.drop` is called when the caller goes away. When the body breaks off, the connection is cut, so
        that the caller can tell.
        """
        ...


class App(Protocol):
    """Answers requests."""

    def handle(self, exchange: Exchange) -> None:
        """Answers one request, now or later."""
        ...


class Engine(Protocol):
    """An HTTP server in this process's event loop."""

    async def serve(
        self,
        app: App,
        listener: socket.socket,
        listening: Callable[[], None],
        certificate: Certificate | None = None,
    ) -> None:
        """Serves until `stop`.

        Args:
            app: what answers.
            listener: a bound socket. It is made to listen, and may do so already.
            certificate: for https; None for http. One that is refreshed is used for new connections.
            listening: called once connections are accepted.

        Raises:
            OSError: nobody can listen at the address.
        """
        ...

    def stop(self) -> None:
        """Stops listening; `serve` returns when the open connections are done."""
        ...
