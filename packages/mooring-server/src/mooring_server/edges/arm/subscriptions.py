"""Routes: tenants, subscriptions, locations and resource providers."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from mooring_server.domain.errors import NotFound
from mooring_server.edges.arm.common import SUBSCRIPTION, arm_router
from mooring_server.edges.native.access import CONTRIBUTOR, READER, Caller, needs
from mooring_server.services.resource_groups import ResourceGroups

LOCATION = "local"
# What there is of Azure's providers.
PROVIDERS: dict[str, tuple[str, ...]] = {
    "Microsoft.ContainerRegistry": ("registries",),
    "Microsoft.Insights": (),
    "Microsoft.MachineLearningServices": ("workspaces",),
    "Microsoft.OperationalInsights": (),
    "Microsoft.Resources": ("resourceGroups",),
    "Microsoft.ServiceBus": ("namespaces",),
    "Microsoft.Storage": ("storageAccounts",),
    "Microsoft.Web": ("serverFarms", "sites"),
}


def routes(groups: ResourceGroups, tenant: str) -> APIRouter:
    """The routes over the use cases.

    Args:
        groups: know the subscriptions.
        tenant: the one there is.
    """
    router = arm_router()

    def view(subscription: str) -> dict[str, Any]:
        return {
            "id": f"/subscriptions/{subscription}",
            "subscriptionId": subscription,
            "displayName": "Mooring" if not subscription.strip("0-") else subscription,
            "state": "Enabled",
            "tenantId": tenant,
            "subscriptionPolicies": {},
        }

    @router.get("/tenants")
    @needs(READER)
    def tenants() -> dict[str, Any]:
        """The one tenant."""
        return {"value": [{"id": f"/tenants/{tenant}", "tenantId": tenant, "displayName": "Mooring"}]}

    @router.get("/subscriptions")
    @needs(READER)
    def subscriptions(caller: Caller) -> dict[str, Any]:
        """Those with something in it."""
        return {"value": [view(name) for name in groups.subscriptions(caller)]}

    @router.get(SUBSCRIPTION)
    @needs(READER)
    def subscription(subscription: str) -> dict[str, Any]:
        """One; any name is one, since subscriptions are not made."""
        return view(subscription)

    @router.get(SUBSCRIPTION + "/locations")
    @needs(READER)
    def locations(subscription: str) -> dict[str, Any]:
        """The one place there is; others are accepted by name."""
        place = {
            "id": f"/subscriptions/{subscription}/locations/{LOCATION}",
            "name": LOCATION,
            "displayName": LOCATION,
            "regionalDisplayName": LOCATION,
            "type": "Region",
            "metadata": {
                "regionType": "Physical",
                "regionCategory": "Recommended",
                "geographyGroup": LOCATION,
            },
        }
        return {"value": [place]}

    @router.get(SUBSCRIPTION + "/providers")
    @needs(READER)
    def providers(subscription: str) -> dict[str, Any]:
        """Those of Azure's resource providers that are here."""
        return {"value": [_provider(subscription, name) for name in PROVIDERS]}

    @router.get(SUBSCRIPTION + "/providers/{namespace}")
    @needs(READER)
    def provider(subscription: str, namespace: str) -> dict[str, Any]:
        """One."""
        return _provider(subscription, namespace)

    @router.post(SUBSCRIPTION + "/providers/{namespace}/register")
    @needs(CONTRIBUTOR)
    def register(subscription: str, namespace: str) -> dict[str, Any]:
        """They are registered from the beginning."""
        return _provider(subscription, namespace)

    return router


def _provider(subscription: str, namespace: str) -> dict[str, Any]:
    name = next((known for known in PROVIDERS if known.lower() == namespace.lower()), None)
    if name is None:
        raise NotFound(
            "InvalidResourceNamespace",
            f"The resource namespace {namespace!r} is invalid.",
            hint=f"This server has {', '.join(PROVIDERS)}.",
            target=namespace,
        )
    return {
        "id": f"/subscriptions/{subscription}/providers/{name}",
        "namespace": name,
        "registrationState": "Registered",
        "registrationPolicy": "RegistrationFree",
        "resourceTypes": [
            {"resourceType": kind, "locations": [LOCATION], "apiVersions": ["2024-01-01"]}
            for kind in PROVIDERS[name]
        ],
    }
