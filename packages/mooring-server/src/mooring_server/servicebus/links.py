"""The ends of a client's links: messages in, messages out, requests."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, Any

from proton import Condition, Delivery, Endpoint, ProtonException, symbol

from mooring_server.servicebus import sas
from mooring_server.servicebus.broker import MAX_MESSAGE, Node, Refused
from mooring_server.servicebus.codec import Malformed
from mooring_server.servicebus.management import LOCK_LOST, Management, Reply
from mooring_server.servicebus.queue import LockLost, Queue
from mooring_server.servicebus.sections import Request, messages_of, read_request, write_reply

if TYPE_CHECKING:
    from mooring_server.servicebus.connection import Connection

log = logging.getLogger("mooring.servicebus")
# Messages that a sender may have on their way to disk.
CREDIT = 500
# Deliveries that a receiver may leave unsettled, whatever credit it gives; Azure's clients prefetch at most 2047.
_MAX_UNSETTLED = 5000
# Bytes for a session that wait to be sent before no more are taken out of the queue for it.
_MAX_OUTGOING = 256 << 10
_MAX_REQUEST = 64 << 10


def refuse(link: Any, error: Refused) -> None:
    """Close a link and say why."""
    link.condition = _condition(error)
    link.close()


def _condition(error: Refused) -> Condition:
    """With some info, always: pyamqp reads it of a rejected message without looking whether it is there."""
    return Condition(error.condition, error.text, {symbol("broker"): "mooring"})


class _Receiving:
    """Collects the pieces of deliveries."""

    limit = MAX_MESSAGE

    def __init__(self, connection: Connection, link: Any) -> None:
        self.connection, self.link = connection, link
        self._pieces: list[bytes] = []
        self._size = 0
        self._too_large = False
        self._format = 0

    def collect(self, delivery: Any, message_format: int) -> tuple[bytes, int] | None:
        """The whole of a delivery and its format, or None while it is not there.

        Raises:
            Refused: it is larger than allowed.
        """
        if not self._size:
            self._format = message_format
        if delivery.aborted:
            self.discard()
            delivery.settle()
            return None
        data = self.link.recv(delivery.pending) if delivery.pending else b""
        if data:
            self._size += len(data)
            self._pieces.append(data)
            # What is too large is read to its end, and kept no more: refusing it sooner would mean to close the link,
            # of which pyamqp makes "unknown error".
            crowded = self.connection.too_much(len(data))
            if self._size > self.limit or crowded:
                self._too_large = True
                self.connection.too_much(-sum(map(len, self._pieces)))
                self._pieces = []
        if delivery.partial:
            return None
        self.link.advance()
        whole, too_large = b"".join(self._pieces), self._too_large
        self.discard()
        if too_large:
            raise Refused(
                "amqp:link:message-size-exceeded",
                f"The message is too large; {self.limit:,} bytes are the most.",
            )
        return whole, self._format

    def discard(self) -> None:
        """Forget what is there of a delivery."""
        self.connection.too_much(-sum(map(len, self._pieces)))
        self._pieces, self._size, self._too_large = [], 0, False


class Incoming(_Receiving):
    """A link that sends to a node."""

    def __init__(self, connection: Connection, link: Any, node: Node) -> None:
        super().__init__(connection, link)
        self.node = node

    def received(self, delivery: Any, message_format: int) -> None:
        """Take what came; it is acknowledged when it is on disk."""
        try:
            whole = self.collect(delivery, message_format)
        except Refused as error:
            self._reject(delivery, error)
            return
        if whole is None:
            return
        size = len(whole[0])

        def done(_numbers: list[int]) -> None:
            self.connection.pending(-size)
            self._answer(delivery, Delivery.ACCEPTED)

        try:
            self.connection.hub.broker.send(self.node, messages_of(*whole), done)
        except Malformed as error:
            self._reject(delivery, Refused("amqp:decode-error", f"This is no AMQP message: {error}."))
        except Refused as error:
            self._reject(delivery, error)
        else:
            self.connection.pending(size)

    def _reject(self, delivery: Any, error: Refused) -> None:
        delivery.local.condition = _condition(error)
        self._answer(delivery, Delivery.REJECTED)

    def _answer(self, delivery: Any, outcome: Any) -> None:
        if self.connection.closed or not self.link.state & Endpoint.LOCAL_ACTIVE:
            return
        delivery.update(outcome)
        delivery.settle()
        if self.link.credit < CREDIT // 2:
            self.link.flow(CREDIT - self.link.credit)
        self.connection.changed()


class Refusing:
    """A link that sends to where it may not, may no more, or to nothing. What comes is not kept.

    It is told when it sends: pyamqp takes a link for good as soon as it is attached, and makes "unknown error" of a
    detach that comes after that.
    """

    def __init__(self, link: Any, error: Refused) -> None:
        self.link = link
        self._error = error

    def received(self, delivery: Any, _format: int) -> None:
        """Refuse it."""
        if delivery.pending:
            self.link.recv(delivery.pending)
        if delivery.partial:
            return
        self.link.advance()
        delivery.local.condition = _condition(self._error)
        delivery.update(Delivery.REJECTED)
        delivery.settle()
        refuse(self.link, self._error)

    def discard(self) -> None:
        """There is nothing to forget."""


class Outgoing:
    """A link that receives from a node: a `broker.Consumer`.

    Attributes:
        removes: whether messages leave the queue as they are given out (receive and delete).
        blocked: whether it could take no more because of what waits to be sent.
    """

    def __init__(self, connection: Connection, link: Any, node: Node) -> None:
        self.connection, self.link, self.node = connection, link, node
        self.removes = link.remote_snd_settle_mode == link.SND_SETTLED
        self.blocked = False
        self._reserved = 0

    def wants(self) -> bool:
        """Whether the client has credit, settles what it has, and reads what it is sent."""
        if self.connection.closed or not self.link.state & Endpoint.LOCAL_ACTIVE:
            return False
        if self.link.credit <= self._reserved or self.link.unsettled + self._reserved >= _MAX_UNSETTLED:
            return False
        self.blocked = self.link.session.outgoing_bytes > _MAX_OUTGOING
        return not self.blocked

    def reserve(self) -> None:
        """One of the client's credits is for a message whose removal is on its way to disk."""
        self._reserved += 1

    def deliver(self, data: bytes, token: uuid.UUID | None) -> None:
        """Send a message; its lock's token is its delivery tag."""
        if token is None:
            self._reserved -= 1
        if self.connection.closed or not self.link.state & Endpoint.LOCAL_ACTIVE:
            return
        try:
            delivery = self.link.delivery((token or uuid.uuid4()).bytes_le)
            delivery.token = token
            self.link.stream(data)
            self.link.advance()
        except ProtonException:  # it concerns this client, not the one whose call led here
            log.exception("a connection is dropped")
            self.connection.abort()
            return
        if token is None:
            delivery.settle()
            self.drain()
        self.connection.changed()

    def drain(self) -> None:
        """Give back the credit of a client that wants what there is and no more."""
        if self.link.drain_mode and not self._reserved and not self.blocked:
            self.link.drained()

    def updated(self, delivery: Any) -> None:
        """The client has settled a message, or said how it wants to."""
        state = delivery.remote_state
        token: uuid.UUID | None = getattr(delivery, "token", None)
        if token is None or state not in _OUTCOMES:
            if delivery.settled:
                delivery.settle()
            return
        delivery.token = None
        remote = delivery.remote

        def change(queue: Queue, now: float) -> None:
            if state == Delivery.ACCEPTED:
                queue.complete(token, now)
            elif state == Delivery.REJECTED:
                info = (remote.condition.info if remote.condition else None) or {}
                reason, description = (
                    info.get(name) for name in ("DeadLetterReason", "DeadLetterErrorDescription")
                )
                queue.dead_letter(token, now, _text(reason), _text(description))
            elif state == Delivery.RELEASED:
                queue.release(token, now)
            elif remote.undeliverable:
                queue.defer(token, now)
            else:
                queue.abandon(token, now)

        try:
            self.connection.hub.broker.settle(self.node, change, lambda: self._answer(delivery, state))
        except LockLost:
            delivery.local.condition = _condition(LOCK_LOST)
            self._answer(delivery, Delivery.REJECTED)

    def _answer(self, delivery: Any, outcome: Any) -> None:
        if self.connection.closed:
            return
        if not delivery.settled:
            delivery.update(outcome)
        delivery.settle()
        self.connection.changed()


