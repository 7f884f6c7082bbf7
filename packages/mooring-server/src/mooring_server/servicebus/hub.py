"""All connections of the broker, and its clock."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from mooring_server.servicebus.broker import Broker, Node
from mooring_server.servicebus.entities import Entities

if TYPE_CHECKING:
    from mooring_server.servicebus.connection import Connection

# More would take the file descriptors that the broker needs itself.
_MAX_CONNECTIONS = 4000
_TICK_SECONDS = 0.1
_HEARTBEAT_SECONDS = 1.0


class Hub:
    """Who is connected.

    Args:
        broker: the queues.
        token_seconds: how long a connection may be without a good token.
    """

    def __init__(self, broker: Broker, token_seconds: float = 60.0) -> None:
        self.broker = broker
        self.token_seconds = token_seconds
        self.connections: set[Connection] = set()
        self._later: set[Node] = set()

    def add(self, connection: Connection) -> bool:
        """Take in a connection; False if there are too many."""
        self.connections.add(connection)
        return len(self.connections) <= _MAX_CONNECTIONS

    def remove(self, connection: Connection) -> None:
        """It is closed."""
        self.connections.discard(connection)

    def later(self, node: Node) -> None:
        """Somebody new wants messages of a node: give them out when the events at hand are done with."""
        if not self._later:
            asyncio.get_running_loop().call_soon(self._dispatch)
        self._later.add(node)

    def apply(self, entities: Entities) -> None:
        """Other queues, rules, keys: connections lose at once what they may do no more."""
        self.broker.apply(entities)
        now = time.monotonic()
        for connection in list(self.connections):
            connection.verify()
            connection.tick(self.broker.clock(), now)

    async def run(self) -> None:
        """Do what is due, until cancelled."""
        beat = 0.0
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self.broker.tick()
            now = time.monotonic()
            if now - beat >= _HEARTBEAT_SECONDS:
                beat = now
                for connection in list(self.connections):
                    connection.tick(self.broker.clock(), now)

    def _dispatch(self) -> None:
        nodes, self._later = self._later, set()
        for node in nodes:
            self.broker.dispatch(node)
