"""One bounded queue in front of all workers.

A worker has one call of ``run`` at a time, since user code is single-threaded; of the idle workers the one that has
been idle longest gets the next request. Requests wait in the order they came, until a worker is free, or too
many wait, or one has waited too long.

A batched ``run`` takes several requests in one call: what has come in one round of the event loop, or has waited for a
worker, is shared out over the idle workers. Nothing is waited for: a request that finds a worker idle is sent.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from mooring_runtime.front.channel import Channel, ScoringFailed, Ticket

# Of the bodies in one batch, unless the first alone has more.
BATCH_BYTES = 8 << 20


@dataclass(slots=True)
class Limits:
    """What a request may cost.

    Attributes:
        scoring_timeout_ms: from the moment a worker has it.
        max_queue: requests waiting for a worker.
        max_queue_wait_ms: of one request.
    """

    scoring_timeout_ms: int = 60000
    max_queue: int = 256
    max_queue_wait_ms: int = 30000


@dataclass(slots=True)
class Waiting:
    """A ticket in the queue."""

    ticket: Ticket
    deadline: float


class Dispatcher:
    """The queue and the workers' channels.

    Args:
        loop: the event loop everything runs in.
        drained: called with a draining channel that has nothing left to do.
        lost: called with a channel whose worker went away.
        stuck: called with a channel whose worker exceeded the scoring timeout.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        drained: Callable[[Channel], None],
        lost: Callable[[Channel], None],
        stuck: Callable[[Channel, str], None],
    ) -> None:
        self._loop = loop
        self._drained = drained
        self._lost = lost
        self._stuck = stuck
        self._idle: deque[Channel] = deque()
        self._waiting: deque[Waiting] = deque()
        self._sweep: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._shared = False
        self.channels: dict[str, Channel] = {}
        self.limits = Limits()
        self.active = False

    @property
    def in_flight(self) -> int:
        """Requests that wait or run."""
        busy = sum(len(channel.tickets) for channel in self.channels.values())
        return busy + len(self._waiting)

    @property
    def ready(self) -> bool:
        """Whether some worker takes requests."""
        return any(not channel.draining for channel in self.channels.values())

    def submit(self, ticket: Ticket) -> None:
        """Brings a request on its way; it will be ``answered``, or have ``failed``.

        Raises:
            ScoringFailed: no revision is active, or the queue is full.
        """
        if self._idle:
            if self._idle[0].batch is None and not self._waiting:
                self._send(self._idle.popleft(), [ticket])
                return
        elif not self.active:
            raise ScoringFailed(
                503, "The service is not ready: no revision has been started yet.", retry_after=1
            )
        if self._full():
            raise ScoringFailed(
                503,
                f"The service is overloaded: {len(self._waiting)} requests are waiting already.",
                retry_after=1,
            )
        wait = self.limits.max_queue_wait_ms / 1000
        self._waiting.append(Waiting(ticket, self._loop.time() + wait))
        if self._sweep is None:
            self._sweep = self._loop.call_later(wait, self._expire)
        if self._idle and not self._shared:
            self._shared = True
            self._loop.call_soon(self._share)

    def _full(self) -> bool:
        """Whether as many requests wait as may, besides those that idle workers are about to get."""
        if len(self._waiting) < self.limits.max_queue:
            return False
        self._waiting = deque(waiting for waiting in self._waiting if not waiting.ticket.done)
        about_to_go = sum(channel.batch or 1 for channel in self._idle)
        return len(self._waiting) >= self.limits.max_queue + about_to_go

    def attach(self, channel: Channel) -> None:
        """Takes a connected worker into service."""
        self.channels[channel.worker] = channel
        channel.rearm = self._rearm
        self._free(channel)

    def changed(self, channel: Channel) -> None:
        """A channel has become idle or has closed (`Channel`'s callback)."""
        if not channel.closed:
            self._free(channel)
            return
        if self.channels.get(channel.worker) is channel:
            del self.channels[channel.worker]
        if channel in self._idle:
            self._idle.remove(channel)
        self._lost(channel)

    def drain(self, channel: Channel) -> None:
        """Gives a worker no further requests; `drained` is called when it has finished the one it has."""
        if channel.draining:
            return
        channel.draining = True
        if channel in self._idle:
            self._idle.remove(channel)
        if not channel.tickets:
            self._drained(channel)

    def _free(self, channel: Channel) -> None:
        if channel.draining:
            self._drained(channel)
            return
        self._idle.append(channel)
        if self._waiting and not self._shared:
            self._share()

    def _share(self) -> None:
        """Gives what waits to the idle workers."""
        self._shared = False
        self._forget_first()
        while self._waiting and self._idle:
            channel = self._idle.popleft()
            share = math.ceil(len(self._waiting) / (len(self._idle) + 1))
            self._send(channel, self._take(min(share, channel.batch or 1)))
            self._forget_first()

    def _take(self, most: int) -> list[Ticket]:
        """The requests that have waited longest; at least one."""
        taken = [self._waiting.popleft().ticket]
        size = taken[0].size
        while self._waiting and len(taken) < most:
            ticket = self._waiting[0].ticket
            size += ticket.size
            if size > BATCH_BYTES and not ticket.done:
                break
            self._waiting.popleft()
            if not ticket.done:
                taken.append(ticket)
        return taken

    def _forget_first(self) -> None:
        while self._waiting and self._waiting[0].ticket.done:
            self._waiting.popleft()

    def _send(self, channel: Channel, tickets: list[Ticket]) -> None:
        channel.send(tickets)
        self._rearm(channel)

    def _rearm(self, channel: Channel) -> None:
        if not channel.tickets:
            return
        channel.deadline = deadline = self._loop.time() + self.limits.scoring_timeout_ms / 1000
        # One timer for all, set anew only when it fires: deadlines of later requests are later, but for new limits.
        if self._watch is None or deadline < self._watch.when():
            if self._watch is not None:
                self._watch.cancel()
            self._watch = self._loop.call_at(deadline, self._look)

    def _look(self) -> None:
        """Ends the workers that have exceeded the scoring timeout."""
        self._watch = None
        now = self._loop.time()
        for channel in list(self.channels.values()):
            if channel.deadline is not None and channel.deadline <= now:
                self._timed_out(channel)
        deadlines = [c.deadline for c in self.channels.values() if c.deadline is not None]
        if deadlines and self._watch is None:
            self._watch = self._loop.call_at(min(deadlines), self._look)

    def _timed_out(self, channel: Channel) -> None:
        milliseconds = self.limits.scoring_timeout_ms
        self._stuck(channel, ", ".join(ticket.request_id for ticket in channel.tickets.values()))
        channel.close(ScoringFailed(500, f"Scoring timeout after {milliseconds} ms", failed=True))

    def _expire(self) -> None:
        """Answers the requests that have waited too long; they are the first in the queue."""
        self._sweep = None
        now = self._loop.time()
        while self._waiting:
            waiting = self._waiting[0]
            if waiting.deadline > now and not waiting.ticket.done:
                self._sweep = self._loop.call_later(waiting.deadline - now, self._expire)
                return
            self._waiting.popleft()
            if not waiting.ticket.done:
                waiting.ticket.failed(
                    ScoringFailed(
                        503,
                        f"No worker was free within {self.limits.max_queue_wait_ms} ms.",
                        retry_after=1,
                    )
                )