_OUTCOMES = (Delivery.ACCEPTED, Delivery.REJECTED, Delivery.RELEASED, Delivery.MODIFIED)


class Requests(_Receiving):
    """A link for requests to the broker (``$cbs``, ``<queue>/$management``), or the one for their answers.

    Args:
        path: of the node, in lower case.
        node: the queue that is managed; what to answer where there is none; None for ``$cbs``.
    """

    limit = _MAX_REQUEST

    def __init__(self, connection: Connection, link: Any, path: str, node: Node | Refused | None) -> None:
        super().__init__(connection, link)
        self.path = path
        self._management: Management | None = None
        self._error = node if isinstance(node, Refused) else None
        if isinstance(node, Node):
            self.limit = 2 * MAX_MESSAGE  # scheduled messages come in requests
            self._management = Management(connection.hub.broker, node, self._allows)

    def received(self, delivery: Any, _format: int) -> None:
        """Do what the request asks."""
        try:
            whole = self.collect(delivery, 0)
            request = read_request(whole[0]) if whole is not None else None
        except (Malformed, Refused) as error:
            why = error if isinstance(error, Refused) else Refused("amqp:decode-error", str(error))
            delivery.local.condition = _condition(why)
            delivery.update(Delivery.REJECTED)
            delivery.settle()
            return
        if request is None:
            return
        delivery.update(Delivery.ACCEPTED)
        delivery.settle()
        operation = request.properties.get("operation")
        if self._management:
            self._management.handle(operation, request.value, lambda reply: self._reply(request, reply))
        elif self._error:
            self._reply(request, Reply(self._error.status, self._error.text, None, self._error.condition))
        elif operation == "put-token":
            self._reply(request, self._put_token(request))
        else:
            self._reply(request, Reply(400, "$cbs knows put-token.", None, "amqp:not-implemented"))

    def replenish(self) -> None:
        """Let the client ask more, if it reads the answers."""
        reply = self.connection.replies.get(self.path)
        if self.link.is_receiver and self.link.credit < CREDIT // 10 and self.link.state == _ACTIVE:
            waiting = reply.session.outgoing_bytes if reply is not None else 0
            if waiting <= _MAX_OUTGOING:
                self.link.flow(CREDIT // 10)
                self.connection.changed()

    def _put_token(self, request: Request) -> Reply:
        # What type it is said to be does not matter: some of Azure's SDKs say "jwt" of every token.
        try:
            self.connection.accept(str(request.value))
        except sas.BadToken as error:
            return Reply(401, str(error), None, "amqp:unauthorized-access")
        return Reply(202, "Accepted")

    def _allows(self, right: str) -> bool:
        path = self.path.rpartition("/")[0]
        return self.connection.grant(path, right) is not None

    def _reply(self, request: Request, reply: Reply) -> None:
        link = self.connection.replies.get(self.path)
        if self.connection.closed or link is None:
            return
        delivery = link.delivery(uuid.uuid4().bytes)
        link.stream(write_reply(request, reply.properties(), reply.value))
        link.advance()
        delivery.settle()
        self.connection.changed()


_ACTIVE = Endpoint.LOCAL_ACTIVE | Endpoint.REMOTE_ACTIVE


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
