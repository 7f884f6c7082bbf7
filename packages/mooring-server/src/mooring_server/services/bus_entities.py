"""How Service Bus use cases find what callers name, and what they ask of the broker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from mooring_server.domain.errors import NotFound
from mooring_server.domain.servicebus import QueueSettings
from mooring_server.servicebus.counts import QueueCounts
from mooring_server.servicebus.entities import Entities, Namespace, Queue, Rule
from mooring_server.store.bus_tables import BusNamespace, BusQueue, BusRule
from mooring_server.store.database import Database


class Broker(Protocol):
    """What the use cases need of the broker (`servicebus.process.BrokerProcess`)."""

    @property
    def tls(self) -> bool:
        """Whether it speaks TLS."""

    @property
    def endpoint(self) -> str | None:
        """``sb://host:port/``; None before it was ever started."""

    def ensure(self) -> None:
        """Start it unless it runs.

        Raises:
            MooringError: ``ServiceBusNotInstalled``, ``ServiceBusNotStarted``, ``PortTaken``.
        """

    def refresh(self) -> None:
        """Tell it what the tables say, if it runs; when this returns it does so."""

    def counts(self, queues: list[str]) -> dict[str, QueueCounts]:
        """What is in queues, by their uid; those never used have zeroes."""


@dataclass(frozen=True)
class NamespaceRef:
    """The names by which a caller speaks of a namespace."""

    subscription: str
    resource_group: str
    name: str


def find_namespace(session: Session, ref: NamespaceRef) -> BusNamespace:
    """The namespace a caller named.

    Raises:
        NotFound: ``NamespaceNotFound``.
    """
    found = session.scalar(select(BusNamespace).where(BusNamespace.key == ref.name.lower()))
    same = found is not None and (
        (found.subscription.lower(), found.resource_group.lower())
        == (ref.subscription.lower(), ref.resource_group.lower())
    )
    if found is None or not same:
        raise NotFound(
            "NamespaceNotFound",
            f"There is no Service Bus namespace {ref.name!r} in resource group {ref.resource_group!r}, "
            f"subscription {ref.subscription!r}.",
            hint="`mooring servicebus namespace list` shows them; `... namespace create` makes one.",
            target=ref.name,
        )
    return found


def find_queue(session: Session, namespace: BusNamespace, name: str) -> BusQueue:
    """A queue of the namespace.

    Raises:
        NotFound: ``QueueNotFound``.
    """
    key = name.lower()
    found = session.scalar(select(BusQueue).where(BusQueue.namespace_id == namespace.id, BusQueue.key == key))
    if found is None:
        raise NotFound(
            "QueueNotFound",
            f"Namespace {namespace.name!r} has no queue {name!r}.",
            hint="`mooring servicebus queue list` shows them; `... queue create` makes one.",
            target=name,
        )
    return found


def entities(database: Database) -> Entities:
    """All there is, in the form that the broker reads."""
    with database.read() as session:
        rules = session.scalars(select(BusRule)).all()
        queues = session.scalars(select(BusQueue)).all()
        return Entities(
            tuple(
                Namespace(
                    namespace.key,
                    tuple(_queue(queue) for queue in queues if queue.namespace_id == namespace.id),
                    tuple(
                        Rule(r.name, r.queue, tuple(r.rights), (r.primary, r.secondary))
                        for r in rules
                        if r.namespace_id == namespace.id
                    ),
                )
                for namespace in session.scalars(select(BusNamespace).order_by(BusNamespace.key))
            )
        )


def _queue(row: BusQueue) -> Queue:
    return Queue(row.uid, row.name, QueueSettings().changed(row.settings))
