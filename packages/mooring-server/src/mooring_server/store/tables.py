"""The tables. Times are ISO 8601 strings in UTC, so that every database sorts them alike."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, MetaData, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

Json = dict[str, Any]
JsonList = list[Any]


def now() -> str:
    """The present, as the tables keep it."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")


class Base(DeclarativeBase):
    """Common metadata; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {Json: JSON, JsonList: JSON, str: String}  # noqa: RUF012 - SQLAlchemy's own form


class Workspace(Base):
    """A workspace and the credentials of its registry. ``key`` is its case-folded identity.

    ``external_registry`` is a registry elsewhere that images are pushed to: ``{address, username, password}``.
    """

    __tablename__ = "workspaces"
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    subscription: Mapped[str]
    resource_group: Mapped[str]
    name: Mapped[str]
    uid: Mapped[str]
    location: Mapped[str]
    friendly_name: Mapped[str]
    description: Mapped[str]
    tags: Mapped[Json]
    registry_name: Mapped[str] = mapped_column(unique=True)
    registry_password: Mapped[str]
    registry_password2: Mapped[str]
    external_registry: Mapped[Json | None]
    created: Mapped[str]


class Counter(Base):
    """The last version given to a name; versions are never given twice, even after deletion."""

    __tablename__ = "counters"
    workspace_id: Mapped[int] = mapped_column(
        ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True
    )
    kind: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    last: Mapped[int]


class Model(Base):
    """A version of a model; ``files`` is a list of ``{path, digest, size, executable}``."""

    __tablename__ = "models"
    __table_args__ = (UniqueConstraint("workspace_id", "name", "version"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    workspace_id: Mapped[int] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    name: Mapped[str]
    version: Mapped[int]
    description: Mapped[str | None]
    tags: Mapped[Json]
    properties: Mapped[Json]
    framework: Mapped[str]
    framework_version: Mapped[str | None]
    extra: Mapped[Json]
    files: Mapped[JsonList]
    created_by: Mapped[str]
    created: Mapped[str]
    modified: Mapped[str]


class Environment(Base):
    """A version of a registered environment; ``definition`` is Azure's JSON, ``digest`` its identity."""

    __tablename__ = "environments"
    __table_args__ = (UniqueConstraint("workspace_id", "name", "version"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    workspace_id: Mapped[int] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    name: Mapped[str]
    version: Mapped[int]
    definition: Mapped[Json]
    digest: Mapped[str]
    created: Mapped[str]


class BaseImage(Base):
    """A base image of this server; ``content`` is a `mooring_server.images.bases.base.Base`.

    ``origin`` tells people where it came from. One is the default.
    """

    __tablename__ = "base_images"
    name: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]
    content: Mapped[Json]
    origin: Mapped[str]
    is_default: Mapped[bool]
    created: Mapped[str]


class _Pushed:
    """What belongs to a repository: its name without that of the registry, which is the workspace's."""

    workspace_id: Mapped[int] = mapped_column(
        ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True, sort_order=-2
    )
    repository: Mapped[str] = mapped_column(primary_key=True, sort_order=-1)


class PushedManifest(_Pushed, Base):
    """A manifest that a client has pushed; ``refers_to`` are the digests it needs."""

    __tablename__ = "pushed_manifests"
    digest: Mapped[str] = mapped_column(primary_key=True)
    media_type: Mapped[str]
    size: Mapped[int]
    refers_to: Mapped[JsonList]
    subject: Mapped[str | None] = mapped_column(index=True)
    artifact_type: Mapped[str | None]
    annotations: Mapped[Json]
    created: Mapped[str]


class PushedTag(_Pushed, Base):
    """A name for a pushed manifest."""

    __tablename__ = "pushed_tags"
    tag: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]


class PushedBlob(_Pushed, Base):
    """A blob that was pushed to a repository, or mounted into it."""

    __tablename__ = "pushed_blobs"
    digest: Mapped[str] = mapped_column(primary_key=True)
    created: Mapped[str]


