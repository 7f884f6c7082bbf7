"""A queue's messages and what may happen to them: Service Bus semantics without I/O, clock or randomness.

    scheduled ──due──▶ ready ──lock──▶ locked ──complete──▶ gone
                         ▲               │ abandon, lock expired: one delivery more
                         └───────────────┤ defer ──▶ deferred ──lock by number──▶ locked
                                         └ dead-letter, too many deliveries ──▶ the dead-letter queue

What a call changes that has to be on disk is left in `changes`, in order; whoever calls takes it from there.
Sources: learn.microsoft.com, "Message transfers, locks, and settlement", "Dead-letter queues", "Message deferral",
"Message expiration"; the two reasons are Azure's words.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from mooring_server.domain.servicebus import QueueSettings

READY, LOCKED, DEFERRED, SCHEDULED = "ready", "locked", "deferred", "scheduled"
FOREVER = float("inf")
TOO_MANY_DELIVERIES = "MaxDeliveryCountExceeded"
EXPIRED = ("TTLExpiredException", "The message expired and was dead lettered.")


@dataclass(slots=True)
class Message:
    """All of a message but its bytes. Times are seconds since 1970.

    Attributes:
        seq: its sequence number, by which it is found in the store.
        size: bytes.
        enqueued: when it was accepted, or will be: a scheduled message is enqueued when it is due.
        ttl: how long it lives after that, by its sender; infinite if nothing was said.
        deliveries: how often it was given out without success.
        place: `READY`, `LOCKED`, `DEFERRED` or `SCHEDULED`.
        deferred: whether it is a deferred one, also while it is locked.
        token: of its lock.
        until: when the lock ends.
        reason: why it is in a dead-letter queue, in one word; None elsewhere.
        description: the same in a sentence.
    """

    seq: int
    size: int
    enqueued: float
    ttl: float = FOREVER
    deliveries: int = 0
    place: str = READY
    deferred: bool = False
    token: UUID | None = None
    until: float = 0.0
    reason: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Removed:
    """The message is gone."""

    seq: int


@dataclass(frozen=True, slots=True)
class Updated:
    """Deliveries, deferral or the time of enqueueing changed."""

    message: Message


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """The message is in the dead-letter queue now."""

    message: Message


Change = Removed | Updated | DeadLettered


class LockLost(Exception):
    """Nobody holds a lock by this token: it expired, or the message was settled."""


class Queue:
    """The messages of one queue.

    Args:
        settings: may be replaced at any time.
        dead: its dead-letter queue; None for one that is a dead-letter queue itself: nothing expires there, and
            nothing leaves it because it was delivered too often.
    """

    def __init__(self, settings: QueueSettings, dead: Queue | None = None) -> None:
        self.settings = settings
        self.dead = dead
        self.changes: list[Change] = []
        self.size = 0
        self._messages: dict[int, Message] = {}
        self._locked: dict[UUID, Message] = {}
        # Heaps; an entry that is not true any more is skipped when its turn comes.
        self._ready: list[int] = []
        self._lock_ends: list[tuple[float, UUID]] = []
        self._dues: list[tuple[float, int]] = []
        self._expiries: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def waiting(self) -> bool:
        """Whether there may be a message to give out."""
        return bool(self._ready)

    @property
    def full(self) -> bool:
        """Whether it holds what it may, its dead-letter queue counted."""
        return self.size + (self.dead.size if self.dead else 0) >= self.settings.max_megabytes << 20

    def add(self, message: Message) -> None:
        """Take in a message that is in the store: a new one, or one that was there before a restart."""
        self._messages[message.seq] = message
        self.size += message.size
        if message.place == SCHEDULED:
            heapq.heappush(self._dues, (message.enqueued, message.seq))
        elif message.place == READY:
            heapq.heappush(self._ready, message.seq)
        self._watch_expiry(message)

    def lock(self, token: UUID, now: float) -> Message | None:
        """Give out the oldest message that is ready, for `QueueSettings.lock_seconds`."""
        message = self._next(now)
        if message is not None:
            self._lock(message, token, now)
        return message

    def take(self, now: float) -> Message | None:
        """Give out the oldest message that is ready, for good."""
        message = self._next(now)
        if message is not None:
            self._remove(message)
        return message

    def find(self, seq: int, place: str, now: float) -> Message | None:
        """The message of that number, if it is in that place and not expired."""
        message = self._messages.get(seq)
        if message is None or message.place != place or self._expiry(message) <= now:
            return None
        return message

    def lock_deferred(self, message: Message, token: UUID, now: float) -> None:
        """Give out a message that `find` found deferred."""
        self._lock(message, token, now)

    def remove(self, message: Message) -> None:
        """Give out a message that `find` found, for good."""
        self._remove(message)

    def held(self, token: UUID, now: float) -> Message:
        """The message that is locked by this token.

        Raises:
            LockLost
        """
        message = self._locked.get(token)
        if message is None or message.until <= now:
            raise LockLost
        return message

    def renew(self, token: UUID, now: float) -> float:
        """Let a lock begin anew; returns when it ends.

        Raises:
            LockLost
        """
        message = self.held(token, now)
        message.until = now + self.settings.lock_seconds
        heapq.heappush(self._lock_ends, (message.until, token))
        return message.until

    def complete(self, token: UUID, now: float) -> None:
        """The message is done with.

        Raises:
            LockLost
        """
        self._remove(self.held(token, now))

    def abandon(self, token: UUID, now: float) -> None:
        """Give the message back; it counts as a delivery that failed.

        Raises:
            LockLost
        """
        self._failed(self.held(token, now), now)

    def release(self, token: UUID, now: float) -> None:
        """Give the message back as if it had never been given out.

        Raises:
            LockLost
        """
        self._back(self.held(token, now), now)

    def defer(self, token: UUID, now: float) -> None:
        """Keep the message for those who ask for it by its number.

        Raises:
            LockLost
        """
        message = self.held(token, now)
        message.deferred = True
        self._unlock(message)
        message.place = DEFERRED
        self.changes.append(Updated(message))
        self._watch_expiry(message)

    def dead_letter(self, token: UUID, now: float, reason: str | None, description: str | None) -> None:
        """Move the message to the dead-letter queue; in a dead-letter queue it is given back.

        Raises:
            LockLost
        """
        message = self.held(token, now)
        if self.dead is None:
            self._back(message, now)
        else:
            self._bury(message, reason, description)

    def peek(self, start: int, now: float) -> Iterator[Message]:
        """Messages by their numbers, from one on, whatever their place; nothing changes."""
        for seq in sorted(seq for seq in self._messages if seq >= start):
            message = self._messages[seq]
            if self._expiry(message) > now or message.place == LOCKED:
                yield message

    def tick(self, now: float) -> None:
        """Do what is due: end locks, enqueue scheduled messages, let messages expire."""
        while self._lock_ends and self._lock_ends[0][0] <= now:
            _, token = heapq.heappop(self._lock_ends)
            message = self._locked.get(token)
            if message is not None and message.until <= now:
                self._failed(message, now)
        while self._dues and self._dues[0][0] <= now:
            _, seq = heapq.heappop(self._dues)
            due = self._messages.get(seq)
            if due is not None and due.place == SCHEDULED:
                due.place = READY
                heapq.heappush(self._ready, seq)
                self.changes.append(Updated(due))
        while self._expiries and self._expiries[0][0] <= now:
            _, seq = heapq.heappop(self._expiries)
            old = self._messages.get(seq)
            if old is not None and old.place in {READY, DEFERRED}:
                self._expire(old, now)

    @property
    def next_due(self) -> float:
        """When `tick` may have something to do; infinite if never."""
        heaps = (self._lock_ends, self._dues, self._expiries)
        return min((heap[0][0] for heap in heaps if heap), default=FOREVER)

    def _next(self, now: float) -> Message | None:
        while self._ready:
            message = self._messages.get(heapq.heappop(self._ready))
            if message is None or message.place != READY:
                continue
            if self._expiry(message) > now:
                return message
            self._expire(message, now)
        return None

    def _expiry(self, message: Message) -> float:
        if self.dead is None or message.place == SCHEDULED:
            return FOREVER
        return message.enqueued + min(message.ttl, self.settings.ttl_seconds)

    def _watch_expiry(self, message: Message) -> None:
        ttl = FOREVER if self.dead is None else min(message.ttl, self.settings.ttl_seconds)
        if ttl != FOREVER:
            heapq.heappush(self._expiries, (message.enqueued + ttl, message.seq))

    def _expire(self, message: Message, now: float) -> None:
        expiry = self._expiry(message)
        if expiry > now:  # the queue's time to live has grown since
            if expiry != FOREVER:
                heapq.heappush(self._expiries, (expiry, message.seq))
        elif self.settings.dead_letter_expired:
            self._bury(message, *EXPIRED)
        else:
            self._remove(message)

    def _lock(self, message: Message, token: UUID, now: float) -> None:
        message.place, message.token = LOCKED, token
        message.until = now + self.settings.lock_seconds
        self._locked[token] = message
        heapq.heappush(self._lock_ends, (message.until, token))

    def _unlock(self, message: Message) -> None:
        if message.token is not None:
            del self._locked[message.token]
            message.token = None

    def _failed(self, message: Message, now: float) -> None:
        message.deliveries += 1
        if self.dead is not None and message.deliveries >= self.settings.max_delivery_count:
            text = f"Message could not be consumed after {message.deliveries} delivery attempts."
            self._bury(message, TOO_MANY_DELIVERIES, text)
            return
        self.changes.append(Updated(message))
        self._back(message, now)

    def _back(self, message: Message, now: float) -> None:
        self._unlock(message)
        message.place = DEFERRED if message.deferred else READY
        if self._expiry(message) <= now:
            self._expire(message, now)
            return
        if message.place == READY:
            heapq.heappush(self._ready, message.seq)
        self._watch_expiry(message)

    def _bury(self, message: Message, reason: str | None, description: str | None) -> None:
        assert self.dead is not None  # noqa: S101 - the callers know
        self._forget(message)
        message.reason, message.description = reason or "", description or ""
        message.place, message.deferred = READY, False
        self.dead.add(message)
        self.changes.append(DeadLettered(message))

    def _remove(self, message: Message) -> None:
        self._forget(message)
        self.changes.append(Removed(message.seq))

    def _forget(self, message: Message) -> None:
        self._unlock(message)
        del self._messages[message.seq]
        self.size -= message.size
