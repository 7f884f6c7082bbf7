"""The broker over its real file, without a network: consumers are lists."""

from __future__ import annotations

import queue as queues
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mooring_server.domain.servicebus import QueueSettings
from mooring_server.servicebus.broker import Broker, Node, Refused
from mooring_server.servicebus.codec import Array, UInt, encode
from mooring_server.servicebus.counts import read_counts
from mooring_server.servicebus.entities import Entities, Namespace, Queue, Rule
from mooring_server.servicebus.management import Management, Reply
from mooring_server.servicebus.sections import split
from mooring_server.servicebus.store import Store

RULE = Rule("Root", "", ("Listen", "Manage", "Send"), ("a", "b"))


def message(text: str) -> bytes:
    return b"\x00\x53\x75" + encode(text.encode())


class Taker:
    """A consumer with so much credit."""

    def __init__(self, credit: int = 1000, *, removes: bool = False) -> None:
        self.credit, self.removes = credit, removes
        self.got: list[tuple[bytes, uuid.UUID | None]] = []

    def wants(self) -> bool:
        return self.credit > 0

    def reserve(self) -> None:
        self.credit -= 1

    def deliver(self, data: bytes, token: uuid.UUID | None) -> None:
        if token is not None:
            self.credit -= 1
        self.got.append((data, token))

    @property
    def texts(self) -> list[str]:
        return [data[split(data)[-1].body + 2 :].decode() for data, _ in self.got]


class Running:
    """A broker whose commits are told when a test says so."""

    def __init__(self, path: Path, *names: str) -> None:
        self.path = path
        self.told: queues.SimpleQueue[Callable[[], None]] = queues.SimpleQueue()
        self.store = Store(path, self.told.put)
        self.now = 1000.0
        self.broker = Broker(self.store, lambda: self.now)
        self.apply(*names)

    def apply(self, *names: str, **settings: Any) -> None:
        made = tuple(Queue(f"uid-{name}", name, QueueSettings(**settings)) for name in names)
        self.broker.apply(Entities((Namespace("ns", made, (RULE,)),)))

    def node(self, path: str = "q") -> Node:
        found = self.broker.node("ns", path)
        assert found is not None
        return found

    def settle(self) -> None:
        """Wait until all that was told is on disk."""
        done = threading.Event()
        self.store.write([], done.set)
        while not done.is_set():
            self.told.get(timeout=60)()

    def send(self, *texts: str) -> list[int]:
        numbers: list[int] = []
        self.broker.send(self.node(), [message(text) for text in texts], numbers.extend)
        self.settle()
        return numbers

    def taker(self, path: str = "q", **more: Any) -> Taker:
        made = Taker(**more)
        self.node(path).consumers.append(made)
        self.broker.dispatch(self.node(path))
        self.settle()
        return made

    def restart(self, *names: str) -> Running:
        self.settle()
        self.store.close()
        return Running(self.path, *names)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path / "bus.db", "q")
    yield made
    made.settle()
    made.store.close()


def test_nothing_is_acknowledged_or_given_out_before_it_is_on_disk(running: Running) -> None:
    taker = running.taker()
    acknowledged: list[int] = []
    running.broker.send(running.node(), [message("x")], acknowledged.extend)
    assert (acknowledged, taker.got) == ([], [])
    running.settle()
    assert acknowledged == [1]
    assert taker.texts == ["x"]
    with closing(sqlite3.connect(running.path)) as other:
        assert other.execute("SELECT count(*) FROM messages").fetchone() == (1,)


def test_consumers_have_their_turns_and_those_without_credit_hold_nobody(running: Running) -> None:
    idle, first, second = running.taker(credit=0), running.taker(), running.taker()
    running.send(*(str(n) for n in range(10)))
    assert idle.got == []
    assert (len(first.got), len(second.got)) == (5, 5)


def test_a_restart_keeps_all_but_locks(running: Running) -> None:
    numbers = running.send("a", "b", "c")
    taker = running.taker(credit=2)
    (_, token), _ = taker.got
    running.broker.settle(running.node(), lambda q, now: q.complete(token, now), lambda: None)  # type: ignore[arg-type]
    again = running.restart("q")
    assert again.taker().texts == ["b", "c"]
    assert again.send("d")[0] > numbers[-1], "no number is given twice"
    running.told, running.store = again.told, again.store


def test_dead_letters_deferrals_and_schedules_survive(running: Running) -> None:
    running.send("bad", "later")
    taker = running.taker()
    tokens = [token for _, token in taker.got]
    assert tokens[0]
    assert tokens[1]
    bad, later = tokens[0], tokens[1]
    running.broker.settle(
        running.node(), lambda q, now: q.dead_letter(bad, now, "Bad", "It is."), lambda: None
    )
    running.broker.settle(running.node(), lambda q, now: q.defer(later, now), lambda: None)
    running.broker.send(running.node(), [message("soon")], lambda _: None, at=running.now + 50)
    running.settle()
    counts = read_counts(running.path, ["uid-q"])["uid-q"]
    assert (counts.active, counts.dead_letter, counts.scheduled) == (1, 1, 1)
    again = running.restart("q")
    assert again.taker("q/$deadletterqueue").texts == ["bad"]
    found = again.taker()
    assert found.texts == []
    again.now += 51
    again.broker.tick()
    again.settle()
    assert found.texts == ["soon"]
    running.told, running.store = again.told, again.store


