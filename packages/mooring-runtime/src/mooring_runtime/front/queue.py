"""Requests that wait for a worker, in the order they came."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from mooring_runtime.front.channel import Ticket
from mooring_runtime.front.metrics import Metrics
from mooring_runtime.front.reply import ScoringFailed

# Of the bodies in one batch, unless the first alone has more.
BATCH_BYTES = 8 << 20


@dataclass(slots=True)
class Waiting:
    """A ticket that waits, since when and until when; by the loop's clock."""

    ticket: Ticket
    since: float
    deadline: float


class Queue:
    """The requests that wait. One that needs no answer any more is forgotten when its turn comes.

    Args:
        loop: whose clock is used.
        metrics: counts those that have waited too long, and how long the others have.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, metrics: Metrics) -> None:
        self._loop = loop
        self._metrics = metrics
        self._waiting: deque[Waiting] = deque()
        self._sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, ticket: Ticket, seconds: float) -> None:
        """Lets a request wait, at most so long."""
        now = self._loop.time()
        self._waiting.append(Waiting(ticket, now, now + seconds))
        self._expire_at(now + seconds)

    def again(self, waiting: Sequence[Waiting]) -> None:
        """Puts requests where they were."""
        if waiting:
            self._waiting = deque(sorted([*waiting, *self._waiting], key=lambda one: one.since))
            self._expire_at(self._waiting[0].deadline)

    def first(self) -> Ticket | None:
        """The request that has waited longest."""
        while self._waiting and self._waiting[0].ticket.done:
            self._waiting.popleft()
        return self._waiting[0].ticket if self._waiting else None

    def pop(self) -> Waiting:
        """Removes the first."""
        return self._waiting.popleft()

    def forget_done(self) -> None:
        """Forgets all that need no answer any more."""
        self._waiting = deque(waiting for waiting in self._waiting if not waiting.ticket.done)

    def take(self, most: int) -> list[Ticket]:
        """Removes the requests that have waited longest, for a worker; at least one, which must be there."""
        now = self._loop.time()
        first = self._waiting.popleft()
        self._metrics.queue_wait.observe(now - first.since)
        taken = [first.ticket]
        size = first.ticket.size
        while self._waiting and len(taken) < most:
            since, ticket = self._waiting[0].since, self._waiting[0].ticket
            size += ticket.size
            if size > BATCH_BYTES and not ticket.done:
                break
            self._waiting.popleft()
            if not ticket.done:
                self._metrics.queue_wait.observe(now - since)
                taken.append(ticket)
        return taken

    def _expire_at(self, deadline: float) -> None:
        if self._sweep is None:
            self._sweep = self._loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        """Answers the requests that have waited too long; they are the first."""
        self._sweep = None
        now = self._loop.time()
        while self._waiting:
            waiting = self._waiting[0]
            if waiting.deadline > now and not waiting.ticket.done:
                self._expire_at(waiting.deadline)
                return
            self._waiting.popleft()
            if not waiting.ticket.done:
                self._metrics.refuse("waited too long")
                milliseconds = round((waiting.deadline - waiting.since) * 1000)
                waiting.ticket.failed(
                    ScoringFailed(503, f"No worker was free within {milliseconds} ms.", retry_after=1)
                )
