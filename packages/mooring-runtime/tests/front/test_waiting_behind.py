"""Requests that wait in a worker's socket: begun once, in order, and had back in time."""

from __future__ import annotations

import asyncio
from collections import deque

import pytest
from fake_workers import FakeTransport, World, answer, play
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring_runtime.front.channel import Channel
from mooring_runtime.front.dispatch import AHEAD, AHEAD_BYTES, STALE_SECONDS, Limits
from mooring_runtime.front.reply import Reply, ScoringFailed
from mooring_runtime.worker import frames


def names(transport: FakeTransport) -> list[str]:
    """The requests in a worker's socket."""
    return [body.decode() for data in transport.written for _, _, _, body in frames.Decoder().feed(data)]


def brief(world: World, name: str = "a") -> tuple[Channel, FakeTransport]:
    """A worker whose last call was brief."""
    worker = world.worker(name)
    world.submit(f"first of {name}")
    answer(*worker)
    return worker


def test_only_behind_brief_calls() -> None:
    async def scene() -> None:
        world = World()
        channel, transport = world.worker("a")
        for number in range(8):
            world.submit(str(number))
        assert names(transport) == ["0"]
        answer(channel, transport, b"5.0")
        assert names(transport) == ["1"]
        answer(channel, transport, b"4.9")
        assert names(transport) == ["2", "3", "4", "5"]
        assert len(channel.tickets) == 1 + AHEAD
        assert (world.dispatcher.waiting, world.dispatcher.in_flight) == (5, 6)
        answer(channel, transport, b"60.0")
        assert names(transport) == ["3", "4", "5"]

    play(scene())


def test_long_bodies_wait_in_the_queue() -> None:
    async def scene() -> None:
        world = World()
        _, transport = brief(world)
        world.submit("1")
        world.submit("x" * (AHEAD_BYTES + 1))
        world.submit("2")
        assert names(transport) == ["1"]
        assert world.dispatcher.waiting == 2

    play(scene())


def test_they_count_for_the_queue() -> None:
    async def scene() -> None:
        world = World()
        world.dispatcher.limits = Limits(max_queue=2)
        brief(world)
        for name in "123":
            world.submit(name)
        with pytest.raises(ScoringFailed, match="2 requests are waiting"):
            world.submit("4")

    play(scene())


def test_another_worker_takes_what_is_not_begun() -> None:
    async def scene() -> None:
        world = World()
        first = brief(world)
        futures = [world.submit(name) for name in "12"]
        second = world.worker("b")
        await asyncio.sleep(0)
        assert names(second[1]) == ["2"]
        assert [answer(*second), answer(*first)] == ["2", "1"]
        assert all(future.done() for future in futures)
        # It has not seen yet that it lost a request, and gets none until then.
        world.submit("3")
        assert names(first[1])[1:] == []

    play(scene())


def test_those_behind_a_call_that_is_not_brief_come_back() -> None:
    async def scene() -> None:
        world = World()
        world.dispatcher.limits = Limits(max_queue_wait_ms=200)
        channel, transport = brief(world)
        futures = [world.submit(name) for name in "123"]
        assert channel.tokens.take()  # it has begun
        transport.written.pop(0)
        with pytest.raises(ScoringFailed, match="within 200 ms"):
            await futures[1]
        with pytest.raises(ScoringFailed, match="within 200 ms"):
            await futures[2]
        assert STALE_SECONDS < 0.2
        assert not futures[0].done()
        assert len(channel.tickets) == 1

    play(scene())


@pytest.mark.parametrize("begun", [False, True])
def test_a_worker_that_dies(begun: bool) -> None:
    async def scene() -> None:
        world = World()
        channel, transport = brief(world)
        futures = [world.submit(name) for name in "123"]
        if begun:
            # The answer to the first, and the second begun before we hear of it.
            for _ in range(2):
                assert channel.tokens.take()
            ((frame_id, _, _, _),) = frames.Decoder().feed(transport.written[0])
            channel.data_received(frames.encode(frame_id, frames.RESULT, b"1.0", b"1"))
            assert (await futures[0]).body == b"1"
            futures.pop(0)
        channel.connection_lost(None)
        with pytest.raises(ScoringFailed, match="died"):
            await futures[0]
        other = world.worker("b")
        await asyncio.sleep(0)
        expected = ["3"] if begun else ["2", "3"]
        assert [answer(*other) for _ in expected] == expected
        assert all(future.done() for future in futures)

    play(scene())


def test_what_hangs_costs_only_the_request_that_hangs() -> None:
    async def scene() -> None:
        world = World()
        channel, _ = brief(world)
        world.dispatcher.limits = Limits(scoring_timeout_ms=5)
        futures = [world.submit(name) for name in "12"]
        assert channel.tokens.take()
        with pytest.raises(ScoringFailed, match="timeout"):
            await futures[0]
        assert world.said == [("stuck", "a 1"), ("lost", "a")]
        other = world.worker("b")
        await asyncio.sleep(0)
        assert answer(*other) == "2"

    play(scene())


def test_a_draining_worker_keeps_what_it_runs() -> None:
    async def scene() -> None:
        world = World()
        worker = brief(world)
        for name in "12":
            world.submit(name)
        world.dispatcher.drain(worker[0])
        assert answer(*worker) == "1"
        assert world.said == []
        other = world.worker("b")
        await asyncio.sleep(0)
        assert answer(*other) == "2"
        skip(*worker)
        assert world.said == [("drained", "a")]

    play(scene())


