"""Slow clients meet a deadline; quick ones, and long waits that are the server's, do not."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from uvicorn import Config, Server

from mooring_server.edges.slow import HttpProtocol, Patience


class Impatient(HttpProtocol):
    header_seconds = 0.3


async def answer(port: int, *parts: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await writer.drain()
    result = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    return result


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def serve(listener: socket.socket, scenario: Any) -> None:
    """Run ``scenario(port)`` beside a server with a short deadline for headers."""
    app = FastAPI()

    @app.get("/slow-server")
    async def slow() -> str:
        await asyncio.sleep(1)  # longer than the deadline for headers
        return "done"

    @app.post("/body")
    async def body(request: Request) -> int:
        patience = Patience(request._receive, seconds=0.3)
        size, more = 0, True
        while more:
            message = await patience()
            size += len(message["body"])
            more = message["more_body"]
        return size

    async def run() -> None:
        server = Server(Config(app, http=Impatient, lifespan="off", log_level="error"))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has a flag, no event
            await asyncio.sleep(0.01)
        try:
            await scenario(listener.getsockname()[1])
        finally:
            server.should_exit = True
            await task

    asyncio.run(run())


def test_headers_have_a_deadline_and_answers_have_none(listener: socket.socket) -> None:
    async def scenario(port: int) -> None:
        whole = b"GET /slow-server HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        nothing, half, after, good = await asyncio.gather(
            answer(port),
            answer(port, b"GET / HTTP/1.1\r\nHost:"),
            answer(port, b"GET /404 HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\nHost:"),
            answer(port, whole),
        )
        assert (nothing, half) == (b"", b"")
        assert after.startswith(b"HTTP/1.1 404")
        assert good.endswith(b'"done"')

    serve(listener, scenario)


def test_headers_without_an_end_are_refused_and_many_are_not(listener: socket.socket) -> None:
    async def scenario(port: int) -> None:
        line = b"X-Padding: %s\r\n" % (b"x" * 1000)
        many = [b"GET /404 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", *[line] * 40, b"\r\n"]
        assert (await answer(port, *many)).startswith(b"HTTP/1.1 404")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):  # it is refused in the middle
            for _ in range(5000):
                writer.write(line)
                await writer.drain()
            assert (await asyncio.wait_for(reader.read(), 30)).startswith(b"HTTP/1.1 400")
        writer.close()

    serve(listener, scenario)


def test_a_body_that_trickles_is_given_up(listener: socket.socket) -> None:
    async def scenario(port: int) -> None:
        head = b"POST /body HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\n"
        assert (await answer(port, head, b"ab")).startswith(b"HTTP/1.1 408")
        assert (await answer(port, head, b"ab", b"cd")).startswith(b"HTTP/1.1 200")

    serve(listener, scenario)


def test_patience_grows_with_what_came_and_waits_for_ever_after_the_body() -> None:
    async def run() -> None:
        parts: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        patience = Patience(parts.get, seconds=0.2)
        await parts.put({"type": "http.request", "body": b"x" * 100_000, "more_body": True})
        await patience()
        asyncio.get_running_loop().call_later(0.5, parts.put_nowait, {"type": "http.request", "body": b"y"})
        assert (await patience())["body"] == b"y"
        # What comes now is the end of the connection, whenever it comes.
        asyncio.get_running_loop().call_later(0.5, parts.put_nowait, {"type": "http.disconnect"})
        assert (await patience())["type"] == "http.disconnect"

        impatient = Patience(parts.get, seconds=0.05)
        with pytest.raises(HTTPException) as caught:
            await impatient()
        assert caught.value.status_code == 408

    asyncio.run(run())
