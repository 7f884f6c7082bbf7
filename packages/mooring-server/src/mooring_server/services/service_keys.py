"""The keys of a service. They belong to its name and outlive it: a service that is deployed again has them back."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy.orm import Session

from mooring_server.domain.errors import InvalidRequest
from mooring_server.services.views import KeysView
from mooring_server.store.tables import Service, ServiceKeys, Workspace

_KEY_BYTES = 24


def new_key() -> str:
    """A random key."""
    return secrets.token_urlsafe(_KEY_BYTES)


def set_keys(session: Session, workspace: Workspace, scope: str, name: str, keys: dict[str, Any]) -> None:
    """Store ``primaryKey`` and ``secondaryKey`` as far as they are given; a name's first keys are made up."""
    stored = session.get(ServiceKeys, (workspace.id, scope, name))
    if stored is None:
        stored = ServiceKeys(
            workspace_id=workspace.id, scope=scope, name=name, primary=new_key(), secondary=new_key()
        )
        session.add(stored)
    stored.primary = keys.get("primaryKey") or stored.primary
    stored.secondary = keys.get("secondaryKey") or stored.secondary


def keys_view(session: Session, service: Service) -> KeysView:
    """A service's keys as callers see them.

    Raises:
        InvalidRequest: ``AuthDisabled``.
    """
    assert_keys(service)
    keys = session.get_one(ServiceKeys, (service.workspace_id, service.scope, service.name))
    return {"primaryKey": keys.primary, "secondaryKey": keys.secondary}


def assert_keys(service: Service) -> None:
    """Check that the service asks for keys.

    Raises:
        InvalidRequest: ``AuthDisabled``.
    """
    if not service.config.get("authEnabled"):
        raise InvalidRequest(
            "AuthDisabled",
            f"Service {service.name!r} was deployed without authentication and has no keys.",
            hint="Deploy or update it with auth_enabled=True.",
            target=service.name,
        )
