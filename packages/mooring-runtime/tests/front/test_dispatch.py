from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from mooring_runtime.front.channel import Channel, Reply, ScoringFailed
from mooring_runtime.front.dispatch import Dispatcher, Limits
from mooring_runtime.worker import frames


class FakeTransport:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def abort(self) -> None:
        self.aborted = True


class FakeTicket:
    def __init__(self, name: str) -> None:
        self.request_id = name
        self.future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    @property
    def done(self) -> bool:
        return self.future.done()

    @property
    def size(self) -> int:
        return len(self.request_id)

    def answered(self, reply: Reply) -> None:
        self.future.set_result(reply)

    def failed(self, reason: ScoringFailed) -> None:
        self.future.set_exception(reason)

    def frame(self, mode: str) -> tuple[int, bytes, bytes]:
        return frames.TEXT, mode.encode(), self.request_id.encode()


class World:
    """A dispatcher with fake workers."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.dispatcher = Dispatcher(
            asyncio.get_running_loop(),
            drained=lambda channel: self.said.append(("drained", channel.worker)),
            lost=lambda channel: self.said.append(("lost", channel.worker)),
            stuck=lambda channel, request: self.said.append(("stuck", f"{channel.worker} {request}")),
        )
        self.dispatcher.active = True

    def worker(self, name: str) -> tuple[Channel, FakeTransport]:
        channel = Channel(name, "text", self.dispatcher.changed)
        transport = FakeTransport()
        channel.connection_made(transport)  # type: ignore[arg-type]
        self.dispatcher.attach(channel)
        return channel, transport

    def submit(self, name: str) -> asyncio.Future[Reply]:
        ticket = FakeTicket(name)
        self.dispatcher.submit(ticket)
        return ticket.future


def answer(channel: Channel, transport: FakeTransport) -> str:
    """Lets a worker answer its last request; the request's name."""
    ((frame_id, _, _, body),) = frames.Decoder().feed(transport.written[-1])
    channel.data_received(frames.encode(frame_id, frames.RESULT, b"1.0", body))
    return str(body.decode())


def play(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scene)


def test_one_at_a_time_and_in_order() -> None:
    async def scene() -> None:
        world = World()
        channel, transport = world.worker("a")
        futures = [world.submit(name) for name in "123"]
        assert world.dispatcher.in_flight == 3
        assert [answer(channel, transport) for _ in range(3)] == ["1", "2", "3"]
        assert [future.result().body for future in futures] == [b"1", b"2", b"3"]
        assert world.dispatcher.in_flight == 0

    play(scene())


def test_the_worker_that_is_idle_longest() -> None:
    async def scene() -> None:
        world = World()
        first, second = world.worker("a"), world.worker("b")
        world.submit("1")
        answer(*first)
        world.submit("2")
        assert second[0].tickets
        assert not first[0].tickets

    play(scene())


def test_nothing_active() -> None:
    async def scene() -> None:
        world = World()
        world.dispatcher.active = False
        with pytest.raises(ScoringFailed, match="no revision") as caught:
            world.submit("1")
        assert (caught.value.status, caught.value.retry_after) == (503, 1)

    play(scene())


def test_the_queue_is_bounded_in_length_and_time() -> None:
    async def scene() -> None:
        world = World()
        world.dispatcher.limits = Limits(max_queue=1, max_queue_wait_ms=10)
        waiting = world.submit("1")
        with pytest.raises(ScoringFailed, match="overloaded"):
            world.submit("2")
        with pytest.raises(ScoringFailed, match="within 10 ms"):
            await waiting
        world.submit("3")
        channel, transport = world.worker("a")
        assert answer(channel, transport) == "3"

    play(scene())


def test_a_dead_worker_costs_its_request_only() -> None:
    async def scene() -> None:
        world = World()
        first, _ = world.worker("a")
        lost, waiting = world.submit("1"), world.submit("2")
        first.connection_lost(None)
        with pytest.raises(ScoringFailed, match="died") as caught:
            await lost
        assert (caught.value.status, caught.value.failed) == (502, True)
        assert world.said == [("lost", "a")]
        answer(*world.worker("b"))
        assert (await waiting).body == b"2"

    play(scene())


def test_scoring_timeout() -> None:
    async def scene() -> None:
        world = World()
        world.dispatcher.limits = Limits(scoring_timeout_ms=10)
        _, transport = world.worker("a")
        with pytest.raises(ScoringFailed, match="Scoring timeout after 10 ms"):
            await world.submit("1")
        assert world.said == [("stuck", "a 1"), ("lost", "a")]
        assert transport.aborted
        assert not world.dispatcher.ready

    play(scene())


def test_draining() -> None:
    async def scene() -> None:
        world = World()
        idle, busy = world.worker("idle"), world.worker("busy")
        world.dispatcher._idle.rotate()
        running = world.submit("1")
        world.dispatcher.drain(idle[0])
        world.dispatcher.drain(busy[0])
        assert world.said == [("drained", "idle")]
        waiting = world.submit("2")
        answer(*busy)
        assert running.done()
        assert world.said == [("drained", "idle"), ("drained", "busy")]
        assert not waiting.done()
        answer(*world.worker("new"))
        assert (await waiting).body == b"2"

    play(scene())


@pytest.mark.parametrize(
    "data",
    [
        b"x" * frames.HEADER_SIZE,
        frames.encode(9, frames.RESULT, b"1", b""),
        frames.encode(1, frames.REPLY, b"not json", b""),
        frames.encode(1, frames.REPLY, b"{}", b""),
    ],
)
def test_answers_that_are_none(data: bytes) -> None:
    async def scene() -> None:
        world = World()
        channel, _ = world.worker("a")
        future = world.submit("1")
        channel.data_received(data)
        with pytest.raises(ScoringFailed, match="no answer"):
            await future
        assert world.said == [("lost", "a")]

    play(scene())


def test_a_reply_with_headers() -> None:
    async def scene() -> None:
        world = World()
        channel, _ = world.worker("a")
        future = world.submit("1")
        head = b'{"status": 418, "headers": [["a", "b"]], "ms": null, "failed": true}'
        channel.data_received(frames.encode(1, frames.REPLY, head, b"pot"))
        assert await future == Reply(418, [("a", "b")], b"pot", None, failed=True)

    play(scene())


def test_callers_that_went_away_are_passed_over() -> None:
    async def scene() -> None:
        world = World()
        channel, transport = world.worker("a")
        world.submit("1")
        gone, waiting = world.submit("2"), world.submit("3")
        gone.cancel()
        assert [answer(channel, transport) for _ in range(2)] == ["1", "3"]
        assert waiting.done()

    play(scene())
