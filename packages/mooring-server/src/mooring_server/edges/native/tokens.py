"""Routes: tokens and the audit log."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from mooring_server.edges.audit import AuditLog
from mooring_server.edges.native.access import OWNER, Caller, guarded_router, needs
from mooring_server.edges.native.common import ROOT
from mooring_server.edges.native.schemas import NewToken
from mooring_server.services.context import WorkspaceRef
from mooring_server.services.tokens import Tokens
from mooring_server.services.views import NewTokenView, Page, TokenView


def routes(tokens: Tokens, audit: AuditLog) -> APIRouter:
    """The routes over the use cases. Owners of some workspaces only see and make tokens for these."""
    router = guarded_router("tokens")

    @router.post(ROOT + "/tokens", status_code=201)
    @needs(OWNER)
    def create(body: NewToken, caller: Caller) -> NewTokenView:
        """Make a token; this answer is the only one that has it."""
        workspaces = body.workspaces
        return tokens.create(
            caller,
            name=body.name,
            role=body.role,
            workspaces=None
            if workspaces is None
            else [WorkspaceRef(w.subscription, w.resourceGroup, w.name) for w in workspaces],
            expires_days=body.expiresInDays,
        )

    @router.get(ROOT + "/tokens")
    @needs(OWNER)
    def list_(caller: Caller) -> Page[TokenView]:
        """Tokens, oldest first, also those that are good no more."""
        return {"value": tokens.list(caller), "nextLink": None}

    @router.delete(ROOT + "/tokens/{token_id}", status_code=204)
    @needs(OWNER)
    def revoke(token_id: str, caller: Caller) -> None:
        """Revoke a token, by its id or name."""
        tokens.revoke(caller, token_id)

    @router.get(ROOT + "/audit")
    @needs(OWNER, everywhere=True)
    def entries(count: Annotated[int, Query(ge=1, le=10_000)] = 50) -> Page[dict[str, Any]]:
        """The last entries of the audit log, oldest first."""
        return {"value": audit.tail(count), "nextLink": None}

    return router
