"""The broker: queues over their file, and who waits for messages of which. It knows nothing of connections."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from mooring_server.domain.servicebus import MAX_MESSAGE_KILOBYTES, QueueSettings
from mooring_server.servicebus import entities as configured
from mooring_server.servicebus.codec import Malformed
from mooring_server.servicebus.counts import DEAD_LETTER
from mooring_server.servicebus.queue import READY, SCHEDULED, Message, Queue
from mooring_server.servicebus.sections import read_head, render
from mooring_server.servicebus.store import Added, Dropped, Store, Write

# A body's limit and what may surround it.
MAX_MESSAGE = (MAX_MESSAGE_KILOBYTES + 64) << 10
Done = Callable[[], None]


class Refused(Exception):
    """What was asked cannot be done; ``condition`` is AMQP's or Azure's word for why."""

    def __init__(self, condition: str, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.condition, self.text, self.status = condition, text, status


class Consumer(Protocol):
    """Somebody who waits for messages of a node."""

    removes: bool

    def wants(self) -> bool:
        """Whether one message more can be given now."""

    def reserve(self) -> None:
        """One will be given as soon as its removal is on disk."""

    def deliver(self, data: bytes, token: uuid.UUID | None) -> None:
        """Take a message, locked by the token or gone from the queue; one that was reserved without a token."""


class Node:
    """What clients attach to: a queue or its dead-letter queue.

    Attributes:
        path: the queue's key, with `DEAD_LETTER` behind it for a dead-letter queue.
        uid: of the queue.
        name: of the queue.
    """

    def __init__(self, queue: configured.Queue, content: Queue, suffix: str = "") -> None:
        self.path, self.uid, self.name = queue.key + suffix, queue.uid, queue.name
        self.content = content
        self.consumers: deque[Consumer] = deque()
        self.gone = False


class _Pair:
    """A queue and its dead-letter queue."""

    def __init__(self, queue: configured.Queue) -> None:
        dead = Queue(queue.settings)
        self.main = Node(queue, Queue(queue.settings, dead))
        self.dead = Node(queue, dead, DEAD_LETTER)

    def configure(self, settings: QueueSettings) -> None:
        self.main.content.settings = self.dead.content.settings = settings


class Broker:
    """All queues.

    Args:
        store: has their messages.
        clock: seconds since 1970.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self.store, self.clock = store, clock
        self.entities = configured.Entities()
        self._pairs: dict[str, _Pair] = {}
        self._paths: dict[tuple[str, str], Node] = {}
        self._loaded = False

    def apply(self, entities: configured.Entities) -> None:
        """Make, change and drop queues so that these are there. The first call reads the messages that there are."""
        self.entities = entities
        wanted = {q.uid: q for namespace in entities.namespaces for q in namespace.queues}
        for uid in set(self._pairs) - set(wanted):
            pair = self._pairs.pop(uid)
            pair.main.gone = pair.dead.gone = True
            self.store.write([Dropped(uid)], _nothing)
        for uid, queue in wanted.items():
            pair = self._pairs.setdefault(uid, _Pair(queue))
            pair.configure(queue.settings)
        self._paths = {
            (namespace.name, node.path): node
            for namespace in entities.namespaces
            for queue in namespace.queues
            for node in (self._pairs[queue.uid].main, self._pairs[queue.uid].dead)
        }
        if not self._loaded:
            self._loaded = True
            self._load()

    def node(self, namespace: str, path: str) -> Node | None:
        """The queue or dead-letter queue of that path."""
        return self._paths.get((namespace, path))

    def send(
        self, node: Node, raws: list[bytes], done: Callable[[list[int]], None], *, at: float | None = None
    ) -> None:
        """Put messages into a queue; ``done`` gets their sequence numbers when they are on disk.

        Args:
            node: a queue.
            raws: the messages as they were sent, all or none of them accepted.
            done: called later.
            at: when they are to be enqueued, if not what they say themselves counts.

        Raises:
            Refused
        """
        if node.path.endswith(DEAD_LETTER):
            raise Refused("amqp:not-allowed", "Nobody can send to a dead-letter queue.")
        if node.content.full:
            raise Refused(
                "amqp:resource-limit-exceeded",
                f"The queue {node.name!r} has reached its maximum size (maxSizeInMegabytes).",
                403,
            )
        if self.store.full(sum(map(len, raws))):
            raise Refused("amqp:resource-limit-exceeded", "The broker's disk is full.", 403)
        now = self.clock()
        added: list[Write] = []
        messages: list[Message] = []
        for raw in raws:
            message = self._message(raw, at, now)
            messages.append(message)
            added.append(Added(node.uid, message, raw))

        def enqueued() -> None:
            if not node.gone:
                for message in messages:
                    node.content.add(message)
            done([message.seq for message in messages])
            self.dispatch(node)

        self.store.write(added, enqueued)

    def dispatch(self, node: Node) -> None:
        """Give messages to those who wait, in turn."""
        now = self.clock()
        taken: list[tuple[Consumer, bytes]] = []
        refused = 0
        while node.content.waiting and refused < len(node.consumers):
            consumer = node.consumers[0]
            node.consumers.rotate(-1)
            if not consumer.wants():
                refused += 1
                continue
            refused = 0
            token = uuid.uuid4()
            message = node.content.take(now) if consumer.removes else node.content.lock(token, now)
            if message is None:
                break
            data = self.render(node, message, locked=not consumer.removes)
            if consumer.removes:
                consumer.reserve()
                taken.append((consumer, data))
            else:
                consumer.deliver(data, token)
        if taken:
            self.flush(node, lambda: _hand_over(taken))
        else:
            self.flush(node)

    def settle(self, node: Node, change: Callable[[Queue, float], None], done: Done) -> None:
        """Change a node's messages, and call ``done`` when that is on disk.

        Raises:
            LockLost: what ``change`` raises; nothing was changed.
        """
        change(node.content, self.clock())
        self.flush(node, done)
        self.dispatch(node)

    def flush(self, node: Node, done: Done | None = None) -> None:
        """Bring to disk what has changed; with ``done`` also when nothing has, behind all that was told before."""
        writes: list[Write] = list(node.content.changes)
        node.content.changes.clear()
        buried = bool(node.content.dead and writes)
        if writes or done:
            self.store.write(writes, done or _nothing)
        if buried:
            self.dispatch(self._pairs[node.uid].dead) if node.uid in self._pairs else None

    def render(self, node: Node, message: Message, *, locked: bool) -> bytes:
        """A message as receivers get it."""
        return render(self.store.body(message.seq), message, locked=locked, source=node.name)

    def tick(self) -> None:
        """Do what is due in all queues."""
        now = self.clock()
        for node in self.nodes():
            if node.content.next_due <= now:
                node.content.tick(now)
                self.flush(node)
                self.dispatch(node)

    def nodes(self) -> Iterator[Node]:
        """All of them."""
        for pair in list(self._pairs.values()):
            yield pair.main
            yield pair.dead

    def _load(self) -> None:
        unknown = set()
        for queue, message in self.store.load():
            pair = self._pairs.get(queue.removesuffix(DEAD_LETTER))
            if pair is None:
                unknown.add(queue.removesuffix(DEAD_LETTER))
            else:
                (pair.dead if queue.endswith(DEAD_LETTER) else pair.main).content.add(message)
        for uid in unknown:  # of queues that were deleted while the broker did not run
            self.store.write([Dropped(uid)], _nothing)

    def _message(self, raw: bytes, at: float | None, now: float) -> Message:
        if len(raw) > MAX_MESSAGE:
            raise Refused(
                "amqp:link:message-size-exceeded",
                f"The message has {len(raw):,} bytes; {MAX_MESSAGE:,} are the most.",
            )
        try:
            head = read_head(raw)
        except Malformed as error:
            raise Refused("amqp:decode-error", f"This is no AMQP message: {error}.") from error
        due = at if at is not None else head.scheduled
        later = due is not None and due > now
        return Message(
            self.store.next_seq(),
            len(raw),
            due if later and due is not None else now,
            head.ttl,
            place=SCHEDULED if later else READY,
        )


def _hand_over(taken: list[tuple[Consumer, bytes]]) -> None:
    for consumer, data in taken:
        consumer.deliver(data, None)


def _nothing() -> None:
    pass
