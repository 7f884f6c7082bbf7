"""The front's connection to one worker."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, cast

from mooring_runtime.front.exchange import Headers
from mooring_runtime.front.stream import BodyStream
from mooring_runtime.worker import frames


@dataclass(frozen=True, slots=True)
class Reply:
    """A worker's answer.

    Attributes:
        milliseconds: how long ``run`` took, three decimals; None when it failed.
        failed: whether ``run`` failed.
        stream: the body, if the worker sends it in parts.
    """

    status: int
    headers: Headers
    body: bytes
    milliseconds: str | None
    failed: bool
    stream: BodyStream | None = None


class ScoringFailed(Exception):
    """A request that got no answer from a worker.

    Attributes:
        status: of the answer to the caller.
        failed: whether ``run`` is to blame.
        retry_after: seconds; None if trying again is no use.
    """

    def __init__(
        self, status: int, message: str, *, failed: bool = False, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.failed = failed
        self.retry_after = retry_after


class Ticket(Protocol):
    """A request on its way to a worker."""

    request_id: str
    future: asyncio.Future[Reply]

    def frame(self, mode: str) -> tuple[int, bytes, bytes]:
        """Kind, head and body of the frame for a worker whose input mode is ``mode``."""
        ...


NO_ANSWER = "The worker answered something that is no answer. Check the logs for more info."
JSON_HEADERS: Headers = [("content-type", "application/json")]


class Channel(asyncio.Protocol):
    """One worker: idle, or busy with one ticket.

    Args:
        worker: the supervisor's name for it.
        mode: its input mode.
        changed: called when it has become idle or has closed.

    Attributes:
        rearm: starts the time limit of the ticket again; each part of a streamed body has the whole of it.
    """

    def __init__(self, worker: str, mode: str, changed: Callable[[Channel], None]) -> None:
        self.worker = worker
        self.mode = mode
        self.draining = False
        self.closed = False
        self.ticket: Ticket | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.rearm: Callable[[Channel], None] | None = None
        self._stream: BodyStream | None = None
        self._changed = changed
        self._decoder = frames.Decoder()
        self._transport: asyncio.Transport | None = None
        self._frame_id = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def send(self, ticket: Ticket) -> None:
        """Gives the worker a request; the channel must be idle and open."""
        if self._transport is None:
            raise RuntimeError("the channel has no connection")
        kind, head, body = ticket.frame(self.mode)
        self.ticket = ticket
        self._frame_id = (self._frame_id + 1) & 0xFFFFFFFF
        self._transport.write(frames.encode(self._frame_id, kind, head, body))

    def data_received(self, data: bytes) -> None:
        """Hands the worker's answer to whoever waits for it."""
        try:
            for frame_id, kind, head, body in self._decoder.feed(data):
                self._answer(frame_id, kind, head, body)
        except (frames.FrameError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
            sys.stderr.write(f"worker {self.worker} answered something that is no answer: {exc}\n")
            self.close(ScoringFailed(502, NO_ANSWER, failed=True))

    def _answer(self, frame_id: int, kind: int, head: bytes, body: bytes) -> None:
        ticket = self.ticket
        if ticket is None or frame_id != self._frame_id:
            raise ValueError("an answer to no request")
        if kind == frames.RESULT:
            reply = Reply(200, JSON_HEADERS, body, head.decode("ascii"), failed=False)
        elif kind == frames.REPLY:
            said = json.loads(head)
            headers = [(_text(name), _text(value)) for name, value in said["headers"]]
            ms = said["ms"]
            reply = Reply(_status(said["status"]), headers, body, ms and _text(ms), said["failed"] is True)
            if said.get("stream"):
                self._begin(ticket, replace(reply, stream=BodyStream(body, self._flow, self._cancel)))
                return
        else:
            self._go_on(kind, head, body)
            return
        self._release()
        if not ticket.future.done():
            ticket.future.set_result(reply)
        self._changed(self)

    def _begin(self, ticket: Ticket, reply: Reply) -> None:
        self._stream = reply.stream
        if self.rearm is not None:
            self.rearm(self)
        if ticket.future.done():
            self._cancel()
        else:
            ticket.future.set_result(reply)

    def _go_on(self, kind: int, head: bytes, body: bytes) -> None:
        stream = self._stream
        if stream is None:
            raise ValueError("a part of no body")
        if kind == frames.CHUNK:
            if self.rearm is not None:
                self.rearm(self)
            stream.feed(body)
        elif kind == frames.END:
            stream.end("The scoring script failed while its answer was sent." if head else None)
            self._release()
            self._changed(self)
        else:
            raise ValueError(f"a frame of kind {kind}")

    def _flow(self, on: bool) -> None:
        """Lets the worker wait for a slow caller, which is no reason to say that it hangs."""
        if self._transport is None or self.closed:
            return
        if on:
            self._transport.resume_reading()
            if self.rearm is not None:
                self.rearm(self)
            return
        self._transport.pause_reading()
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _cancel(self) -> None:
        if self._transport is not None and not self.closed:
            self._transport.write(frames.encode(self._frame_id, frames.CANCEL, b"", b""))

    def _release(self) -> None:
        self.ticket = None
        self._stream = None
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The worker is gone; the request it had is lost with it."""
        self.close(ScoringFailed(502, "The worker died while it ran the scoring script.", failed=True))

    def close(self, reason: ScoringFailed) -> None:
        """Ends the connection; a request in flight fails for ``reason``."""
        if self.closed:
            return
        self.closed = True
        ticket = self.ticket
        if self._stream is not None:
            self._stream.end(str(reason))
        self._release()
        if self._transport is not None:
            self._transport.abort()
        if ticket is not None and not ticket.future.done():
            ticket.future.set_exception(reason)
        self._changed(self)


def _text(value: object) -> str:
    """Text that can be sent.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")  # noqa: TRY004 - of what the worker says, as other mistakes
    value.encode()
    return value


def _status(value: object) -> int:
    """An HTTP status.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, int) or not 200 <= value <= 999:
        raise ValueError(f"{value!r} is no status")
    return value
