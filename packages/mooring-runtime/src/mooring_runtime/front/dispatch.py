"""One bounded queue in front of all workers.

A worker has one call of ``run`` at a time, since user code is single-threaded; of the idle workers the one that has
been idle longest gets the next request. Requests wait in the order they came, until a worker is free, or too
many wait, or one has waited too long.

Where calls are brief, some requests wait in the worker's own socket, so that it need not wait for us between two calls.
They still count as waiting: they come back if the call before them is not brief after all, if another worker has
nothing to do, or if their worker goes; and then they have not been begun (`mooring_runtime.front.tokens`).

A batched ``run`` takes several requests in one call: what has come in one round of the event loop, or has waited for a
worker, is shared out over the idle workers. Nothing is waited for: a request that finds a worker idle is sent.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from mooring_runtime.front.channel import Channel, Ticket
from mooring_runtime.front.metrics import Metrics
from mooring_runtime.front.queue import Queue, Waiting
from mooring_runtime.front.reply import ScoringFailed

# How many requests wait in a worker's socket at most, and how long each may be.
AHEAD = 3
AHEAD_BYTES = 1 << 16
# How long a call may take until those behind it come back; and how often that is looked after.
STALE_SECONDS = 0.02


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
        self._watch: asyncio.TimerHandle | None = None
        self._guard: asyncio.TimerHandle | None = None
        self._shared = False
        self.metrics = Metrics()
        self._queue = Queue(loop, self.metrics)
        self._behind: dict[Channel, deque[Waiting]] = {}
        self.channels: dict[str, Channel] = {}
        self.limits = Limits()
        self.active = False

    @property
    def in_flight(self) -> int:
        """Requests that wait or run."""
        return len(self._queue) + sum(len(channel.tickets) for channel in self.channels.values())

    @property
    def waiting(self) -> int:
        """Requests that wait, here or in a worker's socket."""
        return len(self._queue) + sum(map(len, self._behind.values()))

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
            if self._idle[0].batch is None and not self._queue:
                self.metrics.queue_wait.counts[0] += 1
                self._send(self._idle.popleft(), [ticket])
                return
        elif not self.active:
            self.metrics.refuse("not ready")
            raise ScoringFailed(
                503, "The service is not ready: no revision has been started yet.", retry_after=1
            )
        if self._full():
            self.metrics.refuse("queue full")
            raise ScoringFailed(
                503,
                f"The service is overloaded: {self.waiting} requests are waiting already.",
                retry_after=1,
            )
        self._queue.add(ticket, self.limits.max_queue_wait_ms / 1000)
        if self._idle:
            self._share_soon()
        elif len(self._queue) == 1:
            patient = [channel for channel in self.channels.values() if channel.patient]
            if patient:
                self._fill(min(patient, key=lambda channel: len(channel.tickets)))

    def _full(self) -> bool:
        """Whether as many requests wait as may, besides those that idle workers are about to get."""
        if self.waiting < self.limits.max_queue:
            return False
        self._queue.forget_done()
        about_to_go = sum(channel.batch or 1 for channel in self._idle)
        return self.waiting >= self.limits.max_queue + about_to_go

    def attach(self, channel: Channel) -> None:
        """Takes a connected worker into service."""
        self.channels[channel.worker] = channel
        self._behind[channel] = deque()
        channel.rearm = self._rearm
        self._free(channel)

    def changed(self, channel: Channel) -> None:
        """A channel has answered a request, or has closed (`Channel`'s callback)."""
        if channel.closed:
            if self.channels.get(channel.worker) is channel:
                del self.channels[channel.worker]
            if channel in self._idle:
                self._idle.remove(channel)
            self._lost(channel)
            self._queue_again(channel, channel.returned)
            self._behind.pop(channel, None)
            return
        self._note_begun(channel)
        if channel.idle:
            self._free(channel)
        elif channel.streaming:
            self._queue_again(channel, channel.recall())
        else:
            self._fill(channel)

    def drain(self, channel: Channel) -> None:
        """Gives a worker no further requests; `drained` is called when it has finished the one it has."""
        if channel.draining:
            return
        channel.draining = True
        if channel in self._idle:
            self._idle.remove(channel)
        self._queue_again(channel, channel.recall())
        if channel.idle:
            self._drained(channel)

    def _free(self, channel: Channel) -> None:
        if channel.draining:
            self._drained(channel)
            return
        self._idle.append(channel)
        if self._shared:
            return
        if self._queue:
            self._share()
            self._fill(channel)
        else:
            # Nobody waits for one worker while another has nothing to do.
            longest = max(self._behind, key=lambda other: len(self._behind[other]))
            self._queue_again(longest, longest.recall(1))

    def _note_begun(self, channel: Channel) -> None:
        """What the worker has gone on with by itself."""
        behind = self._behind[channel]
        still = max(len(channel.tickets) - 1, 0) if channel.batch is None else 0
        if len(behind) > still:
            now = self._loop.time()
            while len(behind) > still:
                self.metrics.queue_wait.observe(now - behind.popleft().since)
            self._rearm(channel)

    def _fill(self, channel: Channel) -> None:
        """Lets requests wait in the worker's socket."""
        while channel.patient and 0 < len(channel.tickets) <= AHEAD:
            ticket = self._queue.first()
            if ticket is None or ticket.size > AHEAD_BYTES:
                return
            self._behind[channel].append(self._queue.pop())
            channel.send([ticket])
            if self._guard is None:
                self._guard = self._loop.call_later(STALE_SECONDS, self._look_behind)

    def _look_behind(self) -> None:
        """Has requests back from behind calls that are not brief."""
        self._guard = None
        before = self._loop.time() - STALE_SECONDS
        for channel, behind in list(self._behind.items()):
            if behind and channel.since <= before:
                channel.brief = False
                self._queue_again(channel, channel.recall())
        if any(self._behind.values()):
            self._guard = self._loop.call_later(STALE_SECONDS, self._look_behind)

    def _queue_again(self, channel: Channel, tickets: list[Ticket]) -> None:
        """Puts requests that were recalled from a channel where they were in the queue."""
        if not tickets:
            return
        behind = self._behind[channel]
        self._queue.again([behind.pop() for _ in tickets])
        if self._idle:
            self._share_soon()

    def _share_soon(self) -> None:
        if not self._shared:
            self._shared = True
            self._loop.call_soon(self._share)

    def _share(self) -> None:
        """Gives what waits to the idle workers."""
        self._shared = False
        while self._idle and self._queue.first() is not None:
            channel = self._idle.popleft()
            share = math.ceil(len(self._queue) / (len(self._idle) + 1))
            self._send(channel, self._queue.take(min(share, channel.batch or 1)))

    def _send(self, channel: Channel, tickets: list[Ticket]) -> None:
        if channel.batch is not None:
            self.metrics.batch.observe(len(tickets))
        channel.send(tickets)
        self._rearm(channel)

    def _rearm(self, channel: Channel) -> None:
        if not channel.tickets:
            return
        channel.since = self._loop.time()
        channel.deadline = deadline = channel.since + self.limits.scoring_timeout_ms / 1000
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
        run = list(channel.tickets.values())[: len(channel.tickets) - len(self._behind[channel])]
        self._stuck(channel, ", ".join(ticket.request_id for ticket in run))
        channel.close(ScoringFailed(500, f"Scoring timeout after {milliseconds} ms", failed=True))
