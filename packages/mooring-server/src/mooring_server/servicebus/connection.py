"""A client's connection: Proton's AMQP engine between a socket and the broker. This is all that knows Proton."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

from proton import Collector, Endpoint, Event, ProtonException, Transport
from proton import Connection as Engine

from mooring_server.domain.servicebus import LISTEN, RIGHTS, SEND
from mooring_server.servicebus import sas
from mooring_server.servicebus.broker import MAX_MESSAGE, Node, Refused
from mooring_server.servicebus.codec import Malformed
from mooring_server.servicebus.framing import MAX_FRAME, Frames
from mooring_server.servicebus.hub import Hub
from mooring_server.servicebus.links import CREDIT, Incoming, Outgoing, Refusing, Requests, refuse

log = logging.getLogger("mooring.servicebus")
CBS, MANAGEMENT = "$cbs", "/$management"
_MAX_LINKS = 1000
_CHANNELS = 15
# Azure's too: after so long without a frame a connection is given up.
_IDLE_SECONDS = 240.0
# Bytes of one client's messages that are on their way to disk before no more are read from it.
_MAX_PENDING = 8 << 20
_MAX_PARTIAL = 16 << 20


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.closed = False
        self.since = hub.broker.clock()
        self.grants: dict[tuple[str, str, str], sas.Grant] = {}
        self.replies: dict[str, Any] = {}
        self.links: dict[Any, Incoming | Outgoing | Refusing | Requests] = {}
        self.partial = 0
        self._pending = 0
        self._frames = Frames()
        self._format = 0
        self._paused = self._scheduled = False
        self._engine = Engine()
        self._collector = Collector()
        self._engine.collect(self._collector)
        self._amqp = Transport(Transport.SERVER)
        self._amqp.max_frame_size = MAX_FRAME
        self._amqp.channel_max = _CHANNELS
        self._amqp.idle_timeout = _IDLE_SECONDS
        self._amqp.sasl().allowed_mechs("ANONYMOUS")
        self._amqp.bind(self._engine)

    # The socket.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - it is a stream
        self._socket = transport
        if not self.hub.add(self):
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read frames, one by one: a transfer's format belongs to the delivery that comes out of it."""
        try:
            for frame, message_format in self._frames.feed(data):
                self._format = message_format
                self._push(frame)
        except (
            Malformed,
            ProtonException,
            UnicodeDecodeError,
        ) as error:  # Proton gives out names as they come
            log.info("a client broke the protocol: %s", error)
            self._pump()
            self.abort()
            return
        self._pump()

    def eof_received(self) -> None:
        """The client is done."""

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget it; what it has locked stays so until the locks end."""
        self.closed = True
        self.hub.remove(self)
        for link in list(self.links):
            self._forget(link)
        self.replies.clear()
        self._amqp.unbind()
        self._collector.release()

    def pause_writing(self) -> None:
        """The client reads too slowly: what is for it waits with the broker."""
        self._paused = True

    def resume_writing(self) -> None:
        """The client reads again."""
        self._paused = False
        self._pump()

    def abort(self) -> None:
        """Drop the connection."""
        self._socket.abort()

    # What others tell it.

    def changed(self) -> None:
        """Something was put into the engine: send it soon, once for all that comes before."""
        if not self._scheduled and not self.closed:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._pump)

    def tick(self, now: float, monotonic: float) -> None:
        """Heartbeats; and clients whose tokens are over, or that never showed one."""
        self._amqp.tick(monotonic)
        if not self.grants and now - self.since > self.hub.token_seconds:
            self.abort()
            return
        for link, end in list(self.links.items()):
            self._check(link, end)
        self._pump()

    def verify(self) -> None:
        """Look at all tokens again: queues, rules or keys have changed."""
        old, self.grants = self.grants, {}
        for grant in old.values():
            with suppress(sas.BadToken):
                self.accept(grant.token)
        if old and not self.grants:
            self.since = self.hub.broker.clock()  # its links are told why; it may show another token

    def accept(self, token: str) -> None:
        """Take note of what a token gives.

        Raises:
            BadToken
        """
        grant = sas.verify(token, self.hub.broker.entities, self.hub.broker.clock())
        self.grants[grant.namespace, grant.scope, grant.queue] = grant

    def grant(self, path: str, *rights: str) -> sas.Grant | None:
        """One that gives one of these rights for a path."""
        now = self.hub.broker.clock()
        for grant in self.grants.values():
            if any(grant.allows(path, right, now) for right in rights):
                return grant
        return None

    def pending(self, size: int) -> None:
        """So many bytes more (or less) are on their way to disk."""
        self._pending += size
        if self.closed:
            return
        reading = self._socket.is_reading()
        if self._pending > _MAX_PENDING and reading:
            self._socket.pause_reading()
        elif self._pending <= _MAX_PENDING // 2 and not reading and not self._socket.is_closing():
            self._socket.resume_reading()

    def too_much(self, size: int) -> bool:
        """Whether so many bytes more of unfinished messages are more than a client may have."""
        self.partial += size
        return self.partial > _MAX_PARTIAL

    # The engine.

    def _pump(self) -> None:
        self._scheduled = False
        if self.closed:
            return
        try:
            self._exchange()
        except UnicodeDecodeError as error:
            log.info("a client broke the protocol: %s", error)
            self.abort()
        except ProtonException:
            log.exception("a connection is dropped")
            self.abort()

    def _exchange(self) -> None:
        self._handle_events()
        while not self._paused:
            size = self._amqp.pending()
            if size < 0:
                self._socket.close()
                return
            data = self._amqp.peek(size) if size else None
            if not data:
                break
            self._amqp.pop(len(data))
            self._socket.write(data)
            self._handle_events()
        for end in list(self.links.values()):
            if isinstance(end, Outgoing) and end.blocked and end.wants():
                end.blocked = False
                self.hub.later(end.node)
            elif isinstance(end, Requests):
                end.replenish()

    def _push(self, frame: bytes) -> None:
        at = 0
        while at < len(frame) and (capacity := self._amqp.capacity()) > 0:  # none when it is closed
            self._amqp.push(frame[at : at + capacity])
            at += capacity
            self._handle_events()

    def _handle_events(self) -> None:
        while (event := self._collector.peek()) is not None:
            handler = _HANDLERS.get(event.type)
            if handler is not None:
                try:
                    handler(self, event)
                except Refused as error:
                    refuse(event.link, error)
                finally:
                    self._collector.pop()
            else:
                self._collector.pop()

    def _connection_opened(self, event: Any) -> None:
        event.connection.container = "mooring"
        event.connection.open()

    def _session_opened(self, event: Any) -> None:
        event.session.open()

    def _connection_closed(self, event: Any) -> None:
        event.connection.close()

    def _session_closed(self, event: Any) -> None:
        for link in [link for link in self.links if link.session == event.session]:
            self._forget(link)
        event.session.close()

    def _link_opened(self, event: Any) -> None:
        link = event.link
        if link.state & Endpoint.LOCAL_ACTIVE:
            return
        address = (link.remote_source if link.is_sender else link.remote_target).address or ""
        link.source.address, link.target.address = link.remote_source.address, link.remote_target.address
        link.snd_settle_mode, link.rcv_settle_mode = (
            link.remote_snd_settle_mode,
            link.remote_rcv_settle_mode,
        )
        if link.is_receiver:
            link.max_message_size = MAX_MESSAGE
        link.open()
        if len(self.links) >= _MAX_LINKS:
            raise Refused("amqp:resource-limit-exceeded", f"A connection has at most {_MAX_LINKS} links.")
        path = sas.path_of(address)
        if path == CBS:
            self._attach(link, Requests(self, link, path, None))
        elif path.endswith(MANAGEMENT):
            self._attach(link, Requests(self, link, path, self._managed(path.removesuffix(MANAGEMENT))))
        elif link.is_sender:
            node = self._node(path, address, LISTEN)
            if _wants_session(link):
                raise Refused("amqp:not-allowed", "There are no sessions here: receive without a session id.")
            self._attach(link, Outgoing(self, link, node))
        else:
            try:
                self._attach(link, Incoming(self, link, self._node(path, address, SEND)))
            except Refused as error:
                self._attach(link, Refusing(link, error))

    def _managed(self, path: str) -> Node | Refused:
        try:
            return self._node(path, path, *RIGHTS)
        except Refused as error:
            return error

    def _node(self, path: str, address: str, *rights: str) -> Node:
        grant = self.grant(path, *rights)
        if grant is None:
            text = f"Unauthorized access. {' or '.join(rights)} claims are needed for {address!r}."
            raise Refused("amqp:unauthorized-access", text, 401)
        node = self.hub.broker.node(grant.namespace, path)
        if node is None:
            raise Refused("amqp:not-found", f"The messaging entity {address!r} could not be found.", 404)
        return node

    def _attach(self, link: Any, end: Incoming | Outgoing | Refusing | Requests) -> None:
        self.links[link] = end
        if isinstance(end, Outgoing):
            end.node.consumers.append(end)
            self.hub.later(end.node)
        elif link.is_receiver:
            link.flow(CREDIT)
        elif isinstance(end, Requests):
            self.replies[end.path] = link

    def _check(self, link: Any, end: Incoming | Outgoing | Refusing | Requests) -> None:
        if isinstance(end, Refusing | Requests):
            return  # the one never may, the other looks at each request
        path = end.node.path
        if end.node.gone:
            error = Refused("amqp:not-found", f"The messaging entity {path!r} was deleted.")
        elif self.grant(path, LISTEN if isinstance(end, Outgoing) else SEND) is None:
            error = Refused("amqp:unauthorized-access", "The token is not good any more.")
        else:
            return
        refuse(link, error)
        self._forget(link)
        self.links[link] = Refusing(link, error)  # a sender that has not read it yet goes on

    def _link_flow(self, event: Any) -> None:
        end = self.links.get(event.link)
        if isinstance(end, Outgoing):
            self.hub.broker.dispatch(end.node)
            end.drain()

    def _link_closed(self, event: Any) -> None:
        self._forget(event.link)
        event.link.close()

    def _link_detached(self, event: Any) -> None:
        self._forget(event.link)
        event.link.detach()

    def _delivery(self, event: Any) -> None:
        delivery = event.delivery
        end = self.links.get(delivery.link)
        if isinstance(end, Outgoing):
            end.updated(delivery)
        elif end is not None and delivery.link.is_receiver:
            end.received(delivery, self._format)
        elif delivery.settled:
            delivery.settle()

    def _forget(self, link: Any) -> None:
        end = self.links.pop(link, None)
        if isinstance(end, Outgoing) and end in end.node.consumers:
            end.node.consumers.remove(end)
        if isinstance(end, Requests) and self.replies.get(end.path) == link:
            del self.replies[end.path]
        if not isinstance(end, Outgoing) and end is not None:
            end.discard()


def _wants_session(link: Any) -> bool:
    filters = link.remote_source.filter
    filters.rewind()
    return filters.next() is not None and "session-filter" in str(filters.get_object())


_HANDLERS = {
    Event.CONNECTION_REMOTE_OPEN: Connection._connection_opened,  # noqa: SLF001 - a part of the class
    Event.SESSION_REMOTE_OPEN: Connection._session_opened,  # noqa: SLF001
    Event.CONNECTION_REMOTE_CLOSE: Connection._connection_closed,  # noqa: SLF001
    Event.SESSION_REMOTE_CLOSE: Connection._session_closed,  # noqa: SLF001
    Event.LINK_REMOTE_OPEN: Connection._link_opened,  # noqa: SLF001
    Event.LINK_REMOTE_CLOSE: Connection._link_closed,  # noqa: SLF001
    Event.LINK_REMOTE_DETACH: Connection._link_detached,  # noqa: SLF001
    Event.LINK_FLOW: Connection._link_flow,  # noqa: SLF001
    Event.DELIVERY: Connection._delivery,  # noqa: SLF001
}
