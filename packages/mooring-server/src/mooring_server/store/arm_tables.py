"""The tables of what only Azure's Resource Manager knows."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from mooring_server.store.tables import Base, Json


class ResourceGroup(Base):
    """A resource group that was made by name; others are there because a workspace is in them."""

    __tablename__ = "resource_groups"
    key: Mapped[str] = mapped_column(primary_key=True)
    subscription: Mapped[str]
    name: Mapped[str]
    location: Mapped[str]
    tags: Mapped[Json]
    created: Mapped[str]
