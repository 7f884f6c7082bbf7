"""An HTTP/1.1 client with connections that are kept: as much of one as storage needs."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

MAX_HEAD = 1 << 16
# Servers end connections that idle; one that may be about to be ended is not used again.
KEEP_SECONDS = 20.0
KEPT = 32
_CONTINUE = 100
_WITHOUT_BODY = frozenset((204, 304))


class Unreachable(Exception):
    """No answer came."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """Sends requests to one server.

    Args:
        url: of which scheme, host and port count.
    """

    def __init__(self, url: str) -> None:
        split = urlsplit(url)
        self.host = split.hostname or ""
        self._tls = ssl.create_default_context() if split.scheme == "https" else None
        self.port = split.port or (443 if self._tls else 80)
        self.authority = split.netloc
        self._idle: list[tuple[float, _Connection]] = []

    async def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, seconds: float
    ) -> Answer:
        """Send a request.

        Args:
            method: in capitals.
            target: path and query.
            headers: names in lower case; ``host`` is added.
            body: may be empty.
            seconds: for all of it.

        Raises:
            Unreachable: nobody answers, or something that is no HTTP comes, or it takes too long.
        """
        lines = [f"{method} {target} HTTP/1.1", f"host: {self.authority}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        try:
            return await asyncio.wait_for(self._exchange(method, head + body), seconds)
        except (TimeoutError, asyncio.TimeoutError):
            raise Unreachable(f"{self.authority} did not answer within {seconds:g} s") from None
        except (OSError, EOFError, ValueError) as error:
            raise Unreachable(f"{self.authority}: {error or type(error).__name__}") from error

    def close(self) -> None:
        """End the connections that are kept."""
        for _, connection in self._idle:
            connection.close()
        self._idle.clear()

    async def _exchange(self, method: str, request: bytes) -> Answer:
        while True:
            connection, kept = await self._connection()
            reusable = False
            try:
                answer, reusable = await connection.exchange(method, request)
            except (OSError, EOFError):
                if not kept or connection.heard:
                    raise
                continue  # it was ended while nobody used it
            finally:
                if reusable and len(self._idle) < KEPT:
                    self._idle.append((asyncio.get_running_loop().time(), connection))
                else:
                    connection.close()
            return answer

    async def _connection(self) -> tuple[_Connection, bool]:
        now = asyncio.get_running_loop().time()
        while self._idle:
            since, connection = self._idle.pop()
            if now - since < KEEP_SECONDS:
                return connection, True
            connection.close()
        streams = await asyncio.open_connection(self.host, self.port, ssl=self._tls, limit=MAX_HEAD)
        return _Connection(*streams), False


class _Connection:
    """One connection; ``heard`` tells whether a byte of the present answer has come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.heard = False

    def close(self) -> None:
        self._writer.transport.abort()

    async def exchange(self, method: str, request: bytes) -> tuple[Answer, bool]:
        """The answer, and whether the connection can be used again."""
        self.heard = False
        self._writer.write(request)
        status, headers = await self._head()
        while status == _CONTINUE:
            status, headers = await self._head()
        again = headers.get("connection", "").lower() != "close"
        if method == "HEAD" or status in _WITHOUT_BODY:
            return Answer(status, headers, b""), again
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return Answer(status, headers, await self._chunks()), again
        if "content-length" in headers:
            return Answer(
                status, headers, await self._reader.readexactly(int(headers["content-length"]))
            ), again
        return Answer(status, headers, await self._reader.read()), False

    async def _head(self) -> tuple[int, dict[str, str]]:
        try:
            block = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            self.heard = bool(error.partial)
            raise
        except asyncio.LimitOverrunError as error:
            raise ValueError("the head of its answer is too long") from error
        self.heard = True
        first, *lines = block.decode("latin-1").split("\r\n")[:-2]
        version, _, rest = first.partition(" ")
        if not version.startswith("HTTP/1."):
            raise ValueError(f"its answer is no HTTP: {first[:100]!r}")
        pairs = (line.partition(":") for line in lines)
        return int(rest[:3]), {name.strip().lower(): value.strip() for name, _, value in pairs}

    async def _chunks(self) -> bytes:
        parts: list[bytes] = []
        while True:
            size = int((await self._reader.readuntil(b"\r\n")).partition(b";")[0], 16)
            if not size:
                while await self._reader.readuntil(b"\r\n") != b"\r\n":
                    continue
                return b"".join(parts)
            parts.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
