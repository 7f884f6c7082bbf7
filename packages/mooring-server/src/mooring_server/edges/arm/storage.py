"""Routes: storage accounts. What they hold is reached at their own endpoints, with their keys."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from mooring_server.edges.arm.common import (
    GROUP,
    SUBSCRIPTION,
    Group,
    JsonObject,
    arm_router,
    resource_view,
    section,
)
from mooring_server.edges.native.access import OWNER, READER, needs
from mooring_server.services.resource_groups import ResourceGroups
from mooring_server.services.storage.accounts import AccountRef, AccountView, StorageAccounts

ACCOUNTS = "/providers/Microsoft.Storage/storageAccounts"
ONE = GROUP + ACCOUNTS + "/{name}"


def _ref(subscription: str, resource_group: str, name: str) -> AccountRef:
    return AccountRef(subscription, resource_group, name)


_Ref = Annotated[AccountRef, Depends(_ref)]


def routes(accounts: StorageAccounts, groups: ResourceGroups) -> APIRouter:
    """The routes over the use cases."""
    router = arm_router()

    @router.post(SUBSCRIPTION + "/providers/Microsoft.Storage/checkNameAvailability")
    @needs(READER, everywhere=True, quiet=True)
    def check(body: JsonObject) -> dict[str, Any]:
        """Whether a new account may have a name."""
        return dict(accounts.check_name(str(body.get("name"))))

    @router.put(ONE)
    @needs(OWNER, everywhere=True)
    def put(ref: _Ref, group: Group, body: JsonObject) -> dict[str, Any]:
        """Make one, or change its tags."""
        groups.get(group)
        settings = {
            "location": body.get("location"),
            "kind": body.get("kind"),
            "sku": section(body, "sku").get("name"),
            "tags": body.get("tags"),
        }
        return account_view(accounts.create(ref, settings)[0])

    @router.get(ONE)
    @needs(READER, everywhere=True)
    def get(ref: _Ref) -> dict[str, Any]:
        """One."""
        return account_view(accounts.get(ref))

    @router.delete(ONE)
    @needs(OWNER, everywhere=True)
    def delete(ref: _Ref) -> Response:
        """Delete one with all that it holds."""
        accounts.delete(ref)
        return Response(status_code=200)

    @router.get(SUBSCRIPTION + ACCOUNTS)
    @needs(READER, everywhere=True)
    def list_(subscription: str) -> dict[str, Any]:
        """Those of a subscription."""
        return {"value": [account_view(view) for view in accounts.list(subscription)]}

    @router.get(GROUP + ACCOUNTS)
    @needs(READER, everywhere=True)
    def list_group(group: Group) -> dict[str, Any]:
        """Those of a group."""
        return {"value": [account_view(view) for view in accounts.list(group.subscription, group.name)]}

    @router.post(ONE + "/listKeys")
    @needs(OWNER, everywhere=True)
    def list_keys(ref: _Ref) -> dict[str, Any]:
        """Both keys."""
        return {"keys": accounts.list_keys(ref)}

    @router.post(ONE + "/regenerateKey")
    @needs(OWNER, everywhere=True)
    def regenerate_key(ref: _Ref, body: JsonObject) -> dict[str, Any]:
        """Make one of the keys anew."""
        return {"keys": accounts.regenerate_key(ref, str(body.get("keyName")))}

    return router


def account_view(view: AccountView) -> dict[str, Any]:
    """ARM's JSON."""
    blob = view["primaryEndpoints"]["blob"]
    # az makes no function app of an account without tables; who asks for one learns that there are none.
    endpoints = {**view["primaryEndpoints"], "table": f"{blob}-table"}
    https = blob.startswith("https:")
    more = {"supportsHttpsTrafficOnly": https, "allowSharedKeyAccess": True, "isHnsEnabled": False}
    return resource_view({**view, **more, "primaryEndpoints": endpoints})
