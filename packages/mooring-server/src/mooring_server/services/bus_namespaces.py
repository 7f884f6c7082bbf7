"""Service Bus namespaces."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from mooring_server.domain.errors import Conflict
from mooring_server.domain.names import check_name
from mooring_server.domain.servicebus import RIGHTS, ROOT_RULE
from mooring_server.services.bus_entities import Broker, NamespaceRef, find_namespace
from mooring_server.services.bus_rules import new_rule
from mooring_server.services.bus_views import NamespaceView, namespace_view
from mooring_server.services.context import Context, GroupRef
from mooring_server.store.bus_tables import BusNamespace
from mooring_server.store.tables import now


class BusNamespaces:
    """Create, read and delete namespaces. All are served by one broker under one address."""

    def __init__(self, context: Context, broker: Broker) -> None:
        self._context = context
        self._broker = broker

    def create(self, ref: NamespaceRef, settings: dict[str, Any]) -> tuple[NamespaceView, bool]:
        """Create a namespace with its root rule, or change one; returns it and whether it is new.

        Args:
            ref: its names.
            settings: ``location``, ``tags`` and ``sku``, as far as they are given.

        Raises:
            Conflict: ``NamespaceNameTaken``: names are unique over all subscriptions, as in Azure.
            MooringError: what `Broker.ensure` raises; nothing was created then.
        """
        check_name("subscription", ref.subscription)
        check_name("resource group", ref.resource_group)
        check_name("Service Bus namespace", ref.name)
        self._broker.ensure()
        with self._context.db.write() as session:
            row = session.scalar(select(BusNamespace).where(BusNamespace.key == ref.name.lower()))
            created = row is None
            if row is None:
                row = BusNamespace(
                    key=ref.name.lower(),
                    subscription=ref.subscription,
                    resource_group=ref.resource_group,
                    name=ref.name,
                    location="local",
                    tags={},
                    sku="Standard",
                    created=now(),
                    modified=now(),
                )
                session.add(row)
                session.flush()
                session.add(new_rule(row, "", ROOT_RULE, list(RIGHTS)))
            elif (row.subscription.lower(), row.resource_group.lower()) != (
                ref.subscription.lower(),
                ref.resource_group.lower(),
            ):
                raise Conflict(
                    "NamespaceNameTaken",
                    f"The namespace name {ref.name!r} is in use in another resource group or subscription.",
                    hint="Choose another name: it has to be the only one on this server.",
                    target=ref.name,
                )
            for name in ("location", "tags", "sku"):
                if settings.get(name) is not None:
                    setattr(row, name, settings[name])
            row.modified = now()
            session.flush()
            view = namespace_view(row, self._broker.endpoint)
        self._broker.refresh()
        return view, created

    def get(self, ref: NamespaceRef) -> NamespaceView:
        """One namespace."""
        with self._context.db.read() as session:
            return namespace_view(find_namespace(session, ref), self._broker.endpoint)

    def list(self, subscription: str, resource_group: str | None) -> list[NamespaceView]:
        """The namespaces of a subscription, or of one of its resource groups."""
        query = select(BusNamespace).where(func.lower(BusNamespace.subscription) == subscription.lower())
        if resource_group:
            query = query.where(func.lower(BusNamespace.resource_group) == resource_group.lower())
        with self._context.db.read() as session:
            rows = session.scalars(query.order_by(BusNamespace.key)).all()
            return [namespace_view(row, self._broker.endpoint) for row in rows]

    def delete(self, ref: NamespaceRef) -> None:
        """Delete a namespace with its queues, as Azure does, and all their messages."""
        with self._context.db.write() as session:
            session.delete(find_namespace(session, ref))
        self._broker.refresh()

    def delete_group(self, group: GroupRef) -> None:
        """Delete all of a resource group."""
        for view in self.list(group.subscription, group.name):
            self.delete(NamespaceRef(group.subscription, group.name, view["name"]))
