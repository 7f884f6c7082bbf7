"""Routes: storage accounts and their keys."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from mooring_server.edges.native.access import OWNER, READER, guarded_router, needs
from mooring_server.edges.native.common import ROOT, Filter
from mooring_server.edges.native.schemas import KeyName, StorageAccountSettings
from mooring_server.services.storage.accounts import AccountRef, AccountView, KeyView, StorageAccounts
from mooring_server.services.views import Page

_ACCOUNT = ROOT + "/subscriptions/{subscription}/resourceGroups/{resource_group}/storageAccounts/{account}"


def _account(subscription: str, resource_group: str, account: str) -> AccountRef:
    return AccountRef(subscription, resource_group, account)


_Ref = Annotated[AccountRef, Depends(_account)]


def routes(accounts: StorageAccounts) -> APIRouter:
    """The routes over the use cases. Accounts belong to no workspace: tokens for some workspaces do not reach them."""
    router = guarded_router("storage")

    @router.put(_ACCOUNT, responses={201: {"model": AccountView, "description": "It was created."}})
    @needs(OWNER, everywhere=True)
    def create(ref: _Ref, body: StorageAccountSettings, response: Response) -> AccountView:
        """Create an account; one that the group has already is given back, with new tags if there are any."""
        view, created = accounts.create(ref, body.model_dump())
        response.status_code = 201 if created else 200
        return view

    @router.get(_ACCOUNT)
    @needs(READER, everywhere=True)
    def get(ref: _Ref) -> AccountView:
        """One account."""
        return accounts.get(ref)

    @router.delete(_ACCOUNT, status_code=204)
    @needs(OWNER, everywhere=True)
    def delete(ref: _Ref) -> None:
        """Delete an account with all that it holds."""
        accounts.delete(ref)

    @router.get(ROOT + "/subscriptions/{subscription}/storageAccounts")
    @needs(READER, everywhere=True)
    def list_(subscription: str, resourceGroup: Filter = None) -> Page[AccountView]:  # noqa: N803 - Azure's
        """The accounts of a subscription."""
        return {"value": accounts.list(subscription, resourceGroup), "nextLink": None}

    @router.post(_ACCOUNT + "/listKeys")
    @needs(OWNER, everywhere=True)
    def list_keys(ref: _Ref) -> dict[str, list[KeyView]]:
        """Both keys."""
        return {"keys": accounts.list_keys(ref)}

    @router.post(_ACCOUNT + "/regenerateKey")
    @needs(OWNER, everywhere=True)
    def regenerate_key(ref: _Ref, body: KeyName) -> dict[str, list[KeyView]]:
        """Make one of the keys anew."""
        return {"keys": accounts.regenerate_key(ref, body.keyName)}

    @router.post(_ACCOUNT + "/connectionString")
    @needs(OWNER, everywhere=True)
    def connection_string(ref: _Ref) -> dict[str, str]:
        """What storage SDKs connect by."""
        return {"connectionString": accounts.connection_string(ref)}

    return router
