"""The queue against a model that does everything by looking at all messages."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from mooring_server.domain.servicebus import QueueSettings
from mooring_server.servicebus.queue import (
    DEFERRED,
    FOREVER,
    LOCKED,
    READY,
    SCHEDULED,
    DeadLettered,
    LockLost,
    Message,
    Queue,
    Removed,
)


@dataclass
class Expected:
    """One message, as the model sees it. ``place`` may be "dead" or "gone", too."""

    seq: int
    at: float
    ttl: float
    place: str
    deliveries: int = 0
    deferred: bool = False
    until: float = 0.0
    token: UUID | None = None
    reason: str = ""

    @property
    def expires(self) -> float:
        return self.at + self.ttl


class Machine(RuleBasedStateMachine):
    tokens = Bundle("tokens")

    @initialize(deliveries=st.integers(1, 3), dead=st.booleans())
    def begin(self, deliveries: int, dead: bool) -> None:
        self.settings = QueueSettings(
            lock_seconds=10, max_delivery_count=deliveries, dead_letter_expired=dead
        )
        self.dead = Queue(self.settings)
        self.queue = Queue(self.settings, self.dead)
        self.now, self.count = 1000.0, 0
        self.all: dict[int, Expected] = {}
        self.disk: dict[int, str] = {}

    @rule(ttl=st.sampled_from([FOREVER, 5.0, 25.0]), delay=st.sampled_from([0.0, 7.0]))
    def add(self, ttl: float, delay: float) -> None:
        self.count += 1
        place = SCHEDULED if delay else READY
        self.queue.add(Message(self.count, 1, self.now + delay, ttl, place=place))
        self.all[self.count] = Expected(self.count, self.now + delay, ttl, place)
        self.disk[self.count] = "main"

    @rule(target=tokens)
    def lock(self) -> object:
        token = UUID(int=self.count * 1000 + len(self.disk) + int(self.now * 10) * 10**7)
        while any(m.token == token for m in self.all.values()):
            token = UUID(int=token.int + 1)
        found = self.queue.lock(token, self.now)
        self.expire()
        ready = [m for m in self.all.values() if m.place == READY]
        if not ready:
            assert found is None
            return multiple()
        first = min(ready, key=lambda m: m.seq)
        assert found is not None
        assert (found.seq, found.deliveries) == (first.seq, first.deliveries)
        first.place, first.token, first.until = LOCKED, token, self.now + 10
        return token

    @rule()
    def take(self) -> None:
        found = self.queue.take(self.now)
        self.expire()
        ready = [m.seq for m in self.all.values() if m.place == READY]
        assert (found.seq if found else None) == (min(ready) if ready else None)
        if found:
            self.all[found.seq].place = "gone"

    @rule(token=consumes(tokens), how=st.sampled_from(["complete", "abandon", "release", "defer", "bury"]))
    def settle(self, token: UUID, how: str) -> None:
        held = next((m for m in self.all.values() if m.token == token and m.place == LOCKED), None)
        lost = held is None or held.until <= self.now
        try:
            if how == "bury":
                self.queue.dead_letter(token, self.now, "why", "because")
            else:
                getattr(self.queue, how)(token, self.now)
        except LockLost:
            assert lost
            return
        assert not lost
        assert held is not None
        if how == "complete":
            held.place = "gone"
        elif how == "bury":
            held.place, held.reason = "dead", "why"
        elif how == "defer":
            held.place, held.deferred = DEFERRED, True
        else:
            self.back(held, failed=how == "abandon")

    @rule(token=tokens)
    def renew(self, token: UUID) -> None:
        held = next((m for m in self.all.values() if m.token == token and m.place == LOCKED), None)
        try:
            until = self.queue.renew(token, self.now)
        except LockLost:
            assert held is None or held.until <= self.now
        else:
            assert held is not None
            held.until = until

    @rule(target=tokens, data=st.data())
    def receive_deferred(self, data: st.DataObject) -> object:
        seq = data.draw(st.integers(1, self.count + 1))
        token = UUID(int=(1 << 100) + seq * 10**6 + int(self.now * 10))
        found = self.queue.find(seq, DEFERRED, self.now)
        expected = self.all.get(seq)
        there = expected is not None and expected.place == DEFERRED and expected.expires > self.now
        assert (found is not None) == there
        if found is None or expected is None or any(m.token == token for m in self.all.values()):
            return multiple()
        self.queue.lock_deferred(found, token, self.now)
        expected.place, expected.token, expected.until = LOCKED, token, self.now + 10
        return token

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        seq = data.draw(st.integers(1, self.count + 1))
        found = self.queue.find(seq, SCHEDULED, self.now)
        expected = self.all.get(seq)
        assert (found is not None) == (expected is not None and expected.place == SCHEDULED)
        if found is not None and expected is not None:
            self.queue.remove(found)
            expected.place = "gone"

    @rule(seconds=st.sampled_from([0.5, 4.0, 11.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.queue.tick(self.now)
        for m in self.all.values():
            if m.place == LOCKED and m.until <= self.now:
                self.back(m, failed=True)
        for m in self.all.values():
            if m.place == SCHEDULED and m.at <= self.now:
                m.place = READY
        self.expire()
        for m in self.all.values():
            if m.place == DEFERRED:
                self.expire_one(m)

    def back(self, m: Expected, *, failed: bool) -> None:
        m.token = None
        if failed:
            m.deliveries += 1
            if m.deliveries >= self.settings.max_delivery_count:
                m.place, m.reason = "dead", "MaxDeliveryCountExceeded"
                return
        m.place = DEFERRED if m.deferred else READY
        self.expire_one(m)

    def expire(self) -> None:
        for m in self.all.values():
            if m.place == READY:
                self.expire_one(m)

    def expire_one(self, m: Expected) -> None:
        if m.expires <= self.now:
            m.place = "dead" if self.settings.dead_letter_expired else "gone"
            m.reason = "TTLExpiredException" if m.place == "dead" else ""

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "queue"):
            return
        self.queue.tick(self.now)
        self.expire()
        for m in self.all.values():
            if m.place == DEFERRED:
                self.expire_one(m)
        alive = {m.seq: m for m in self.all.values() if m.place not in {"gone", "dead"}}
        assert {m.seq: m.place for m in self.queue.peek(0, self.now)} == {
            s: m.place for s, m in alive.items()
        }
        dead = {m.seq: m.reason for m in self.all.values() if m.place == "dead"}
        assert {m.seq: m.reason for m in self.dead.peek(0, self.now)} == dead
        assert (len(self.queue), self.queue.size, len(self.dead)) == (len(alive), len(alive), len(dead))
        for change in self.queue.changes:  # what is on disk follows from the changes alone
            if isinstance(change, Removed):
                del self.disk[change.seq]
            elif isinstance(change, DeadLettered):
                self.disk[change.message.seq] = "dead"
        self.queue.changes.clear()
        expected = dict.fromkeys(alive, "main") | dict.fromkeys(dead, "dead")
        assert self.disk == expected
        due = [m.until for m in alive.values() if m.place == LOCKED]
        due += [m.at for m in alive.values() if m.place == SCHEDULED]
        assert self.queue.next_due <= min(due, default=FOREVER)


TestQueue = Machine.TestCase
TestQueue.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
