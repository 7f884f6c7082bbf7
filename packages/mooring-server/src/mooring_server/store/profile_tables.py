"""The table of profiles."""

from __future__ import annotations

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from mooring_server.store.tables import Base, Json, Workspace


class Profile(Base):
    """A measurement of an image: what was asked for, and what came of it.

    ``request`` has ``cpu``, ``memoryInGB`` and ``inputs``, the digest of the requests to send (a JSON array of texts).
    ``image_id`` is the image's while it is built and measured. ``uid`` is what the target knows it by meanwhile.
    """

    __tablename__ = "profiles"
    __table_args__ = (UniqueConstraint("workspace_id", "name"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(unique=True)
    workspace_id: Mapped[int] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    workspace: Mapped[Workspace] = relationship(lazy="joined")
    name: Mapped[str]
    description: Mapped[str | None]
    request: Mapped[Json]
    image_id: Mapped[int | None]
    operation_id: Mapped[str]
    state: Mapped[str]
    result: Mapped[Json]
    error: Mapped[Json | None]
    created: Mapped[str]
