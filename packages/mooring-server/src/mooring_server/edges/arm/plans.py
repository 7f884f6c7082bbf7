"""Routes: App Service plans."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from mooring_server.domain.errors import InvalidRequest
from mooring_server.edges.arm.common import (
    GROUP,
    SUBSCRIPTION,
    Group,
    JsonObject,
    arm_router,
    resource_view,
    section,
)
from mooring_server.edges.native.access import CONTRIBUTOR, READER, needs
from mooring_server.services.context import GroupRef
from mooring_server.services.plans import Plans, PlanView, WebRef

PLANS = "/providers/Microsoft.Web/serverfarms"
ONE = GROUP + PLANS + "/{name}"


def _ref(subscription: str, resource_group: str, name: str) -> WebRef:
    return WebRef(GroupRef(subscription, resource_group), name)


_Ref = Annotated[WebRef, Depends(_ref)]


def routes(plans: Plans) -> APIRouter:
    """The routes over the use cases."""
    router = arm_router()

    @router.put(ONE)
    @needs(CONTRIBUTOR, everywhere=True)
    def put(ref: _Ref, body: JsonObject) -> dict[str, Any]:
        """Make one, or change it."""
        if section(body, "properties").get("reserved") is False:
            raise InvalidRequest(
                "LinuxOnly",
                f"The plan {ref.name!r} would be for Windows, which this server has not.",
                hint="Add --is-linux.",
                target=ref.name,
            )
        sku = section(body, "sku").get("name")
        settings = {"location": body.get("location"), "sku": sku, "tags": body.get("tags")}
        return plan_view(plans.create(ref, settings)[0])

    @router.get(ONE)
    @needs(READER, everywhere=True)
    def get(ref: _Ref) -> dict[str, Any]:
        """One."""
        return plan_view(plans.get(ref))

    @router.delete(ONE)
    @needs(CONTRIBUTOR, everywhere=True)
    def delete(ref: _Ref) -> Response:
        """Delete one that no app names."""
        plans.delete(ref)
        return Response(status_code=200)

    @router.get(GROUP + PLANS)
    @needs(READER, everywhere=True)
    def list_group(group: Group) -> dict[str, Any]:
        """Those of a group."""
        return {"value": [plan_view(view) for view in plans.list(group.subscription, group)]}

    @router.get(SUBSCRIPTION + PLANS)
    @needs(READER, everywhere=True)
    def list_(subscription: str) -> dict[str, Any]:
        """Those of a subscription."""
        return {"value": [plan_view(view) for view in plans.list(subscription)]}

    return router


def plan_view(view: PlanView) -> dict[str, Any]:
    """ARM's JSON."""
    name = view["sku"]["name"]
    size = {
        "name": name,
        "tier": _tier(name),
        "size": name,
        "family": name.rstrip("0123456789"),
        "capacity": 1,
    }
    return resource_view({**view, "sku": size, "numberOfWorkers": 1, "maximumNumberOfWorkers": 1})


def _tier(sku: str) -> str:
    """Azure's tier of a size, by its first letters."""
    tiers = {"EP": "ElasticPremium", "Y": "Dynamic", "FC": "FlexConsumption", "F": "Free", "D": "Shared"}
    tiers |= {"B": "Basic", "S": "Standard", "P": "Premium"}
    return next((tier for prefix, tier in tiers.items() if sku.upper().startswith(prefix)), "Standard")
