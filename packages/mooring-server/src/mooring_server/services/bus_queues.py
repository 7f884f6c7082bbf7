"""Service Bus queues."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import delete, select

from mooring_server.domain.names import check_name
from mooring_server.domain.servicebus import QueueSettings
from mooring_server.services.bus_entities import Broker, NamespaceRef, find_namespace, find_queue
from mooring_server.services.bus_views import QueueView, queue_view
from mooring_server.services.context import Context
from mooring_server.store.bus_tables import BusQueue, BusRule
from mooring_server.store.tables import now


class BusQueues:
    """Create, read and delete queues of a namespace. Queue names are compared without regard to case."""

    def __init__(self, context: Context, broker: Broker) -> None:
        self._context = context
        self._broker = broker

    def create(self, ref: NamespaceRef, name: str, settings: dict[str, Any]) -> tuple[QueueView, bool]:
        """Create a queue, or change one; returns it and whether it is new.

        Args:
            ref: the namespace.
            name: of the queue.
            settings: Azure's fields (`QueueSettings.changed`); what is absent stays or has its default.

        Raises:
            NotFound: ``NamespaceNotFound``.
            InvalidRequest: ``InvalidName`` and what `QueueSettings.changed` raises.
        """
        check_name("queue", name)
        self._broker.ensure()
        with self._context.db.write() as session:
            namespace = find_namespace(session, ref)
            key = name.lower()
            row = session.scalar(
                select(BusQueue).where(BusQueue.namespace_id == namespace.id, BusQueue.key == key)
            )
            created = row is None
            if row is None:
                row = BusQueue(
                    uid=uuid.uuid4().hex,
                    namespace=namespace,
                    key=key,
                    name=name,
                    settings={},
                    created=now(),
                    modified=now(),
                )
                session.add(row)
            row.settings = QueueSettings().changed(row.settings).changed(settings).to_json()
            row.modified = now()
            session.flush()
            view = queue_view(row, self._broker.counts([row.uid])[row.uid])
        self._broker.refresh()
        return view, created

    def get(self, ref: NamespaceRef, name: str) -> QueueView:
        """One queue."""
        with self._context.db.read() as session:
            row = find_queue(session, find_namespace(session, ref), name)
            return queue_view(row, self._broker.counts([row.uid])[row.uid])

    def list(self, ref: NamespaceRef) -> list[QueueView]:
        """The queues of a namespace."""
        with self._context.db.read() as session:
            namespace = find_namespace(session, ref)
            rows = session.scalars(
                select(BusQueue).where(BusQueue.namespace_id == namespace.id).order_by(BusQueue.key)
            ).all()
            counts = self._broker.counts([row.uid for row in rows])
            return [queue_view(row, counts[row.uid]) for row in rows]

    def delete(self, ref: NamespaceRef, name: str) -> None:
        """Delete a queue, its rules and all its messages."""
        with self._context.db.write() as session:
            row = find_queue(session, find_namespace(session, ref), name)
            session.execute(
                delete(BusRule).where(BusRule.namespace_id == row.namespace_id, BusRule.queue == row.key)
            )
            session.delete(row)
        self._broker.refresh()
