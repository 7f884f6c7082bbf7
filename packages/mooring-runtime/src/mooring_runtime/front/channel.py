"""The front's connection to one worker."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from mooring_runtime.front.outlet import SLICE, Outlet
from mooring_runtime.front.reply import Reply, ScoringFailed, reply, result
from mooring_runtime.front.stream import BodyStream
from mooring_runtime.front.tokens import Tokens
from mooring_runtime.worker import frames


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


# A call that is shorter leaves room for requests behind it.
BRIEF_MS = 5.0
NO_ANSWER = "The worker answered something that is no answer. Check the logs for more info."


class Channel(asyncio.Protocol):
    """One worker: idle, or busy with one call of ``run``; requests may wait behind it, in the worker's socket.

    Args:
        worker: the supervisor's name for it.
        mode: its input mode.
        changed: called when it has answered, has begun to stream an answer, or has closed.
        batch: how many requests one call takes at most; None if ``run`` is not batched.

    Attributes:
        tickets: the requests it has, by the ids of their frames, in their order. If ``run`` is batched they are one
            call; otherwise the first runs, and those behind it can be had back (`recall`).
        returned: those that it had not begun when it closed.
        tokens: of the requests that it has not begun.
        brief: whether its last call was so short that requests may wait behind it.
        since: when the call began, as far as we know; by the loop's clock, kept by the dispatcher.
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
        self.returned: list[Ticket] = []
        self.tokens = Tokens()
        self.brief = False
        self.since = 0.0
        self.deadline: float | None = None
        self.rearm: Callable[[Channel], None] | None = None
        self._stream: BodyStream | None = None
        self._changed = changed
        self._decoder = frames.Decoder(frames.MAX_ANSWER)
        self._transport: asyncio.Transport | None = None
        self._outlet: Outlet | None = None
        self._frame_id = 0
        self._skipping: set[int] = set()

    @property
    def idle(self) -> bool:
        """Whether it has nothing to do, and nothing that it has not noticed to be recalled."""
        return not self.tickets and not self._skipping

    @property
    def streaming(self) -> bool:
        """Whether it is sending a body in parts."""
        return self._stream is not None

    @property
    def patient(self) -> bool:
        """Whether a request may wait behind the one it runs."""
        if self.batch is not None or self._skipping or self._stream is not None:
            return False
        return self.brief and not self.draining and not self.closed

    async def connect(self, path: str) -> None:
        """Connects to the worker that listens at ``path``, and shares the tokens with it.

        Raises:
            OSError: there is none.
        """
        loop = asyncio.get_running_loop()
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.setblocking(False)
            await loop.sock_connect(connection, path)
            socket.send_fds(connection, [frames.encode(0, frames.TOKENS, b"", b"")], [self.tokens.shared])
            await loop.create_unix_connection(lambda: self, sock=connection)
        except BaseException:
            connection.close()
            raise

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
        """Gives the worker requests for one call: the channel is open, and idle or `patient`."""
        outlet = self._outlet
        if outlet is None:
            raise RuntimeError("the channel has no connection")
        self.tokens.give()
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

    def recall(self, most: int | None = None) -> list[Ticket]:
        """Has the last ``most`` (or all) of the requests back that wait here and are not begun; in their order."""
        back: list[Ticket] = []
        while self.batch is None and len(self.tickets) > 1 and len(back) != most and self.tokens.take():
            frame_id, ticket = self.tickets.popitem()
            self._skipping.add(frame_id)
            back.insert(0, ticket)
        return back

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
        had = (len(self.tickets), len(self._skipping), self._stream)
        try:
            for frame in self._decoder.feed(data):
                self._answer(answers, *frame)
        except (frames.FrameError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
            sys.stderr.write(f"worker {self.worker} answered something that is no answer: {exc}\n")
            broken = exc
        # The worker first: it can go on while the answers are written.
        if broken is None and had != (len(self.tickets), len(self._skipping), self._stream):
            if not self.tickets:
                self.deadline = None
            self._changed(self)
        for ticket, answer in answers:
            ticket.answered(answer)
        if broken is not None:
            self.close(ScoringFailed(502, NO_ANSWER, failed=True))

    def _answer(
        self, answers: list[tuple[Ticket, Reply]], frame_id: int, kind: int, head: bytes, body: bytes
    ) -> None:
        if kind == frames.SKIPPED:
            self._skipping.remove(frame_id)
            return
        ticket = self.tickets.get(frame_id)
        if ticket is None or (self.batch is None and frame_id != next(iter(self.tickets))):
            raise ValueError("an answer to no request")
        if kind == frames.RESULT:
            answer = result(head, body)
            self.brief = float(answer.milliseconds or 0) < BRIEF_MS
        elif kind == frames.REPLY:
            answer, streamed = reply(head, body)
            self.brief = not streamed and float(answer.milliseconds or BRIEF_MS) < BRIEF_MS
            if streamed:
                if self._stream is not None or (self.batch is not None and len(self.tickets) > 1):
                    raise ValueError("a streamed body among others")
                answer.stream = self._stream = BodyStream(body, self._flow, lambda: self._cancel(frame_id))
                if self.rearm is not None:
                    self.rearm(self)
                answers.append((ticket, answer))
                return
        else:
            self._go_on(frame_id, kind, head, body)
            return
        if self._stream is not None:
            raise ValueError("a second answer to a request")
        del self.tickets[frame_id]
        answers.append((ticket, answer))

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
        """The worker is gone; what it had begun is lost with it."""
        self.close(ScoringFailed(502, "The worker died while it ran the scoring script.", failed=True))

    def close(self, reason: ScoringFailed) -> None:
        """Ends the connection; requests in flight fail for ``reason``."""
        if self.closed:
            return
        self.returned = self.recall()
        self.closed = True
        self.deadline = None
        stream, self._stream = self._stream, None
        tickets, self.tickets = list(self.tickets.values()), {}
        while self.tokens.take():  # If it lives, it must not begin what fails now.
            pass
        self.tokens.close()
        if self._transport is not None and self._outlet is not None:
            self._outlet.close()
            self._transport.abort()
        if stream is not None:
            stream.end(str(reason))
        for ticket in tickets[stream is not None :]:
            if not ticket.done:
                ticket.failed(reason)
        self._changed(self)
