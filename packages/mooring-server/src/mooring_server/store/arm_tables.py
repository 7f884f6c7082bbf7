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


class AppServicePlan(Base):
    """An App Service plan: a name that function apps refer to. ``group_key`` is the `ResourceGroup`'s."""

    __tablename__ = "app_service_plans"
    group_key: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    location: Mapped[str]
    sku: Mapped[Json]
    kind: Mapped[str]
    tags: Mapped[Json]
    created: Mapped[str]