class Image(Base):
    """A version of an image. ``implicit`` ones were made for a service and go with it.

    ``label`` is a tag that the registry shows beside the version, which is one as well.
    """

    __tablename__ = "images"
    __table_args__ = (
        UniqueConstraint("workspace_id", "name", "version"),
        Index(None, "workspace_id", "implicit", "id"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    workspace_id: Mapped[int] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    workspace: Mapped[Workspace] = relationship(lazy="joined")
    name: Mapped[str]
    version: Mapped[int]
    label: Mapped[str | None]
    implicit: Mapped[bool]
    flavor: Mapped[str]
    description: Mapped[str | None]
    tags: Mapped[Json]
    properties: Mapped[Json]
    request: Mapped[Json]
    model_ids: Mapped[JsonList]
    state: Mapped[str]
    error: Mapped[Json | None]
    built: Mapped[Json | None]
    digest: Mapped[str | None] = mapped_column(index=True)
    operation_id: Mapped[str]
    created: Mapped[str]
    modified: Mapped[str]


class ImageModel(Base):
    """A model in an image: ``Image.model_ids`` once more, for those who ask in which images a model is."""

    __tablename__ = "image_models"
    __table_args__ = (Index(None, "name", "version"),)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)


class Service(Base):
    """A web service: what users asked for (``config``, ``image_id``, ``revision``) and what was last seen.

    ``revisions`` is the last number given to a revision; a number whose revision failed is never used again.
    ``generation`` counts requests; ``settled`` is the last generation whose outcome is known.
    ``active_*`` is what answers requests; after a failed update it is what ``image_id`` and ``config`` return to.
    """

    __tablename__ = "services"
    __table_args__ = (
        UniqueConstraint("workspace_id", "scope", "name"),
        Index(None, "workspace_id", "scope", "id"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(unique=True)
    workspace_id: Mapped[int] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"))
    workspace: Mapped[Workspace] = relationship(lazy="joined")
    scope: Mapped[str]
    name: Mapped[str]
    compute_type: Mapped[str]
    description: Mapped[str | None]
    tags: Mapped[Json]
    properties: Mapped[Json]
    config: Mapped[Json]
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"), index=True)
    image: Mapped[Image] = relationship(foreign_keys=[image_id], lazy="joined")
    revision: Mapped[int]
    revisions: Mapped[int]
    generation: Mapped[int]
    settled: Mapped[int]
    active_image_id: Mapped[int | None] = mapped_column(ForeignKey("images.id"), index=True)
    active_revision: Mapped[int | None]
    active_config: Mapped[Json | None]
    state: Mapped[str]
    error: Mapped[Json | None]
    observed: Mapped[Json]
    deleting: Mapped[bool]
    operation_id: Mapped[str]
    created_by: Mapped[str]
    created: Mapped[str]
    modified: Mapped[str]


class ServiceRevision(Base):
    """A revision that came up, kept to return to (`services.revisions`).

    ``withdrawn``: it was rolled back from, and is on nobody's way back.
    """

    __tablename__ = "service_revisions"
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"), index=True)
    image: Mapped[Image] = relationship(lazy="joined")
    config: Mapped[Json]
    withdrawn: Mapped[bool]
    created: Mapped[str]


class ServiceKeys(Base):
    """Keys belong to a service's name and outlive the service, so that redeploying does not lock callers out."""

    __tablename__ = "service_keys"
    workspace_id: Mapped[int] = mapped_column(
        ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True
    )
    scope: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    primary: Mapped[str]
    secondary: Mapped[str]


class Operation(Base):
    """A long operation; ``phases`` are those of `domain.lifecycle.Progress`."""

    __tablename__ = "operations"
    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[int] = mapped_column(ForeignKey("workspaces.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str]
    resource: Mapped[str]
    resource_id: Mapped[str]
    state: Mapped[str] = mapped_column(index=True)
    phases: Mapped[JsonList]
    error: Mapped[Json | None]
    created: Mapped[str]
    ended: Mapped[str | None]


class LogLine(Base):
    """One line of an operation's log; ``seq`` counts from 1 within the operation."""

    __tablename__ = "operation_log"
    operation_id: Mapped[str] = mapped_column(
        ForeignKey("operations.id", ondelete="CASCADE"), primary_key=True
    )
    seq: Mapped[int] = mapped_column(primary_key=True)
    time: Mapped[str]
    phase: Mapped[str]
    message: Mapped[str]


class Token(Base):
    """A token for callers of the native API; ``digest`` is its SHA-256, the token itself is kept nowhere.

    A plain hash is enough: a token is 256 random bits, not a password that could be guessed.
    ``everywhere``: for all workspaces. Else for those of `TokenWorkspace`, and for none once these are deleted.
    """

    __tablename__ = "tokens"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(index=True)
    digest: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str]
    everywhere: Mapped[bool]
    created_by: Mapped[str]
    created: Mapped[str]
    expires: Mapped[str | None]
    last_used: Mapped[str | None]
    revoked: Mapped[str | None]


class TokenWorkspace(Base):
    """A workspace that a token is for; it goes with the workspace, so that a later one of its name is not meant."""

    __tablename__ = "token_workspaces"
    token_id: Mapped[str] = mapped_column(ForeignKey("tokens.id", ondelete="CASCADE"), primary_key=True)
    workspace_id: Mapped[int] = mapped_column(
        ForeignKey("workspaces.id", ondelete="CASCADE"), primary_key=True
    )


class StorageAccount(Base):
    """A storage account; its containers and queues are in a database of its own below ``storage/`` (`store.storage`).

    The name is one for all groups, as in Azure. ``uid`` names the directory, so that an account that is made again
    under the name of a deleted one never sees what that one held.
    """

    __tablename__ = "storage_accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    uid: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(unique=True)
    subscription: Mapped[str]
    resource_group: Mapped[str]
    location: Mapped[str]
    kind: Mapped[str]
    sku: Mapped[str]
    tags: Mapped[Json]
    key1: Mapped[str]
    key2: Mapped[str]
    key1_created: Mapped[str]
    key2_created: Mapped[str]
    created: Mapped[str]


# Lists are newest first: the identity comes last in their indexes, so that a page is read and nothing is sorted.
Index("ix_models_workspace_name", Model.workspace_id, Model.name)
Index("ix_models_workspace_id_id", Model.workspace_id, Model.id)
Index("ix_operations_ended_created", Operation.ended, Operation.created)
