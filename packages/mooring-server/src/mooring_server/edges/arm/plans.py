"""Routes: App Service plans."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

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
from mooring_server.services.plans import Plans
from mooring_server.services.resource_groups import ResourceGroups

PLANS = "/providers/Microsoft.Web/serverfarms"
ONE = GROUP + PLANS + "/{name}"


def routes(plans: Plans, groups: ResourceGroups) -> APIRouter:
    """The routes over the use cases."""
    router = arm_router()

    @router.put(ONE)
    @needs(CONTRIBUTOR, everywhere=True)
    def put(group: Group, name: str, body: JsonObject) -> dict[str, Any]:
        """Make one, or change it."""
        settings = {
            "location": body.get("location"),
            "sku": section(body, "sku"),
            "tags": section(body, "tags"),
            "reserved": section(body, "properties").get("reserved"),
        }
        return resource_view(plans.create(group, name, settings))

    @router.get(ONE)
    @needs(READER, everywhere=True)
    def get(group: Group, name: str) -> dict[str, Any]:
        """One."""
        return resource_view(plans.get(group, name))

    @router.delete(ONE)
    @needs(CONTRIBUTOR, everywhere=True)
    def delete(group: Group, name: str) -> Response:
        """Delete one."""
        plans.delete(group, name)
        return Response(status_code=200)

    @router.get(GROUP + PLANS)
    @needs(READER, everywhere=True)
    def list_group(group: Group) -> dict[str, Any]:
        """Those of a group."""
        return {"value": [resource_view(view) for view in plans.list(group)]}

    @router.get(SUBSCRIPTION + PLANS)
    @needs(READER, everywhere=True)
    def list_(subscription: str) -> dict[str, Any]:
        """Those of a subscription."""
        found = [GroupRef(group["subscription"], group["name"]) for group in groups.list(subscription)]
        return {"value": [resource_view(view) for group in found for view in plans.list(group)]}

    return router