def skip(channel: Channel, transport: FakeTransport) -> None:
    """Lets a worker see that a request was taken back."""
    ((frame_id, _, _, _),) = frames.Decoder().feed(transport.written.pop(0))
    channel.data_received(frames.encode(frame_id, frames.SKIPPED, b"", b""))


def test_a_streamed_answer_lets_go_of_those_behind_it() -> None:
    async def scene() -> None:
        world = World()
        channel, transport = brief(world)
        futures = [world.submit(name) for name in "12"]
        assert channel.tokens.take()
        ((frame_id, _, _, _),) = frames.Decoder().feed(transport.written.pop(0))
        head = b'{"status": 200, "headers": [], "ms": "0.1", "failed": false, "stream": true}'
        channel.data_received(frames.encode(frame_id, frames.REPLY, head, b"part"))
        assert (await futures[0]).stream is not None
        other = world.worker("b")
        await asyncio.sleep(0)
        assert answer(*other) == "2"
        channel.data_received(frames.encode(frame_id, frames.END, b"", b""))
        skip(channel, transport)
        world.submit("3")
        world.submit("4")
        assert names(transport) + names(other[1]) == ["4", "3"]

    play(scene())


class Worker:
    """A worker as `mooring_runtime.worker.serve` is: what it has read, and what it has begun."""

    def __init__(self, world: World, name: str) -> None:
        self.channel, self.transport = world.worker(name)
        self.said: deque[bytes] = deque()
        self.runs: tuple[int, bytes] | None = None

    def step(self, milliseconds: bytes) -> str | None:
        """Ends the call that runs, or begins the next; what it began."""
        if self.runs is not None:
            frame_id, body = self.runs
            self.said.append(frames.encode(frame_id, frames.RESULT, milliseconds, body))
            self.runs = None
        elif self.transport.written:
            ((frame_id, _, _, body),) = frames.Decoder().feed(self.transport.written.pop(0))
            if not self.channel.tokens.take():
                self.said.append(frames.encode(frame_id, frames.SKIPPED, b"", b""))
            else:
                self.runs = (frame_id, body)
                return str(body.decode())
        return None

    def heard(self, most: int) -> None:
        """Lets the front read what the worker has said."""
        taken = [self.said.popleft() for _ in range(min(most, len(self.said)))]
        if taken and not self.channel.closed:
            self.channel.data_received(b"".join(taken))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.just(0)),
        st.tuples(st.sampled_from(["work", "hear", "hear all", "die", "drain", "look"]), st.integers(0, 2)),
        st.tuples(st.just("work"), st.integers(0, 2)),
        st.tuples(st.just("submit"), st.just(0)),
    ),
    max_size=60,
)


class Play:
    """Three workers, and steps in any order.

    Args:
        long_ones: which calls are not brief, by the order in which they begin.
    """

    def __init__(self, long_ones: set[int]) -> None:
        self.world = World()
        self.long_ones = long_ones
        self.futures: dict[str, asyncio.Future[Reply]] = {}
        self.begun: list[str] = []
        self.made = 0
        self.workers = [self.new() for _ in range(3)]

    def new(self) -> Worker:
        self.made += 1
        return Worker(self.world, str(self.made))

    def submit(self, _: int) -> None:
        name = str(len(self.futures))
        self.futures[name] = self.world.submit(name)

    def work(self, number: int) -> None:
        one = self.workers[number].step(b"9.0" if len(self.begun) in self.long_ones else b"0.1")
        if one is not None:
            self.begun.append(one)

    def hear(self, number: int) -> None:
        self.workers[number].heard(1)

    def hear_all(self, number: int) -> None:
        self.workers[number].heard(99)

    def drain(self, number: int) -> None:
        self.world.dispatcher.drain(self.workers[number].channel)

    def take_long(self, number: int) -> None:
        self.workers[number].channel.since = -1.0
        self.world.dispatcher._look_behind()

    def die(self, number: int) -> None:
        self.workers[number].heard(99)  # the end of a connection comes after what was said
        self.workers[number].channel.connection_lost(None)
        self.workers[number] = self.new()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["submit"] * 4 + ["work"] * 4 + ["hear", "hear_all", "drain", "take_long", "die"]),
        st.integers(0, 2),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(steps=STEPS, long_ones=st.sets(st.integers(0, 40)))
def test_every_request_is_begun_once_or_fails(steps: list[tuple[str, int]], long_ones: set[int]) -> None:
    async def scene() -> None:
        play = Play(long_ones)
        for what, number in steps:
            getattr(play, what)(number)
            await asyncio.sleep(0)
        play.workers.append(play.new())
        for _ in range(4 * len(play.futures) + 20):
            for number in range(len(play.workers)):
                play.work(number)
                play.hear_all(number)
            await asyncio.sleep(0)
        assert len(play.begun) == len(set(play.begun))
        assert play.world.dispatcher.in_flight == play.world.dispatcher.waiting == 0
        for name, future in play.futures.items():
            assert future.done(), name
            assert name in play.begun or future.exception()
            if future.exception():
                assert "died" in str(future.exception())
            else:
                assert future.result().body == name.encode()
        for worker in play.workers:
            worker.channel.close(ScoringFailed(502, "over"))

    play(scene())
