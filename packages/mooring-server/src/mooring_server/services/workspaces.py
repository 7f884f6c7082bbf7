"""Workspaces and the credentials of their registries."""

from __future__ import annotations

import hmac
import secrets
import uuid
from collections.abc import Callable
from typing import Any

from sqlalchemy import func, select

from mooring_server.domain.errors import Conflict
from mooring_server.domain.names import check_name, registry_name, workspace_id, workspace_key
from mooring_server.services.context import Context, WorkspaceRef, find_workspace
from mooring_server.services.views import WorkspaceView
from mooring_server.store.tables import Image, Model, Service, Workspace, now


def _nothing_kept(_uid: str) -> None:
    """Where no tracking server has anything of a workspace."""


class Workspaces:
    """Create, read and delete workspaces.

    Args:
        context: what use cases share.
        forget: is called with the uid of a workspace that has been deleted.
    """

    def __init__(self, context: Context, forget: Callable[[str], None] = _nothing_kept) -> None:
        self._context = context
        self._forget = forget

    def create(
        self, ref: WorkspaceRef, settings: dict[str, Any], *, exist_ok: bool
    ) -> tuple[WorkspaceView, bool]:
        """Create a workspace, or change one that may exist; returns it and whether it is new.

        Raises:
            Conflict: ``WorkspaceExists`` unless ``exist_ok``.
        """
        check_name("subscription", ref.subscription)
        check_name("resource group", ref.resource_group)
        check_name("workspace", ref.name)
        names = (ref.subscription, ref.resource_group, ref.name)
        with self._context.db.write() as session:
            workspace = session.scalar(select(Workspace).where(Workspace.key == workspace_key(*names)))
            if workspace is not None and not exist_ok:
                raise Conflict(
                    "WorkspaceExists",
                    f"Workspace {ref.name!r} exists already.",
                    hint="Use exist_ok=True, or Workspace.get().",
                    target=ref.name,
                )
            if workspace is not None:
                _change(workspace, settings)
                return _view(workspace), False
            workspace = Workspace(
                key=workspace_key(*names),
                subscription=ref.subscription,
                resource_group=ref.resource_group,
                name=ref.name,
                uid=str(uuid.uuid4()),
                location=settings.get("location") or "local",
                friendly_name=settings.get("friendlyName") or ref.name,
                description=settings.get("description") or "",
                tags=settings.get("tags") or {},
                registry_name=registry_name(*names),
                registry_password=secrets.token_urlsafe(24),
                registry_password2=secrets.token_urlsafe(24),
                created=now(),
            )
            session.add(workspace)
            session.flush()
            return _view(workspace), True

    def get(self, ref: WorkspaceRef) -> WorkspaceView:
        """One workspace."""
        with self._context.db.read() as session:
            return _view(find_workspace(session, ref))

    def list(self, subscription: str, resource_group: str | None) -> list[WorkspaceView]:
        """The workspaces of a subscription."""
        query = select(Workspace).where(func.lower(Workspace.subscription) == subscription.lower())
        if resource_group:
            query = query.where(func.lower(Workspace.resource_group) == resource_group.lower())
        with self._context.db.read() as session:
            return [_view(w) for w in session.scalars(query.order_by(Workspace.key))]

    def delete(self, ref: WorkspaceRef) -> None:
        """Delete a workspace that has no services, images and models any more, and MLflow's runs in it.

        Raises:
            Conflict: ``WorkspaceNotEmpty`` (412), with what is in it.
        """
        with self._context.db.write() as session:
            workspace = find_workspace(session, ref)
            holds = {
                kind: session.scalar(
                    select(func.count()).select_from(table).where(table.workspace_id == workspace.id)
                )
                for kind, table in (("services", Service), ("images", Image), ("models", Model))
            }
            found = ", ".join(f"{count} {kind}" for kind, count in holds.items() if count)
            if found:
                raise Conflict(
                    "WorkspaceNotEmpty",
                    f"Workspace {ref.name!r} still holds {found}.",
                    hint="Delete these first; nothing was deleted.",
                    status_code=412,
                    target=ref.name,
                )
            session.delete(workspace)
            uid = workspace.uid
        self._forget(uid)

    def list_keys(self, ref: WorkspaceRef) -> dict[str, Any]:
        """The registry's credentials, in the shape of ARM's ``listKeys``: of the one that images are pulled from."""
        with self._context.db.read() as session:
            workspace = find_workspace(session, ref)
            elsewhere = workspace.external_registry
            if elsewhere is not None:
                location, user = elsewhere["address"].partition("/")[0], elsewhere["username"]
                passwords = [elsewhere["password"]]
            else:
                location, user = self._context.address, workspace.registry_name
                passwords = [workspace.registry_password, workspace.registry_password2]
        named = zip(("password", "password2"), passwords, strict=False)
        return {
            "containerRegistryCredentials": {
                "location": location,
                "username": user,
                "passwords": [{"name": name, "value": value} for name, value in named],
            }
        }

    def authenticate_registry(self, username: str, password: str) -> str | None:
        """The registry that these credentials open, or None."""
        with self._context.db.read() as session:
            workspace = session.scalar(select(Workspace).where(Workspace.registry_name == username))
        stored = (workspace.registry_password, workspace.registry_password2) if workspace else ("", "")
        # Both are always compared, in constant time, also for a user that does not exist.
        matches = [hmac.compare_digest(password.encode(), p.encode()) for p in stored]
        return workspace.registry_name if workspace and any(matches) else None


def _change(workspace: Workspace, settings: dict[str, Any]) -> None:
    """Take over what was given; the location of a workspace never changes."""
    if settings.get("friendlyName") is not None:
        workspace.friendly_name = settings["friendlyName"]
    if settings.get("description") is not None:
        workspace.description = settings["description"]
    if settings.get("tags") is not None:
        workspace.tags = settings["tags"]


def _view(workspace: Workspace) -> WorkspaceView:
    group = f"/subscriptions/{workspace.subscription}/resourceGroups/{workspace.resource_group}/providers"
    registry = workspace.registry_name
    return {
        "id": workspace_id(workspace.subscription, workspace.resource_group, workspace.name),
        "name": workspace.name,
        "location": workspace.location,
        "type": "Microsoft.MachineLearningServices/workspaces",
        "tags": workspace.tags,
        "sku": {"name": "Basic", "tier": "Basic"},
        "workspaceid": workspace.uid,
        "friendlyName": workspace.friendly_name,
        "description": workspace.description,
        "creationTime": workspace.created,
        "containerRegistry": f"{group}/Microsoft.ContainerRegistry/registries/{registry}",
        "keyVault": f"{group}/Microsoft.Keyvault/vaults/{registry}",
        "applicationInsights": f"{group}/Microsoft.insights/components/{registry}",
        "storageAccount": f"{group}/Microsoft.Storage/storageAccounts/{registry}",
        "discoveryUrl": "",
        "identity": {"type": "None"},
        "subscription": workspace.subscription,
        "resourceGroup": workspace.resource_group,
        "provisioningState": "Succeeded",
    }
