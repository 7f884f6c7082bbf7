"""Routes: the HTTPS listener that `az` needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fastapi import APIRouter
from typing_extensions import TypedDict

from mooring_server.edges.native.access import OWNER, guarded_router, needs
from mooring_server.edges.native.common import ROOT


@dataclass(frozen=True)
class AzEndpoint:
    """Where `az` finds the server.

    Attributes:
        url: ``https://host:port``.
        authority: the CA's certificate (PEM); None where the server has a certificate of its user's.
    """

    url: str
    authority: str | None


class AzView(TypedDict):
    """The same with the tenant, as callers see it."""

    endpoint: str
    certificateAuthority: str | None
    tenantId: str


class Listener(Protocol):
    """Who opens it."""

    async def open(self) -> AzEndpoint:
        """Listen, if that is not so already.

        Raises:
            MooringError: ``PortUnavailable``.
        """
        ...

    async def close(self) -> None:
        """Listen no more."""
        ...


def routes(listener: Listener, tenant: str) -> APIRouter:
    """The routes."""
    router = guarded_router("az")

    @router.put(ROOT + "/az")
    @needs(OWNER, everywhere=True)
    async def open_() -> AzView:
        """Listen for `az`, also after the next start; the CA is made the first time."""
        found = await listener.open()
        return {"endpoint": found.url, "certificateAuthority": found.authority, "tenantId": tenant}

    @router.delete(ROOT + "/az", status_code=204)
    @needs(OWNER, everywhere=True)
    async def close() -> None:
        """Listen no more."""
        await listener.close()

    return router
