"""What the front needs of an HTTP engine, so that another engine can take its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from mooring_runtime.front.stream import BodyStream

Headers = list[tuple[str, str]]


class BodyTooLarge(Exception):
    """The request's body is longer than the service accepts."""


class BodyTooSlow(Exception):
    """The request's body does not come, or hardly."""


class ClientGone(Exception):
    """The caller went away before its request was complete."""


class Exchange(Protocol):
    """One HTTP request and the means to answer it, once."""

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

    async def body(self, limit: int) -> bytes:
        """The whole body.

        Raises:
            BodyTooLarge: it has more than ``limit`` bytes.
            BodyTooSlow: it takes too long to come.
            ClientGone: it did not come to its end.
        """
        ...

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Answers."""
        ...

    async def respond_stream(self, status: int, headers: Headers, stream: BodyStream) -> None:
        """Answers with a body in parts.

        `BodyStream.drop` is called when the caller goes away. When the body breaks off, the connection is cut, so
        that the caller can tell.
        """
        ...


class App(Protocol):
    """Answers requests."""

    async def handle(self, exchange: Exchange) -> None:
        """Answers one request."""
        ...


class Engine(Protocol):
    """An HTTP server in this process's event loop."""

    async def serve(self, app: App, host: str, port: int, listening: Callable[[], None]) -> None:
        """Serves until `stop`.

        Args:
            app: what answers.
            host: the address to listen on.
            port: bound with SO_REUSEPORT, beside the supervisor's reservation.
            listening: called once connections are accepted.

        Raises:
            OSError: the address cannot be bound.
        """
        ...

    def stop(self) -> None:
        """Stops listening; `serve` returns when the open connections are done."""
        ...
