from __future__ import annotations

import asyncio

import pytest
from fake_workers import FakeTransport, World, answer, play

from mooring_runtime.front.dispatch import Limits
from mooring_runtime.front.reply import Reply, ScoringFailed
from mooring_runtime.worker import frames


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


def requests(transport: FakeTransport) -> list[tuple[int, str]]:
    """The ids and names of the requests that a worker got last."""
    (frame,) = frames.Decoder().feed(transport.written[-1])
    inner = frames.Decoder().feed(frame[3]) if frame[1] == frames.BATCH else [frame]
    return [(frame_id, body.decode()) for frame_id, _, _, body in inner]


def results(transport: FakeTransport) -> bytes:
    """A batched worker's answers to its last requests."""
    return b"".join(
        frames.encode(frame_id, frames.RESULT, b"1.0", name.encode())
        for frame_id, name in requests(transport)
    )


def test_batches_are_shared_out_over_the_idle_workers() -> None:
    async def scene() -> None:
        world = World()
        first, second = world.worker("a", 8), world.worker("b", 8)
        futures = [world.submit(name) for name in "12345"]
        await asyncio.sleep(0)
        assert [name for _, name in requests(first[1])] == ["1", "2", "3"]
        assert [name for _, name in requests(second[1])] == ["4", "5"]
        assert world.dispatcher.in_flight == 5
        for channel, transport in (second, first):
            channel.data_received(results(transport))
        assert [future.result().body for future in futures] == [name.encode() for name in "12345"]

    play(scene())


def test_a_batched_worker_that_becomes_free_takes_what_waits() -> None:
    async def scene() -> None:
        world = World()
        channel, transport = world.worker("a", 3)
        futures = [world.submit("1")]
        await asyncio.sleep(0)
        futures += [world.submit(name) for name in "23456"]
        futures[2].cancel()
        seen = []
        while world.dispatcher.in_flight:
            seen.append([name for _, name in requests(transport)])
            channel.data_received(results(transport))
        assert seen == [["1"], ["2", "4", "5"], ["6"]]

    play(scene())


def test_what_is_left_of_a_burst_waits_no_longer_than_it_may() -> None:
    async def scene() -> None:
        world = World()
        world.dispatcher.limits = Limits(max_queue=2, max_queue_wait_ms=10)
        world.worker("a", 2)
        futures = [world.submit(name) for name in "1234"]
        with pytest.raises(ScoringFailed, match="overloaded"):
            world.submit("5")
        with pytest.raises(ScoringFailed, match="within 10 ms"):
            await futures[3]
        assert not futures[1].done()

    play(scene())


def test_large_bodies_go_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mooring_runtime.front.queue.BATCH_BYTES", 5)

    async def scene() -> None:
        world = World()
        channel, transport = world.worker("a", 8)
        for name in ("first!", "2", "333", "44"):
            world.submit(name)
        await asyncio.sleep(0)
        seen = []
        while world.dispatcher.in_flight:
            seen.append([name for _, name in requests(transport)])
            channel.data_received(results(transport))
        assert seen == [["first!"], ["2", "333"], ["44"]]

    play(scene())


def test_a_worker_that_dies_with_a_batch_costs_what_it_has_not_answered() -> None:
    async def scene() -> None:
        world = World()
        channel, transport = world.worker("a", 2)
        futures = [world.submit(name) for name in "123"]
        await asyncio.sleep(0)
        ((frame_id, _), _) = requests(transport)
        channel.data_received(frames.encode(frame_id, frames.RESULT, b"1.0", b"1"))
        channel.connection_lost(None)
        assert futures[0].result().body == b"1"
        with pytest.raises(ScoringFailed, match="died"):
            futures[1].result()
        assert not futures[2].done()
        await asyncio.sleep(0)
        other, transport = world.worker("b", 2)
        other.data_received(results(transport))
        assert futures[2].result().body == b"3"

    play(scene())


def test_an_answer_before_garbage_counts() -> None:
    async def scene() -> None:
        world = World()
        channel, transport = world.worker("a", 2)
        futures = [world.submit(name) for name in "12"]
        await asyncio.sleep(0)
        ((frame_id, _), _) = requests(transport)
        channel.data_received(
            frames.encode(frame_id, frames.RESULT, b"1.0", b"1") + frames.encode(99, frames.RESULT, b"", b"")
        )
        assert futures[0].result().body == b"1"
        with pytest.raises(ScoringFailed, match="no answer"):
            futures[1].result()

    play(scene())


def test_an_idle_worker_that_says_half_a_frame_is_there_once() -> None:
    async def scene() -> None:
        world = World()
        channel, transport = world.worker("a")
        channel.data_received(frames.encode(1, frames.RESULT, b"", b"")[:3])
        world.submit("1")
        world.submit("2")
        assert len(transport.written) == 1

    play(scene())
