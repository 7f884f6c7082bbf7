"""The HTTP engine and callers that are slow, stop in the middle, or close one half of their connection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from mooring_runtime.front.exchange import BodyTooLarge, BodyTooSlow, ClientGone, Exchange
from mooring_runtime.front.granian_engine import DISCARD, WHOLE, GranianEngine
from mooring_runtime.front.patience import BYTES_PER_SECOND, Patience, Wait

LIMIT = 4 << 20
STALLED = 300
HEAD = b"POST /score HTTP/1.1\r\nHost: x\r\n"


class Echo:
    """Answers with the length of the body, and writes down what became of it."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.begun = 0
        self._news = asyncio.Event()

    async def handle(self, exchange: Exchange) -> None:
        self.begun += 1
        self._news.set()
        try:
            body = await exchange.body(LIMIT)
        except (BodyTooLarge, BodyTooSlow, ClientGone) as exc:
            self.seen.append(type(exc).__name__)
            self._news.set()
            exchange.respond(400, [("connection", "close")], type(exc).__name__.encode())
            return
        self.seen.append(str(len(body)))
        exchange.respond(200, [], b"%d" % len(body))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for it."""
        while not condition():
            self._news.clear()
            await self._news.wait()


@asynccontextmanager
async def served(**settings: float) -> AsyncIterator[tuple[Echo, int]]:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
        engine, app, listening = GranianEngine(**settings), Echo(), asyncio.Event()
        task = asyncio.create_task(engine.serve(app, "127.0.0.1", port, listening.set))
        await listening.wait()
        try:
            yield app, port
        finally:
            engine.stop()
            await task


async def answer(port: int, *pieces: bytes, half_close: bool = False) -> bytes:
    """What comes back, to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
    if half_close:
        writer.write_eof()
    try:
        return await reader.read()
    except ConnectionResetError:
        return b"reset"
    finally:
        writer.close()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(scenario(), 30)

    asyncio.run(limited())


@pytest.mark.parametrize("begun", [b"", b"GE", b"GET / HTTP/1.1\r\nHost: x\r\nX-A"])
def test_a_head_that_does_not_come_ends_the_connection(begun: bytes) -> None:
    async def scenario() -> None:
        async with served(head_seconds=0.3) as (app, port):
            assert b"200" not in await answer(port, begun)
            assert app.begun == 0

    run(scenario)


@pytest.mark.parametrize(
    "begun",
    [
        b"Content-Length: 10\r\n\r\nabc",
        b"Content-Length: %d\r\n\r\nabc" % (WHOLE + 1),
        b"Content-Length: %d\r\n\r\nabc" % (LIMIT + 1),
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
def test_a_body_that_does_not_come_ends_the_request(begun: bytes) -> None:
    async def scenario() -> None:
        async with served(body_seconds=0.3) as (app, port):
            assert (await answer(port, HEAD, begun)).endswith(b"BodyTooSlow")
            assert app.seen == ["BodyTooSlow"]

    run(scenario)


def test_what_has_come_of_a_body_allows_more_time() -> None:
    async def scenario() -> None:
        with Wait(Patience(60)) as wait:
            before = wait.deadline
            wait.received(5 * BYTES_PER_SECOND)
            assert wait.deadline == pytest.approx(before + 5)

    run(scenario)


def test_callers_that_stall_keep_nobody_waiting() -> None:
    async def scenario() -> None:
        async with served() as (app, port):
            writers = []
            for number in range(STALLED):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write((b"POST", HEAD, HEAD + b"Content-Length: 10\r\n\r\nabc")[number % 3])
                writers.append(writer)
            await app.until(lambda: app.begun >= STALLED // 3)
            whole = HEAD + b"Connection: close\r\nContent-Length: 3\r\n\r\nabc"
            assert b"200 OK" in await answer(port, whole)
            for writer in writers:
                writer.close()
            await app.until(lambda: app.seen.count("ClientGone") >= STALLED // 3)

    run(scenario)


def test_a_caller_that_closes_its_half_costs_only_its_own_request() -> None:
    async def scenario() -> None:
        async with served() as (app, port):
            await answer(port, HEAD, b"Content-Length: 10\r\n\r\nabc", half_close=True)
            await app.until(lambda: "ClientGone" in app.seen)
            # With everything said, it may still not hear the answer: the engine takes it for gone.
            await answer(port, HEAD, b"Content-Length: 3\r\n\r\nabc", half_close=True)
            whole = HEAD + b"Connection: close\r\nContent-Length: 4\r\n\r\nabcd"
            assert b"200 OK" in await answer(port, whole)

    run(scenario)


def test_a_body_that_is_far_too_long_is_not_read() -> None:
    async def scenario() -> None:
        async with served() as (app, port):
            said = await answer(port, HEAD, b"Content-Length: %d\r\n\r\nabc" % (1 << 30))
            assert said.endswith(b"BodyTooLarge")
            flood = b"%x\r\n%s\r\n" % (1 << 20, b"x" * (1 << 20))
            pieces = [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[flood] * ((DISCARD >> 20) + 1)]
            # Busy sending, the caller may see a reset in place of the answer.
            assert (await answer(port, *pieces)).endswith((b"BodyTooLarge", b"reset"))
            assert app.seen == ["BodyTooLarge", "BodyTooLarge"]

    run(scenario)
