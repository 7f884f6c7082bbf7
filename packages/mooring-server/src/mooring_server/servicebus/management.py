"""What clients ask of a queue's ``$management`` node.

Source: learn.microsoft.com, "AMQP 1.0 in Azure Service Bus: request-response-based operations".
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mooring_server.domain.servicebus import LISTEN, SEND
from mooring_server.servicebus.broker import Broker, Node, Refused
from mooring_server.servicebus.codec import Array, Int, Malformed, Symbol, Timestamp
from mooring_server.servicebus.counts import DEAD_LETTER
from mooring_server.servicebus.queue import DEFERRED, SCHEDULED, LockLost, Message, Queue
from mooring_server.servicebus.sections import elements

_VENDOR = "com.microsoft:"
# What one answer may hold, beside its first message.
_MAX_MESSAGES, _MAX_BYTES = 250, 1 << 20
LOCK_LOST = Refused(
    "com.microsoft:message-lock-lost",
    "The lock supplied is invalid. Either the lock expired, or the message has already been removed from the queue.",
    410,
)


@dataclass(frozen=True)
class Reply:
    """The answer: an HTTP-like status and a value."""

    status: int
    description: str
    value: Any = None
    condition: str | None = None

    def properties(self) -> dict[str, Any]:
        """As application properties, under the names of both kinds of client."""
        named: dict[str, Any] = {}
        for code, text in (("statusCode", "statusDescription"), ("status-code", "status-description")):
            named[code], named[text] = Int(self.status), self.description
        if self.condition is not None:
            named["errorCondition"] = named["error-condition"] = Symbol(self.condition)
        return named


Answer = Callable[[Reply], None]


@dataclass
class Management:
    """Answers requests for one node. ``answer`` is called when what was asked is on disk.

    Args:
        allows: whether the client has a right.
    """

    broker: Broker
    node: Node
    allows: Callable[[str], bool]
    _operations: dict[str, tuple[str, Callable[[dict[Any, Any], Answer], None]]] = field(init=False)

    def __post_init__(self) -> None:
        """The operations, with the right each needs."""
        self._operations = {
            "renew-lock": (LISTEN, self._renew),
            "peek-message": (LISTEN, self._peek),
            "update-disposition": (LISTEN, self._dispose),
            "receive-by-sequence-number": (LISTEN, self._receive),
            "schedule-message": (SEND, self._schedule),
            "cancel-scheduled-message": (SEND, self._cancel),
        }

    def handle(self, operation: Any, body: Any, answer: Answer) -> None:
        """Do what a request asks."""
        name = str(operation).removeprefix(_VENDOR)
        if name not in self._operations:
            answer(
                Reply(501, f"The operation {name[:100]!r} is not supported.", None, "amqp:not-implemented")
            )
            return
        right, function = self._operations[name]
        try:
            function(self._checked(right, body), answer)
        except LockLost:
            answer(_refusal(LOCK_LOST))
        except Refused as error:
            answer(_refusal(error))
        except (Malformed, KeyError, ValueError, TypeError) as error:
            text = f"The request cannot be read: {error}."
            answer(Reply(400, text, None, "com.microsoft:argument-error"))

    def _checked(self, right: str, body: Any) -> dict[Any, Any]:
        if not self.allows(right):
            raise Refused("amqp:unauthorized-access", f"The right {right} is needed.", 401)
        if not isinstance(body, dict):
            raise Malformed("the request's body has to be a map")
        return body

    def _renew(self, body: dict[Any, Any], answer: Answer) -> None:
        now, tokens = self.broker.clock(), _tokens(body)
        for token in tokens:
            self.node.content.held(token, now)
        ends = [self.node.content.renew(token, now) for token in tokens]
        answer(Reply(200, "OK", {"expirations": Array(tuple(Timestamp(int(end * 1000)) for end in ends))}))

    def _peek(self, body: dict[Any, Any], answer: Answer) -> None:
        start, count = int(body["from-sequence-number"]), min(int(body["message-count"]), _MAX_MESSAGES)
        found: list[dict[str, Any]] = []
        size = 0
        for message in self.node.content.peek(start, self.broker.clock()):
            if len(found) >= count or (found and size + message.size > _MAX_BYTES):
                break
            size += message.size
            found.append({"message": self.broker.render(self.node, message, locked=False)})
        answer(Reply(200, "OK", {"messages": found}) if found else Reply(204, "No Content"))

    def _dispose(self, body: dict[Any, Any], answer: Answer) -> None:
        tokens, status = _tokens(body), str(body["disposition-status"])

        def change(queue: Queue, now: float) -> None:
            for token in tokens:
                queue.held(token, now)
            for token in tokens:
                if status == "completed":
                    queue.complete(token, now)
                elif status == "abandoned":
                    queue.abandon(token, now)
                elif status == "defered":
                    queue.defer(token, now)
                elif status == "suspended":
                    queue.dead_letter(
                        token, now, _text(body, "deadletter-reason"), _text(body, "deadletter-description")
                    )
                else:
                    raise Malformed(f"no disposition is called {status[:100]!r}")

        self.broker.settle(self.node, change, lambda: answer(Reply(200, "OK")))

    def _receive(self, body: dict[Any, Any], answer: Answer) -> None:
        removes = not int(body.get("receiver-settle-mode") or 0)
        found = self._find(body, DEFERRED)
        now, messages = self.broker.clock(), []
        for message in found:
            token = uuid.uuid4()
            if not removes:
                self.node.content.lock_deferred(message, token, now)
            rendered = self.broker.render(self.node, message, locked=not removes)
            messages.append({"message": rendered, "lock-token": token})
        for message in found if removes else ():
            self.node.content.remove(message)
        self.broker.flush(self.node, lambda: answer(Reply(200, "OK", {"messages": messages})))

    def _schedule(self, body: dict[Any, Any], answer: Answer) -> None:
        if self.node.path.endswith(DEAD_LETTER):
            raise Refused("amqp:not-allowed", "Nobody can send to a dead-letter queue.")
        raws = [item["message"] for item in elements(body["messages"])]
        if not raws or not all(isinstance(raw, bytes) for raw in raws):
            raise Malformed("messages have to be some, in bytes")

        def done(numbers: list[int]) -> None:
            answer(Reply(200, "OK", {"sequence-numbers": Array(tuple(numbers))}))

        self.broker.send(self.node, raws, done)

    def _cancel(self, body: dict[Any, Any], answer: Answer) -> None:
        for message in self._find(body, SCHEDULED):
            self.node.content.remove(message)
        self.broker.flush(self.node, lambda: answer(Reply(200, "OK")))

    def _find(self, body: dict[Any, Any], place: str) -> list[Message]:
        """The messages whose numbers a request has; all of them are there, or the request is refused."""
        now, found = self.broker.clock(), []
        for number in dict.fromkeys(int(number) for number in elements(body["sequence-numbers"])):
            message = self.node.content.find(number, place, now)
            if message is None:
                text = f"There is no {place} message with the number {number}."
                raise Refused("com.microsoft:message-not-found", text, 404)
            found.append(message)
        return found


def _refusal(error: Refused) -> Reply:
    return Reply(error.status, error.text, None, error.condition)


def _tokens(body: dict[Any, Any]) -> list[uuid.UUID]:
    tokens = elements(body["lock-tokens"])
    if not tokens or not all(isinstance(token, uuid.UUID) for token in tokens):
        raise Malformed("lock tokens have to be some UUIDs")
    return list(dict.fromkeys(tokens))


def _text(body: dict[Any, Any], name: str) -> str | None:
    value = body.get(name)
    return None if value is None else str(value)
