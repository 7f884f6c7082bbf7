"""Long bodies on their way to a worker, over a real socket."""

from __future__ import annotations

import asyncio
import socket

import pytest
import uvloop

from mooring_runtime.front.channel import Channel
from mooring_runtime.front.outlet import SLICE
from mooring_runtime.front.reply import Reply, ScoringFailed
from mooring_runtime.worker import frames

LONG = 64 * SLICE + 7


class Ticket:
    def __init__(self, body: bytes) -> None:
        self.request_id = "1"
        self.body = body
        self.size = len(body)
        self.future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    @property
    def done(self) -> bool:
        return self.future.done()

    def answered(self, reply: Reply) -> None:
        self.future.set_result(reply)

    def failed(self, reason: ScoringFailed) -> None:
        self.future.set_exception(reason)

    def frame(self, mode: str) -> tuple[int, bytes, bytes]:
        return frames.TEXT, mode.encode(), self.body


async def worker_of(ours: socket.socket) -> Channel:
    loop = asyncio.get_running_loop()
    _, channel = await loop.create_unix_connection(lambda: Channel("w", "text", lambda _: None), sock=ours)
    return channel


def test_others_have_their_turn_while_a_long_body_goes_out_and_its_answer_comes_in() -> None:
    async def scene() -> None:
        ours, theirs = socket.socketpair()
        channel = await worker_of(ours)
        reader, writer = await asyncio.open_unix_connection(sock=theirs)
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        ticket = Ticket(bytes(range(256)) * (LONG // 256) + b"the end")
        counting = asyncio.create_task(others())
        channel.send([ticket])
        assert channel.tickets
        begin = await reader.readexactly(frames.HEADER_SIZE + 4)
        before = turns
        assert await reader.readexactly(len(ticket.body)) == ticket.body
        sent = turns - before
        writer.write(frames.encode(int.from_bytes(begin[4:8], "little"), frames.RESULT, b"1.0", ticket.body))
        reply = await asyncio.wait_for(ticket.future, 30)
        counting.cancel()
        writer.close()
        assert reply.body == ticket.body
        assert sent >= LONG // SLICE - 2
        channel.close(ScoringFailed(502, "over"))

    uvloop.run(scene())


def test_what_is_written_later_comes_later() -> None:
    async def scene() -> None:
        ours, theirs = socket.socketpair()
        channel = await worker_of(ours)
        reader, writer = await asyncio.open_unix_connection(sock=theirs)
        # A worker that answers before it has read the whole request is free for the next at once.
        first, second = Ticket(b"1" * LONG), Ticket(b"2")
        channel.send([first])
        channel.send([second])
        decoder = frames.Decoder()
        seen: list[bytes] = []
        while len(seen) < 2:
            seen += [body for _, _, _, body in decoder.feed(await reader.read(SLICE))]
        assert seen == [first.body, second.body]
        channel.close(ScoringFailed(502, "over"))
        with pytest.raises(ScoringFailed, match="over"):
            await first.future
        assert channel.returned == [second]
        writer.close()

    uvloop.run(scene())


def test_a_worker_that_ends_in_the_middle_of_a_body() -> None:
    async def scene() -> None:
        ours, theirs = socket.socketpair()
        channel = await worker_of(ours)
        reader, writer = await asyncio.open_unix_connection(sock=theirs)
        ticket = Ticket(b"1" * LONG)
        channel.send([ticket])
        await reader.readexactly(100)
        writer.transport.abort()
        with pytest.raises(ScoringFailed, match="died"):
            await asyncio.wait_for(ticket.future, 30)
        assert channel.closed

    uvloop.run(scene())


def test_an_answer_that_is_too_long_is_refused_by_its_header() -> None:
    async def scene() -> None:
        ours, theirs = socket.socketpair()
        channel = await worker_of(ours)
        reader, writer = await asyncio.open_unix_connection(sock=theirs)
        ticket = Ticket(b"1")
        channel.send([ticket])
        begin = await reader.readexactly(frames.HEADER_SIZE)
        frame_id = int.from_bytes(begin[4:8], "little")
        writer.write(frames.beginning(frame_id, frames.RESULT, b"1.0", frames.MAX_ANSWER + 1))
        with pytest.raises(ScoringFailed) as refused:
            await asyncio.wait_for(ticket.future, 30)
        assert refused.value.status == 502
        writer.close()

    uvloop.run(scene())
