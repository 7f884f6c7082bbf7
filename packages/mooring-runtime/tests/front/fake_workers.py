"""A dispatcher with workers that do what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from mooring_runtime.front.channel import Channel
from mooring_runtime.front.dispatch import Dispatcher
from mooring_runtime.front.reply import Reply, ScoringFailed
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

    def worker(self, name: str, batch: int | None = None) -> tuple[Channel, FakeTransport]:
        channel = Channel(name, "text", self.dispatcher.changed, batch)
        transport = FakeTransport()
        channel.connection_made(transport)  # type: ignore[arg-type]
        self.dispatcher.attach(channel)
        return channel, transport

    def submit(self, name: str) -> asyncio.Future[Reply]:
        ticket = FakeTicket(name)
        self.dispatcher.submit(ticket)
        return ticket.future


def answer(channel: Channel, transport: FakeTransport, milliseconds: bytes = b"1.0") -> str:
    """Lets a worker go on to its next request and answer it; the request's name."""
    while True:
        ((frame_id, _, _, body),) = frames.Decoder().feed(transport.written.pop(0))
        if channel.tokens.take():
            channel.data_received(frames.encode(frame_id, frames.RESULT, milliseconds, body))
            return str(body.decode())
        channel.data_received(frames.encode(frame_id, frames.SKIPPED, b"", b""))


def play(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scene)
