"""Registered environments."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sqlalchemy import func, select

from mooring_server.domain.errors import NotFound
from mooring_server.domain.names import check_name
from mooring_server.images.dockerfiles.recipe import context_files
from mooring_server.services.context import Context, WorkspaceRef, find_workspace, next_version
from mooring_server.services.models import check_files
from mooring_server.store.tables import Environment, now


class Environments:
    """Register and find environments; the same definition keeps its version, as in Azure."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def register(self, ref: WorkspaceRef, name: str, definition: dict[str, Any]) -> dict[str, Any]:
        """Store a definition (Azure's environment JSON, lower camel case) as the newest version of ``name``."""
        check_name("environment", name)
        check_files(self._context, context_files(definition))
        kept = {k: v for k, v in definition.items() if k not in {"name", "version"}}
        digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
        with self._context.db.write() as session:
            workspace = find_workspace(session, ref)
            latest = session.scalar(
                select(Environment)
                .where(Environment.workspace_id == workspace.id, Environment.name == name)
                .order_by(Environment.version.desc())
                .limit(1)
            )
            if latest is not None and latest.digest == digest:
                return _view(latest)
            environment = Environment(
                workspace_id=workspace.id,
                name=name,
                version=next_version(session, workspace, "environment", name),
                definition=kept,
                digest=digest,
                created=now(),
            )
            session.add(environment)
            return _view(environment)

    def get(self, ref: WorkspaceRef, name: str, version: str | None) -> dict[str, Any]:
        """A version, or the latest.

        Raises:
            NotFound: ``EnvironmentNotFound``.
        """
        with self._context.db.read() as session:
            workspace = find_workspace(session, ref)
            query = select(Environment).where(
                Environment.workspace_id == workspace.id, Environment.name == name
            )
            if version is not None:
                query = query.where(Environment.version == (int(version) if version.isdecimal() else -1))
            environment = session.scalar(query.order_by(Environment.version.desc()).limit(1))
            if environment is None:
                raise NotFound(
                    "EnvironmentNotFound",
                    f"There is no environment {name!r}"
                    + (f" with version {version!r}" if version is not None else "")
                    + f" in workspace {workspace.name!r}.",
                    hint="Register it with Environment.register(ws).",
                    target=name,
                )
            return _view(environment)

    def list(self, ref: WorkspaceRef) -> list[dict[str, Any]]:
        """The latest version of each."""
        with self._context.db.read() as session:
            workspace = find_workspace(session, ref)
            latest = (
                select(func.max(Environment.id))
                .where(Environment.workspace_id == workspace.id)
                .group_by(Environment.name)
            )
            found = session.scalars(
                select(Environment).where(Environment.id.in_(latest)).order_by(Environment.name)
            )
            return [_view(e) for e in found]


def _view(environment: Environment) -> dict[str, Any]:
    return {
        **environment.definition,
        "name": environment.name,
        "version": str(environment.version),
        "createdTime": environment.created,
    }
