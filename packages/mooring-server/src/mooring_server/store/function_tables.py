"""The tables of function apps and the plans they name."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from mooring_server.store.tables import Base, Json, JsonList


class Plan(Base):
    """An App Service plan: a name for what apps share in Azure. Here it limits nothing."""

    __tablename__ = "plans"
    key: Mapped[str] = mapped_column(primary_key=True)
    group: Mapped[str] = mapped_column(index=True)
    subscription: Mapped[str]
    resource_group: Mapped[str]
    name: Mapped[str]
    location: Mapped[str]
    sku: Mapped[str]
    tags: Mapped[Json]
    created: Mapped[str]


class FunctionApp(Base):
    """A function app: what users asked for, and what was last seen.

    ``key`` is the case-folded name, which is one for all groups, as in Azure; ``group`` that of the resource group.
    ``generation`` counts changes, and is the number of the revision that each makes; ``settled`` is the last one
    whose outcome is known. ``image_digest`` is what ``image`` was resolved to for ``resolved``, a generation.
    """

    __tablename__ = "function_apps"
    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(unique=True)
    key: Mapped[str] = mapped_column(unique=True)
    group: Mapped[str] = mapped_column(index=True)
    subscription: Mapped[str]
    resource_group: Mapped[str]
    name: Mapped[str]
    location: Mapped[str]
    plan: Mapped[str | None]
    tags: Mapped[Json]
    image: Mapped[str]
    settings: Mapped[Json]
    enabled: Mapped[bool]
    keys: Mapped[Json]
    generation: Mapped[int]
    settled: Mapped[int]
    resolved: Mapped[int]
    image_digest: Mapped[str | None] = mapped_column(index=True)
    active_digest: Mapped[str | None] = mapped_column(index=True)
    status: Mapped[str]
    phase: Mapped[str]
    missing: Mapped[JsonList]
    error: Mapped[Json | None]
    observed: Mapped[Json]
    deleting: Mapped[bool]
    created: Mapped[str]
    modified: Mapped[str]
