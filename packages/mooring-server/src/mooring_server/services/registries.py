"""Registries: each workspace has one, made with it."""

from __future__ import annotations

import secrets

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from mooring_server.domain.errors import InvalidRequest, NotFound
from mooring_server.services.context import Context, GroupRef
from mooring_server.store.tables import Workspace

PASSWORDS = ("password", "password2")


class RegistryView(TypedDict):
    """A registry; ``workspace`` is the key of the one it belongs to."""

    subscription: str
    resource_group: str
    name: str
    location: str
    created: str
    workspace: str


class Credentials(TypedDict):
    """The registry's user and both passwords, by name."""

    username: str
    passwords: dict[str, str]


class Registries:
    """The use cases."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def list(self, subscription: str) -> list[RegistryView]:
        """The registries of a subscription."""
        query = select(Workspace).where(func.lower(Workspace.subscription) == subscription.lower())
        with self._context.db.read() as session:
            return [_view(w) for w in session.scalars(query.order_by(Workspace.registry_name))]

    def get(self, group: GroupRef, name: str) -> RegistryView:
        """One.

        Raises:
            NotFound: ``ResourceNotFound``.
        """
        with self._context.db.read() as session:
            return _view(_find(session, group, name))

    def named(self, name: str) -> RegistryView | None:
        """The one of that name, wherever it is; names are unique in a server."""
        with self._context.db.read() as session:
            found = session.scalar(select(Workspace).where(Workspace.registry_name == name.lower()))
            return None if found is None else _view(found)

    def credentials(self, group: GroupRef, name: str) -> Credentials:
        """Its user and passwords."""
        with self._context.db.read() as session:
            return _credentials(_find(session, group, name))

    def regenerate(self, group: GroupRef, name: str, password: str) -> Credentials:
        """Make another ``password`` or ``password2``; the old one opens nothing any more.

        Raises:
            InvalidRequest: ``InvalidPasswordName``.
        """
        with self._context.db.write() as session:
            workspace = _find(session, group, name)
            new_password(workspace, password)
            return _credentials(workspace)


def new_password(workspace: Workspace, name: str) -> None:
    """Make another ``password`` or ``password2`` of a workspace's registry.

    Raises:
        InvalidRequest: ``InvalidPasswordName``.
    """
    if name not in PASSWORDS:
        raise InvalidRequest(
            "InvalidPasswordName",
            f"{name!r} is no password of a registry.",
            hint=f"There are {' and '.join(PASSWORDS)}.",
        )
    setattr(workspace, f"registry_{name}", secrets.token_urlsafe(24))


def _find(session: Session, group: GroupRef, name: str) -> Workspace:
    workspace = session.scalar(select(Workspace).where(Workspace.registry_name == name.lower()))
    if workspace is None or GroupRef(workspace.subscription, workspace.resource_group).key != group.key:
        raise NotFound(
            "ResourceNotFound",
            f"The Resource 'Microsoft.ContainerRegistry/registries/{name}' under resource group {group.name!r} was "
            "not found.",
            hint="Each workspace has one, made with it; `az acr list` shows them.",
            target=name,
        )
    return workspace


def _credentials(workspace: Workspace) -> Credentials:
    return {
        "username": workspace.registry_name,
        "passwords": {name: getattr(workspace, f"registry_{name}") for name in PASSWORDS},
    }


def _view(workspace: Workspace) -> RegistryView:
    return {
        "subscription": workspace.subscription,
        "resource_group": workspace.resource_group,
        "name": workspace.registry_name,
        "location": workspace.location,
        "created": workspace.created,
        "workspace": workspace.key,
    }
