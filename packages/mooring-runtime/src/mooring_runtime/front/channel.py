"""The front's connection to one worker."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from mooring_runtime.front.exchange import Headers
from mooring_runtime.front.outlet import SLICE, Outlet
from mooring_runtime.front.stream import BodyStream
from mooring_runtime.worker import frames


@dataclass(slots=True)
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
    """A request on its way to a worker.

    Attributes:
        done: it needs no answer any more: it has one, or its caller has gone.
        size: of its body, in bytes.
    """

    request_id: str
    done: bool

    @property
    def size(self) -> int: ...  # noqa: D102

    def answered(self, reply: Reply) -> None:
        """A worker has answered."""
        ...

    def failed(self, reason: ScoringFailed) -> None:
        """No worker will answer."""
        ...

    def frame(self, mode: str) -> tuple[int, bytes, bytes]:
        """Kind, head and body of the frame for a worker whose input mode is ``mode``."""
        ...


NO_ANSWER = "The worker answered something that is no answer. Check the logs for more info."
JSON_HEADERS: Headers = [("content-type", "application/json")]


class Channel(asyncio.Protocol):
    """One worker: idle, or busy with one call of ``run``.

    Args:
        worker: the supervisor's name for it.
        mode: its input mode.
        changed: called when it has become idle or has closed.
        batch: how many requests one call takes at most; None if ``run`` is not batched.

    Attributes:
        tickets: the requests of the call, by the ids of their frames.
        deadline: when the worker must have answered, by the loop's clock; None while it may take its time.
        rearm: starts the time limit again; each part of a streamed body has the whole of it.
    """

    def __init__(
        self, worker: str, mode: str, changed: Callable[[Channel], None], batch: int | None = None
    ) -> None:
        self.worker = worker
        self.mode = mode
        self.batch = batch
        self.draining = False
        self.closed = False
        self.tickets: dict[int, Ticket] = {}
        self.deadline: float | None = None
        self.rearm: Callable[[Channel], None] | None = None
        self._stream: BodyStream | None = None
        self._changed = changed
        self._decoder = frames.Decoder(frames.MAX_ANSWER)
        self._transport: asyncio.Transport | None = None
        self._outlet: Outlet | None = None
        self._frame_id = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._outlet = Outlet(self._transport)

    def pause_writing(self) -> None:
        """The worker is slower than we are."""
        if self._outlet is not None:
            self._outlet.pause()

    def resume_writing(self) -> None:
        """It has caught up."""
        if self._outlet is not None:
            self._outlet.resume()

    def send(self, tickets: Sequence[Ticket]) -> None:
        """Gives the worker requests for one call; the channel must be idle and open."""
        outlet = self._outlet
        if outlet is None:
            raise RuntimeError("the channel has no connection")
        if len(tickets) > 1:
            parts = [frames.encode(*self._frame(ticket)) for ticket in tickets]
            outlet.write(frames.encode(self._next_id(), frames.BATCH, b"", b"".join(parts)))
            return
        frame_id, kind, head, body = self._frame(tickets[0])
        if len(body) <= SLICE:
            outlet.write(frames.encode(frame_id, kind, head, body))
        else:
            outlet.write(frames.beginning(frame_id, kind, head, len(body)))
            outlet.write(body)

    def _next_id(self) -> int:
        self._frame_id = (self._frame_id + 1) & 0xFFFFFFFF
        return self._frame_id

    def _frame(self, ticket: Ticket) -> tuple[int, int, bytes, bytes]:
        frame_id = self._next_id()
        self.tickets[frame_id] = ticket
        return (frame_id, *ticket.frame(self.mode))

    def data_received(self, data: bytes) -> None:
        """Hands the worker's answers to whoever waits for them."""
        answers: list[tuple[Ticket, Reply]] = []
        broken: Exception | None = None
        busy = bool(self.tickets)
        try:
            for frame in self._decoder.feed(data):
                self._answer(answers, *frame)
        except (frames.FrameError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
            sys.stderr.write(f"worker {self.worker} answered something that is no answer: {exc}\n")
            broken = exc
        # The worker first: it can go on while the answers are written.
        if broken is None and busy and not self.tickets:
            self.deadline = None
            self._changed(self)
        for ticket, reply in answers:
            ticket.answered(reply)
        if broken is not None:
            self.close(ScoringFailed(502, NO_ANSWER, failed=True))

    def _answer(
        self, answers: list[tuple[Ticket, Reply]], frame_id: int, kind: int, head: bytes, body: bytes
    ) -> None:
        ticket = self.tickets.get(frame_id)
        if ticket is None:
            raise ValueError("an answer to no request")
        if kind == frames.RESULT:
            reply = Reply(200, JSON_HEADERS, body, head.decode("ascii"), failed=False)
        elif kind == frames.REPLY:
            said = json.loads(head)
            headers = [(_text(name), _text(value)) for name, value in said["headers"]]
            ms = said["ms"]
            reply = Reply(_status(said["status"]), headers, body, ms and _text(ms), said["failed"] is True)
            if said.get("stream"):
                if self._stream is not None or len(self.tickets) > 1:
                    raise ValueError("a streamed body among others")
                reply.stream = self._stream = BodyStream(body, self._flow, lambda: self._cancel(frame_id))
                if self.rearm is not None:
                    self.rearm(self)
                answers.append((ticket, reply))
                return
        else:
            self._go_on(frame_id, kind, head, body)
            return
        if self._stream is not None:
            raise ValueError("a second answer to a request")
        del self.tickets[frame_id]
        answers.append((ticket, reply))

    def _go_on(self, frame_id: int, kind: int, head: bytes, body: bytes) -> None:
        stream = self._stream
        if stream is None:
            raise ValueError("a part of no body")
        if kind == frames.CHUNK:
            if self.rearm is not None:
                self.rearm(self)
            stream.feed(body)
        elif kind == frames.END:
            stream.end("The scoring script failed while its answer was sent." if head else None)
            self._stream = None
            del self.tickets[frame_id]
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
        self.deadline = None

    def _cancel(self, frame_id: int) -> None:
        if self._outlet is not None and not self.closed:
            self._outlet.write(frames.encode(frame_id, frames.CANCEL, b"", b""))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The worker is gone; the requests it had are lost with it."""
        self.close(ScoringFailed(502, "The worker died while it ran the scoring script.", failed=True))

    def close(self, reason: ScoringFailed) -> None:
        """Ends the connection; requests in flight fail for ``reason``."""
        if self.closed:
            return
        self.closed = True
        self.deadline = None
        stream, self._stream = self._stream, None
        tickets, self.tickets = list(self.tickets.values()), {}
        if self._transport is not None and self._outlet is not None:
            self._outlet.close()
            self._transport.abort()
        if stream is not None:
            stream.end(str(reason))
        else:
            for ticket in tickets:
                if not ticket.done:
                    ticket.failed(reason)
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
