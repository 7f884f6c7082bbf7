"""The use cases of Service Bus, over one broker."""

from __future__ import annotations

from dataclasses import dataclass

from mooring_server.services.bus_entities import Broker
from mooring_server.services.bus_namespaces import BusNamespaces
from mooring_server.services.bus_queues import BusQueues
from mooring_server.services.bus_rules import BusRules
from mooring_server.services.context import Context


@dataclass(frozen=True)
class ServiceBus:
    """What edges need of it."""

    namespaces: BusNamespaces
    queues: BusQueues
    rules: BusRules

    @classmethod
    def over(cls, context: Context, broker: Broker) -> ServiceBus:
        """All of them."""
        return cls(BusNamespaces(context, broker), BusQueues(context, broker), BusRules(context, broker))
