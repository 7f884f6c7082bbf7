"""The HTTP engine, over real connections."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring_runtime.front import http_connection, http_engine, http_outlet, patience
from mooring_runtime.front.exchange import Exchange
from mooring_runtime.front.http_engine import HttpEngine
from mooring_runtime.front.http_request import DISCARD
from mooring_runtime.front.outlet import SLICE
from mooring_runtime.front.stream import BodyStream

LIMIT = 1000
LONG = 8 * SLICE + 5
MIDDLE = SLICE // 2
POST = b"POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"


@dataclass
class Echo:
    """Answers with the body; ``/hold`` waits for `release`, ``/early`` does not read."""

    held: list[tuple[Exchange, bytes]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    stream: BodyStream | None = None
    taken: asyncio.Event = field(default_factory=asyncio.Event)

    def handle(self, exchange: Exchange) -> None:
        if exchange.path == "/early":
            exchange.respond(401, [], b"early")
        elif exchange.path == "/long":
            exchange.finished = lambda _: self.taken.set()
            exchange.read(LIMIT, lambda body: exchange.respond(200, [], body * LONG), lambda: None)
        elif exchange.path == "/middle":
            exchange.read(LIMIT, lambda body: exchange.respond(200, [], body * MIDDLE), lambda: None)
        elif exchange.path == "/stream":
            self.stream = BodyStream(b"first", lambda _: None, lambda: self.gone.append("stream"))
            exchange.respond_stream(200, [("content-type", "text/plain")], self.stream)
        else:
            exchange.read(
                LIMIT, lambda body: self.whole(exchange, body), lambda: exchange.respond(413, [], b"large")
            )

    def whole(self, exchange: Exchange, body: bytes) -> None:
        if exchange.path == "/hold":
            exchange.gone = lambda: self.gone.append(exchange.path)
            self.held.append((exchange, body))
            self.taken.set()
        elif exchange.path == "/headers":
            exchange.respond(200, [("a", "1\r\nb: 2"), ("c", "é"), ("d", "3"), ("connection", "x")], body)
        else:
            said = f"{exchange.method} {exchange.path} {exchange.query} {exchange.host} ".encode()
            exchange.respond(200, [], said + body)

    def release(self) -> None:
        for exchange, body in self.held:
            exchange.respond(200, [], b"held " + body)
        self.held.clear()


@dataclass
class World:
    app: Echo
    engine: HttpEngine
    port: int

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, *pieces: bytes, eof: bool = True) -> bytes:
        """Everything that is answered until the connection ends."""
        reader, writer = await self.connect()
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if eof:
            writer.write_eof()
        answer = await reader.read()
        writer.close()
        return re.sub(rb"date: [^\r]*\r\n", b"", answer)


def bound() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener


async def until(condition: Callable[[], bool]) -> None:
    async def holds() -> None:
        while not condition():  # noqa: ASYNC110 - nothing says so to the test
            await asyncio.sleep(0.001)

    await asyncio.wait_for(holds(), 30)


def play(scene: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        engine, app = HttpEngine(), Echo()
        listening = asyncio.Event()
        serving = asyncio.create_task(engine.serve(app, bound(), listening.set))
        await listening.wait()
        assert engine._server is not None
        try:
            await scene(World(app, engine, engine._server.sockets[0].getsockname()[1]))
        finally:
            app.release()
            engine.stop()
            await serving

    uvloop.run(main())


def ok(body: bytes, extra: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + extra + b"content-length: %d\r\n\r\n" % len(body) + body


def test_requests_on_one_connection_are_answered_in_order() -> None:
    async def scene(world: World) -> None:
        reader, writer = await world.connect()
        writer.write(
            POST % (b"hold", 1, b"1") + POST % (b"b?q=%C3", 1, b"2") + b"GET //c HTTP/1.1\r\nHost: y\r\n\r\n"
        )
        await world.app.taken.wait()
        world.app.release()
        writer.write_eof()
        answer = re.sub(rb"date: [^\r]*\r\n", b"", await reader.read())
        assert answer == ok(b"held 1") + ok(b"POST /b q=%C3 x 2") + ok(b"GET //c  y ")
        writer.close()

    play(scene)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 60), max_size=12))
def test_however_the_bytes_are_cut(cuts: list[int]) -> None:
    stream = (
        POST % (b"a", 3, b"abc")
        + b"POST /%C3%A9 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n"
        + b"HEAD http://z/h?x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    pieces = []
    for cut in cuts:
        pieces.append(stream[:cut])
        stream = stream[cut:]

    async def scene(world: World) -> None:
        first = f"POST /é  127.0.0.1:{world.port} def".encode()
        head = ok(b"HEAD /h x x ", b"connection: close\r\n").removesuffix(b"HEAD /h x x ")
        assert await world.ask(*pieces, stream, eof=False) == ok(b"POST /a  x abc") + ok(first) + head

    play(scene)


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=1, max_size=300))
def test_what_is_not_http_gets_400_or_nothing(data: bytes) -> None:
    async def scene(world: World) -> None:
        answer = await world.ask(b"\x00" + data)
        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert await world.ask(POST % (b"a", 0, b"")) == ok(b"POST /a  x ")

    play(scene)


@pytest.mark.parametrize(
    "head",
    [
        b"POST /a HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /a HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"POST /a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /%FF HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /a\x01 HTTP/1.1\r\n\r\n",
    ],
)
def test_requests_that_could_be_read_in_two_ways(head: bytes) -> None:
    async def scene(world: World) -> None:
        answer = await world.ask(head)
        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b"connection: close\r\n" in answer

    play(scene)


def test_old_and_closing_callers() -> None:
    async def scene(world: World) -> None:
        closed = ok(b"GET /a  x ", b"connection: close\r\n")
        assert await world.ask(b"GET /a HTTP/1.0\r\nHost: x\r\n\r\n", eof=False) == closed
        head = b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
        assert await world.ask(head, eof=False) == closed
        kept = b"GET /a HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"
        assert await world.ask(kept) == ok(b"GET /a  x ", b"connection: keep-alive\r\n")

    play(scene)


def test_bodies_that_are_too_long() -> None:
    async def scene(world: World) -> None:
        body = b"x" * (LIMIT + 1)
        for answer in (
            await world.ask(POST % (b"a", len(body), body), eof=False),
            await world.ask(
                b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
                % (len(body), body),
                eof=False,
            ),
            await world.ask(b"POST /a HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (DISCARD + 1)),
        ):
            assert answer.startswith(b"HTTP/1.1 413 ")
            assert answer.endswith(b"connection: close\r\ncontent-length: 5\r\n\r\nlarge")

    play(scene)


def test_a_refusal_before_the_body_keeps_the_connection() -> None:
    async def scene(world: World) -> None:
        early = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 5\r\n\r\nearly"
        asked = POST % (b"early", 5000, b"x" * 5000) + POST % (b"a", 1, b"1")
        assert await world.ask(asked[:100], asked[100:]) == early + ok(b"POST /a  x 1")

    play(scene)


def test_a_caller_that_waits_to_be_asked_for_the_body() -> None:
    async def scene(world: World) -> None:
        reader, writer = await world.connect()
        writer.write(b"POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"1")
        assert await reader.readuntil(b"\r\n\r\n") != b""
        assert await reader.readexactly(12) == b"POST /a  x 1"
        writer.close()

    play(scene)


def test_a_refusal_of_one_who_waits_to_be_asked() -> None:
    async def scene(world: World) -> None:
        reader, writer = await world.connect()
        writer.write(b"POST /early HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
        head = await reader.readuntil(b"early")
        assert head.startswith(b"HTTP/1.1 401 ")
        assert b"connection: close\r\n" in head
        writer.write(b"1")
        assert await reader.read() == b""
        writer.close()

    play(scene)


def test_a_head_without_end() -> None:
    async def scene(world: World) -> None:
        endless = b"GET /a HTTP/1.1\r\nX: " + b"x" * (http_connection.MAX_HEAD + 1)
        assert (await world.ask(endless, eof=False)).startswith(b"HTTP/1.1 431 ")

    play(scene)


def test_headers_cannot_make_others() -> None:
    async def scene(world: World) -> None:
        assert await world.ask(b"GET /headers HTTP/1.1\r\n\r\n") == ok(b"", b"d: 3\r\n")

    play(scene)


def test_a_caller_that_only_sends_no_more_gets_its_answer() -> None:
    async def scene(world: World) -> None:
        reader, writer = await world.connect()
        writer.write(POST % (b"hold", 1, b"1"))
        await world.app.taken.wait()
        writer.write_eof()
        # It is asked whether it is still there.
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        world.app.release()
        assert (await reader.read()).endswith(b"held 1")
        assert world.app.gone == []
        writer.close()

    play(scene)


@pytest.mark.parametrize("reset", [True, False])
def test_a_caller_that_goes_away(reset: bool) -> None:
    async def scene(world: World) -> None:
        _, writer = await world.connect()
        writer.write(POST % (b"hold", 1, b"1"))
        await world.app.taken.wait()
        if reset:
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()
        await until(lambda: bool(world.app.gone))
        world.app.release()  # finds nobody

    play(scene)


def test_streams() -> None:
    async def scene(world: World) -> None:
        reader, writer = await world.connect()
        writer.write(b"GET /stream HTTP/1.1\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"transfer-encoding: chunked\r\n" in head
        assert await reader.readexactly(10) == b"5\r\nfirst\r\n"
        assert world.app.stream is not None
        world.app.stream.feed(b"second")
        world.app.stream.end()
        writer.write_eof()
        assert await reader.read() == b"6\r\nsecond\r\n0\r\n\r\n"
        writer.close()

    play(scene)


def test_a_caller_that_sends_no_more_while_it_gets_a_stream_is_taken_for_gone() -> None:
    async def scene(world: World) -> None:
        reader, writer = await world.connect()
        writer.write(b"GET /stream HTTP/1.1\r\n\r\n")
        await reader.readuntil(b"first\r\n")
        writer.write_eof()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        await until(lambda: world.app.gone == ["stream"])
        writer.close()

    play(scene)


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_a_stream_that_breaks_off_is_not_taken_for_whole(version: bytes) -> None:
    async def scene(world: World) -> None:
        reader, writer = await world.connect()
        writer.write(b"GET /stream HTTP/%b\r\n\r\n" % version)
        await reader.readuntil(b"first")
        assert world.app.stream is not None
        world.app.stream.end("it died")
        if version == b"1.0":
            with pytest.raises(ConnectionResetError):
                await reader.read()
        else:
            assert await reader.read() in {b"", b"\r\n"}
        writer.close()

    play(scene)


def test_silent_callers_are_let_go() -> None:
    async def scene(world: World) -> None:
        callers = []
        for said in (b"", b"GET /a HT", POST % (b"a", 9, b"1"), POST % (b"hold", 1, b"1")):
            reader, writer = await world.connect()
            writer.write(said)
            callers.append((reader, writer))
        await world.app.taken.wait()
        await until(
            lambda: len([c for c in world.engine._connections if c._unread or c._reading or c.current]) == 3
        )
        later = world.engine.loop.time() + 1000
        for connection in list(world.engine._connections):
            connection.overdue(later)
        assert await callers[0][0].read() == b""
        assert (await callers[1][0].read()).startswith(b"HTTP/1.1 408 ")
        late = await callers[2][0].read()
        assert late.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert b"connection: close\r\n" in late
        assert late.endswith(b'{"message": "The request did not come to its end in time."}')
        world.app.release()
        assert (await callers[3][0].readuntil(b"held 1")) != b""
        for _, each in callers:
            each.close()

    play(scene)


@pytest.mark.parametrize(
    ("limit", "head"),
    [("HEAD_SECONDS", b"POST /a HTTP/1.1\r\nX: "), ("BODY_SECONDS", POST % (b"a", LIMIT, b"x"))],
)
def test_a_byte_now_and_then_is_not_enough(limit: str, head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, limit, 0.0)

    async def scene(world: World) -> None:
        reader, writer = await world.connect()
        writer.write(head)
        await until(lambda: any(c._unread or c._reading for c in world.engine._connections))
        (connection,) = world.engine._connections

        def another() -> bool:
            if not connection.closing:
                writer.write(b"x")
            return connection.closing

        await until(another)
        assert await reader.readuntil(b" 408 ") == b"HTTP/1.1 408 "
        writer.close()

    play(scene)


def test_what_stands_behind_a_chunked_body() -> None:
    async def scene(world: World) -> None:
        head = b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n"
        assert await world.ask(head + b"Host: y\r\n\r\n") == ok(b"POST /a  x 1")
        reader, writer = await world.connect()
        writer.write(head)
        await until(lambda: any(c._reading for c in world.engine._connections))
        writer.write(b"X: " + b"x" * http_connection.MAX_HEAD)
        assert (await reader.read()).startswith(b"HTTP/1.1 431 ")
        writer.close()

    play(scene)


def test_long_answers() -> None:
    async def scene(world: World) -> None:
        assert await world.ask(POST % (b"long", 1, b"x") * 2) == ok(b"x" * LONG) * 2
        closing = b"POST /long HTTP/1.0\r\nContent-Length: 1\r\n\r\nx"
        assert await world.ask(closing, eof=False) == ok(b"x" * LONG, b"connection: close\r\n")

    play(scene)


def test_a_caller_that_does_not_take_a_long_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_outlet, "SEND_SECONDS", 0.1)

    async def scene(world: World) -> None:
        with socket.create_connection(("127.0.0.1", world.port)) as caller:
            caller.setblocking(False)
            await world.engine.loop.sock_sendall(caller, POST % (b"long", 1, b"x"))
            await asyncio.wait_for(world.app.taken.wait(), 30)
            await until(lambda: not world.engine._connections)

    play(scene)


def test_a_caller_that_asks_and_asks_and_takes_nothing() -> None:
    async def scene(world: World) -> None:
        question = POST % (b"middle", 1, b"x")
        with socket.create_connection(("127.0.0.1", world.port)) as caller:
            caller.setblocking(False)
            asking = asyncio.create_task(world.engine.loop.sock_sendall(caller, question * 100))
            await until(lambda: any(c.outlet.room and c._pending for c in world.engine._connections))
            (connection,) = world.engine._connections
            assert connection._transport is not None
            # What is high water, and one answer more.
            assert connection._transport.get_write_buffer_size() <= http_outlet.HIGH_WATER + MIDDLE + 1000
            taken = 0
            while taken < 100 * MIDDLE:
                taken += len(await world.engine.loop.sock_recv(caller, 1 << 20))
            await asking
            await until(lambda: connection.outlet.room is None and not connection._pending)
            # Once more, and now it is let go.
            await world.engine.loop.sock_sendall(caller, question * 100)
            await until(lambda: connection.outlet.room is not None and bool(connection._pending))
            connection.overdue(world.engine.loop.time() + 1000)
            connection.overdue(world.engine.loop.time() + 1000)
            await until(lambda: not world.engine._connections)

    play(scene)


def test_too_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_engine, "MAX_CONNECTIONS", 1)

    async def scene(world: World) -> None:
        _, writer = await world.connect()
        writer.write(POST % (b"hold", 1, b"1"))
        await world.app.taken.wait()
        assert (await world.ask(eof=False)).startswith(b"HTTP/1.1 503 ")
        world.app.release()
        writer.close()

    play(scene)


def test_stopping_lets_answers_end() -> None:
    async def scene(world: World) -> None:
        idle, idle_writer = await world.connect()
        idle_writer.write(POST % (b"a", 0, b""))
        await idle.readuntil(b"POST /a  x ")
        reader, writer = await world.connect()
        writer.write(POST % (b"hold", 1, b"1"))
        await world.app.taken.wait()
        world.engine.stop()
        assert await idle.read() == b""
        world.app.release()
        answer = await reader.read()
        assert b"connection: close\r\n" in answer
        assert answer.endswith(b"held 1")
        for each in (idle_writer, writer):
            each.close()

    play(scene)
