"""Resource groups, and the subscriptions they are in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from mooring_server.domain.access import Principal
from mooring_server.domain.errors import Conflict, InvalidRequest, NotFound
from mooring_server.domain.names import check_name
from mooring_server.services.context import Context, GroupRef
from mooring_server.store.arm_tables import ResourceGroup
from mooring_server.store.tables import Workspace, now

# The subscription of a machine whose user never named one; the client's commands begin there, too.
DEFAULT_SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"


class GroupView(TypedDict):
    """A resource group as callers see it; ``location`` is as it was given."""

    subscription: str
    name: str
    location: str
    tags: dict[str, str]


class ResourceGroups:
    """The use cases.

    Args:
        context: stores.
        contents: one a kind of resource: delete all that a group has of it.
    """

    def __init__(self, context: Context, contents: Sequence[Callable[[GroupRef], None]] = ()) -> None:
        self._context = context
        self._contents = contents

    def create(
        self, ref: GroupRef, location: str | None, tags: dict[str, Any] | None
    ) -> tuple[GroupView, bool]:
        """Make a group, or give one that exists other tags; returns it and whether it is new.

        Raises:
            InvalidRequest: ``LocationRequired``, ``InvalidName``.
            Conflict: ``InvalidResourceGroupLocation``.
        """
        check_name("subscription", ref.subscription)
        check_name("resource group", ref.name)
        if not location:
            raise InvalidRequest(
                "LocationRequired",
                "The location property is required for this definition.",
                hint="Any name will do; everything is on this server.",
            )
        with self._context.db.write() as session:
            view = _find(session, ref)
            if view is not None and _plain(view["location"]) != _plain(location):
                raise Conflict(
                    "InvalidResourceGroupLocation",
                    f"Invalid resource group location {location!r}. The resource group {view['name']!r} exists "
                    f"already in location {view['location']!r}.",
                    hint="Name that location, or choose another group.",
                    target=ref.name,
                )
            row = session.get(ResourceGroup, ref.key)
            if row is None:
                row = ResourceGroup(
                    key=ref.key,
                    subscription=ref.subscription,
                    name=view["name"] if view else ref.name,
                    location=view["location"] if view else location,
                    tags={},
                    created=now(),
                )
                session.add(row)
            row.tags = tags or {}
            return _view(row), view is None

    def get(self, ref: GroupRef) -> GroupView:
        """One group.

        Raises:
            NotFound: ``ResourceGroupNotFound``.
        """
        with self._context.db.read() as session:
            return require_group(session, ref)

    def exists(self, ref: GroupRef) -> bool:
        """Whether there is such a group."""
        with self._context.db.read() as session:
            return _find(session, ref) is not None

    def subscriptions(self, caller: Principal) -> list[str]:
        """Those that have something the caller may see; the default one when there is nothing yet."""
        with self._context.db.read() as session:
            workspaces = session.scalars(select(Workspace).order_by(Workspace.id)).all()
            found = {w.subscription.lower(): w.subscription for w in workspaces if caller.may_enter(w.key)}
            if caller.workspaces is None:
                for name in session.scalars(select(ResourceGroup.subscription)):
                    found.setdefault(name.lower(), name)
        return sorted(found.values()) or [DEFAULT_SUBSCRIPTION]

    def list(self, subscription: str) -> list[GroupView]:
        """The groups of a subscription, by name."""
        with self._context.db.read() as session:
            made = session.scalars(
                select(ResourceGroup).where(func.lower(ResourceGroup.subscription) == subscription.lower())
            )
            found = {row.key: _view(row) for row in made}
            inside = select(Workspace).where(func.lower(Workspace.subscription) == subscription.lower())
            for workspace in session.scalars(inside.order_by(Workspace.id)):
                key = GroupRef(workspace.subscription, workspace.resource_group).key
                found.setdefault(key, _implied(workspace))
        return [found[key] for key in sorted(found)]

    def delete(self, ref: GroupRef) -> None:
        """Delete a group and what is in it, except for workspaces: these hold models.

        Raises:
            NotFound: ``ResourceGroupNotFound``.
            Conflict: ``ResourceGroupDeletionBlocked``.
        """
        with self._context.db.read() as session:
            require_group(session, ref)
            held = session.scalars(select(Workspace.name).where(*_in(ref)).order_by(Workspace.name)).all()
        if held:
            raise Conflict(
                "ResourceGroupDeletionBlocked",
                f"The resource group {ref.name!r} holds workspaces: {', '.join(held)}. Nothing was deleted.",
                hint="Delete these first, if they are meant: mooring workspace delete.",
                target=ref.name,
            )
        for delete_contents in self._contents:
            delete_contents(ref)
        with self._context.db.write() as session:
            row = session.get(ResourceGroup, ref.key)
            if row is not None:
                session.delete(row)


def require_group(session: Session, ref: GroupRef) -> GroupView:
    """The group a caller named.

    Raises:
        NotFound: ``ResourceGroupNotFound``.
    """
    found = _find(session, ref)
    if found is None:
        raise NotFound(
            "ResourceGroupNotFound",
            f"Resource group {ref.name!r} could not be found.",
            hint=f"Make it first: az group create --name {ref.name} --location local.",
            target=ref.name,
        )
    return found


def _find(session: Session, ref: GroupRef) -> GroupView | None:
    row = session.get(ResourceGroup, ref.key)
    if row is not None:
        return _view(row)
    workspace = session.scalar(select(Workspace).where(*_in(ref)).order_by(Workspace.id).limit(1))
    return None if workspace is None else _implied(workspace)


def _in(ref: GroupRef) -> tuple[Any, Any]:
    return (
        func.lower(Workspace.subscription) == ref.subscription.lower(),
        func.lower(Workspace.resource_group) == ref.name.lower(),
    )


def _plain(location: str) -> str:
    """``West Europe`` and ``westeurope`` are the same place."""
    return location.replace(" ", "").lower()


def _view(row: ResourceGroup) -> GroupView:
    return {"subscription": row.subscription, "name": row.name, "location": row.location, "tags": row.tags}


def _implied(workspace: Workspace) -> GroupView:
    return {
        "subscription": workspace.subscription,
        "name": workspace.resource_group,
        "location": workspace.location,
        "tags": {},
    }