def test_received_and_deleted_is_gone_before_it_is_given(running: Running) -> None:
    taker = Taker(removes=True)
    running.send("x", "y")
    running.node().consumers.append(taker)
    running.broker.dispatch(running.node())
    assert taker.got == []
    running.settle()
    assert taker.texts == ["x", "y"]
    assert read_counts(running.path, ["uid-q"])["uid-q"].active == 0


def test_a_deleted_queue_takes_its_messages_with_it(running: Running) -> None:
    running.send("x")
    node = running.node()
    running.apply("other")
    running.settle()
    assert node.gone
    assert running.broker.node("ns", "q") is None
    with closing(sqlite3.connect(running.path)) as other:
        assert other.execute("SELECT count(*) FROM bodies").fetchone() == (0,)
    running.apply("q")
    assert running.taker().got == []


def test_queues_deleted_while_the_broker_was_down_are_dropped(running: Running) -> None:
    running.send("x")
    again = running.restart("other")
    again.settle()
    with closing(sqlite3.connect(running.path)) as other:
        assert other.execute("SELECT count(*) FROM messages").fetchone() == (0,)
    running.told, running.store = again.told, again.store


def test_what_is_refused(running: Running) -> None:
    def condition(path: str, raw: bytes) -> str:
        with pytest.raises(Refused) as caught:
            running.broker.send(running.node(path), [raw], lambda _: None)
        return caught.value.condition

    assert condition("q", b"no message") == "amqp:decode-error"
    assert condition("q", message("x" * 1_200_000)) == "amqp:link:message-size-exceeded"
    assert condition("q/$deadletterqueue", message("x")) == "amqp:not-allowed"
    running.apply("q", max_megabytes=1)
    running.send("x" * 1_050_000)
    assert condition("q", message("x")) == "amqp:resource-limit-exceeded"


class Asking:
    def __init__(self, running: Running, *rights: str) -> None:
        self.running = running
        self.management = Management(running.broker, running.node(), lambda right: right in rights)

    def __call__(self, operation: str, body: Any) -> Reply:
        answers: list[Reply] = []
        self.management.handle(f"com.microsoft:{operation}", body, answers.append)
        self.running.settle()
        (answer,) = answers
        return answer


def test_management(running: Running) -> None:
    ask = Asking(running, "Listen", "Send")
    assert ask("peek-message", {"from-sequence-number": 0, "message-count": 5}).status == 204
    scheduled = ask("schedule-message", {"messages": [{"message": message("s")}]})
    assert scheduled.value == {"sequence-numbers": Array((1,))}
    taker = running.taker()
    (_, token) = taker.got[0]
    assert token
    tokens = {"lock-tokens": Array((token,))}
    assert ask("renew-lock", tokens).status == 200
    assert len(ask("peek-message", {"from-sequence-number": 0, "message-count": 5}).value["messages"]) == 1
    assert ask("update-disposition", {**tokens, "disposition-status": "defered"}).status == 200
    numbers = {"sequence-numbers": Array((1,))}
    found = ask("receive-by-sequence-number", {**numbers, "receiver-settle-mode": UInt(1)})
    (got,) = found.value["messages"]
    done = {"lock-tokens": Array((got["lock-token"],)), "disposition-status": "completed"}
    assert ask("update-disposition", done).status == 200
    again = ask("update-disposition", done)
    assert (again.status, again.condition) == (410, "com.microsoft:message-lock-lost")
    for operation in ("receive-by-sequence-number", "cancel-scheduled-message"):
        missing = ask(operation, numbers)
        assert (missing.status, missing.condition) == (404, "com.microsoft:message-not-found")


@pytest.mark.parametrize(
    ("operation", "body", "status"),
    [
        ("get-session-state", {}, 501),
        ("peek-message", None, 400),
        ("peek-message", {}, 400),
        ("renew-lock", {"lock-tokens": Array(("text",))}, 400),
        ("renew-lock", {"lock-tokens": 5}, 400),
        ("update-disposition", {"lock-tokens": Array((uuid.UUID(int=1),)), "disposition-status": "x"}, 410),
        ("schedule-message", {"messages": [{"message": b"none"}]}, 400),
        ("receive-by-sequence-number", {"sequence-numbers": ["x"]}, 400),
    ],
)
def test_requests_that_cannot_be(running: Running, operation: str, body: Any, status: int) -> None:
    assert Asking(running, "Listen", "Send")(operation, body).status == status


def test_requests_need_their_right(running: Running) -> None:
    body = {"from-sequence-number": 0, "message-count": 5}
    assert Asking(running, "Send")("peek-message", body).status == 401
    assert Asking(running, "Listen")("schedule-message", {"messages": []}).status == 401
