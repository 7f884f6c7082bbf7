"""Tokens with roles: make, find, list and revoke them."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from datetime import datetime, timedelta, timezone

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from mooring_server.domain.access import Principal, Role, forbidden
from mooring_server.domain.errors import Conflict, NotFound
from mooring_server.domain.names import check_name, workspace_id
from mooring_server.services.context import Context, WorkspaceRef, find_workspace
from mooring_server.services.views import NewTokenView, TokenView
from mooring_server.store.tables import Token, TokenWorkspace, Workspace, now

# The token of settings.json; it opens everything and cannot be revoked, only replaced.
LOCAL_ID = "local"
# Begins every token, so that scanners of repositories and logs can find one that was lost.
PREFIX = "mooring_"
# "Last used" is written at most this often: reading must not become writing.
_USE_SECONDS = 60.0


class Tokens:
    """The use cases. Callers see and change only tokens whose reach lies within their own."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def authenticate(self, token: str) -> Principal | None:
        """Who shows this token; None for one that is unknown, revoked or expired."""
        return self._living(Token.digest == _digest(token))

    def current(self, token_id: str) -> Principal | None:
        """Whom the token of this id stands for; None for one that is unknown, revoked or expired."""
        return self._living(Token.id == token_id)

    def _living(self, condition: ColumnElement[bool]) -> Principal | None:
        with self._context.db.read() as session:
            found = session.scalar(select(Token).where(condition))
            if found is None or found.revoked is not None:
                return None
            if found.expires is not None and found.expires <= now():
                return None
            principal = Principal(
                found.id, found.name, Role[found.role.upper()], _workspaces(session, found, key=True)
            )
        if found.last_used is None or found.last_used < _moment(-_USE_SECONDS):
            with self._context.db.write() as session:
                again = session.get(Token, found.id)
                if again is not None:
                    again.last_used = now()
        return principal

    def create(
        self,
        caller: Principal,
        *,
        name: str,
        role: str,
        workspaces: list[WorkspaceRef] | None,
        expires_days: float | None,
    ) -> NewTokenView:
        """Make a token. The answer has it in full, once: only its hash is kept.

        Args:
            caller: who asks; the new token cannot reach further.
            name: for people; one living token a name.
            role: ``reader``, ``contributor`` or ``owner``.
            workspaces: those it is for; None for all.
            expires_days: how long it is good; None for ever.

        Raises:
            Forbidden: it would reach further than the caller's.
            Conflict: ``TokenExists``.
            NotFound: ``WorkspaceNotFound``.
        """
        check_name("token", name)
        token = PREFIX + secrets.token_urlsafe(32)
        with self._context.db.write() as session:
            meant = None if workspaces is None else [find_workspace(session, ref) for ref in workspaces]
            if not caller.covers(None if meant is None else [w.key for w in meant]):
                raise forbidden(caller, "a token that reaches as far as the new one")
            living = select(Token).where(Token.name == name, Token.revoked.is_(None))
            if any(t.expires is None or t.expires > now() for t in session.scalars(living)):
                raise Conflict(
                    "TokenExists",
                    f"There is a token {name!r} already.",
                    hint="Revoke it first (`mooring token revoke`), or choose another name.",
                    target=name,
                )
            row = Token(
                id=uuid.uuid4().hex[:12],
                name=name,
                digest=_digest(token),
                role=role,
                everywhere=meant is None,
                created_by=caller.name,
                created=now(),
                expires=None if expires_days is None else _moment(expires_days * 86400),
            )
            session.add(row)
            session.flush()
            for key in {w.id for w in meant or ()}:
                session.add(TokenWorkspace(token_id=row.id, workspace_id=key))
            session.flush()
            return {**_view(session, row), "token": token}

    def list(self, caller: Principal) -> list[TokenView]:
        """Tokens within the caller's reach, also those that are good no more; oldest first."""
        with self._context.db.read() as session:
            rows = session.scalars(select(Token).order_by(Token.created, Token.id)).all()
            return [_view(session, row) for row in rows if caller.covers(_workspaces(session, row, key=True))]

    def revoke(self, caller: Principal, identity: str) -> None:
        """End a token now. Its row stays, so that the audit log's ids go on meaning something.

        Args:
            caller: who asks.
            identity: the id, or the name of a token that is not revoked yet.

        Raises:
            NotFound: ``TokenNotFound``, also for one out of the caller's reach.
        """
        with self._context.db.write() as session:
            row = session.get(Token, identity) or session.scalar(
                select(Token)
                .where(Token.name == identity, Token.revoked.is_(None))
                .order_by(Token.created.desc())
            )
            if row is None or not caller.covers(_workspaces(session, row, key=True)):
                raise NotFound(
                    "TokenNotFound",
                    f"There is no token {identity!r}.",
                    hint="`mooring token list` shows them.",
                    target=identity,
                )
            row.revoked = row.revoked or now()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _moment(seconds: float) -> str:
    return (datetime.now(timezone.utc) + timedelta(seconds=seconds)).isoformat(timespec="microseconds")


def _workspaces(session: Session, token: Token, *, key: bool) -> frozenset[str] | None:
    """Keys or ARM ids of the workspaces the token is for; None for all."""
    if token.everywhere:
        return None
    query = select(Workspace).join(TokenWorkspace, TokenWorkspace.workspace_id == Workspace.id)
    found = session.scalars(query.where(TokenWorkspace.token_id == token.id))
    return frozenset(w.key if key else workspace_id(w.subscription, w.resource_group, w.name) for w in found)


def _view(session: Session, token: Token) -> TokenView:
    workspaces = _workspaces(session, token, key=False)
    expired = token.expires is not None and token.expires <= now()
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "workspaces": None if workspaces is None else sorted(workspaces),
        "state": "Revoked" if token.revoked else "Expired" if expired else "Active",
        "createdBy": token.created_by,
        "createdTime": token.created,
        "expiresTime": token.expires,
        "lastUsedTime": token.last_used,
        "revokedTime": token.revoked,
    }
