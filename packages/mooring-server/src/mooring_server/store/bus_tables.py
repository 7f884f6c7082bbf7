"""The tables of Service Bus: what users asked for. The messages are in the broker's own file."""

from __future__ import annotations

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from mooring_server.store.tables import Base, Json, JsonList


class BusNamespace(Base):
    """A namespace. ``key`` is its case-folded name: as in Azure, no two have the same."""

    __tablename__ = "bus_namespaces"
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    subscription: Mapped[str]
    resource_group: Mapped[str]
    name: Mapped[str]
    location: Mapped[str]
    tags: Mapped[Json]
    sku: Mapped[str]
    created: Mapped[str]
    modified: Mapped[str]


class BusQueue(Base):
    """A queue; ``settings`` are those of `domain.servicebus.QueueSettings`, ``uid`` its name at the broker."""

    __tablename__ = "bus_queues"
    __table_args__ = (UniqueConstraint("namespace_id", "key"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(unique=True)
    namespace_id: Mapped[int] = mapped_column(ForeignKey("bus_namespaces.id", ondelete="CASCADE"))
    namespace: Mapped[BusNamespace] = relationship(lazy="joined")
    key: Mapped[str]
    name: Mapped[str]
    settings: Mapped[Json]
    created: Mapped[str]
    modified: Mapped[str]


class BusRule(Base):
    """An authorization rule and its keys, of a namespace or, where ``queue`` is not empty, of one queue's key."""

    __tablename__ = "bus_rules"
    __table_args__ = (UniqueConstraint("namespace_id", "queue", "key"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    namespace_id: Mapped[int] = mapped_column(ForeignKey("bus_namespaces.id", ondelete="CASCADE"))
    queue: Mapped[str]
    key: Mapped[str]
    name: Mapped[str]
    rights: Mapped[JsonList]
    primary: Mapped[str]
    secondary: Mapped[str]
