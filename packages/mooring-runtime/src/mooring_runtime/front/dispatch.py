"""One bounded queue in front of all workers.

A worker has one request at a time, since user code is single-threaded; of the idle workers the one that has
been idle longest gets the next request. Requests wait in the order they came, until a worker is free, or too
many wait, or one has waited too long.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from mooring_runtime.front.channel import Channel, Reply, ScoringFailed, Ticket
from mooring_runtime.front.metrics import Metrics


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
    since: float
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
        self.metrics = Metrics()
        self.channels: dict[str, Channel] = {}
        self.limits = Limits()
        self.active = False

    @property
    def in_flight(self) -> int:
        """Requests that wait or run."""
        busy = sum(channel.ticket is not None for channel in self.channels.values())
        return busy + len(self._waiting)

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    @property
    def ready(self) -> bool:
        """Whether some worker takes requests."""
        return any(not channel.draining for channel in self.channels.values())

    def submit(self, ticket: Ticket) -> asyncio.Future[Reply]:
        """Brings a request on its way.

        Returns:
            ``ticket.future``; it ends with a `Reply` or with `ScoringFailed`.

        Raises:
            ScoringFailed: no revision is active, or the queue is full.
        """
        if self._idle:
            self.metrics.queue_wait.counts[0] += 1
            self._send(self._idle.popleft(), ticket)
            return ticket.future
        if not self.active:
            self.metrics.refuse("not ready")
            raise ScoringFailed(
                503, "The service is not ready: no revision has been started yet.", retry_after=1
            )
        if len(self._waiting) >= self.limits.max_queue:
            self.metrics.refuse("queue full")
            raise ScoringFailed(
                503,
                f"The service is overloaded: {len(self._waiting)} requests are waiting already.",
                retry_after=1,
            )
        wait = self.limits.max_queue_wait_ms / 1000
        now = self._loop.time()
        self._waiting.append(Waiting(ticket, now, now + wait))
        if self._sweep is None:
            self._sweep = self._loop.call_later(wait, self._expire)
        return ticket.future

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
        if channel.ticket is None:
            self._drained(channel)

    def _free(self, channel: Channel) -> None:
        if channel.draining:
            self._drained(channel)
            return
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.ticket.future.done():
                self.metrics.queue_wait.observe(self._loop.time() - waiting.since)
                self._send(channel, waiting.ticket)
                return
        self._idle.append(channel)

    def _send(self, channel: Channel, ticket: Ticket) -> None:
        timeout = self.limits.scoring_timeout_ms / 1000
        channel.send(ticket)
        channel.timer = self._loop.call_later(timeout, self._timed_out, channel, ticket)

    def _rearm(self, channel: Channel) -> None:
        if channel.timer is not None:
            channel.timer.cancel()
        if channel.ticket is not None:
            timeout = self.limits.scoring_timeout_ms / 1000
            channel.timer = self._loop.call_later(timeout, self._timed_out, channel, channel.ticket)

    def _timed_out(self, channel: Channel, ticket: Ticket) -> None:
        if channel.ticket is not ticket:
            return
        milliseconds = self.limits.scoring_timeout_ms
        self._stuck(channel, ticket.request_id)
        channel.close(ScoringFailed(500, f"Scoring timeout after {milliseconds} ms", failed=True))

    def _expire(self) -> None:
        """Answers the requests that have waited too long; they are the first in the queue."""
        self._sweep = None
        now = self._loop.time()
        while self._waiting:
            waiting = self._waiting[0]
            if waiting.deadline > now and not waiting.ticket.future.done():
                self._sweep = self._loop.call_later(waiting.deadline - now, self._expire)
                return
            self._waiting.popleft()
            if not waiting.ticket.future.done():
                self.metrics.refuse("waited too long")
                waiting.ticket.future.set_exception(
                    ScoringFailed(
                        503,
                        f"No worker was free within {self.limits.max_queue_wait_ms} ms.",
                        retry_after=1,
                    )
                )
