"""Routes: resource groups."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from mooring_server.edges.arm.common import GROUP, SUBSCRIPTION, Group, JsonObject, arm_router, section
from mooring_server.edges.native.access import CONTRIBUTOR, READER, needs
from mooring_server.services.resource_groups import GroupView, ResourceGroups


def routes(groups: ResourceGroups) -> APIRouter:
    """The routes over the use cases."""
    router = arm_router()

    @router.put(GROUP)
    @needs(CONTRIBUTOR, everywhere=True)
    def put(ref: Group, body: JsonObject, response: Response) -> dict[str, Any]:
        """Make one, or change its tags."""
        view, new = groups.create(ref, body.get("location"), section(body, "tags"))
        response.status_code = 201 if new else 200
        return _view(view)

    @router.patch(GROUP)
    @needs(CONTRIBUTOR, everywhere=True)
    def patch(ref: Group, body: JsonObject) -> dict[str, Any]:
        """Change its tags."""
        known = groups.get(ref)
        tags = section(body, "tags") if "tags" in body else known["tags"]
        return _view(groups.create(ref, known["location"], tags)[0])

    @router.get(GROUP)
    @needs(READER, everywhere=True)
    def get(ref: Group) -> dict[str, Any]:
        """One."""
        return _view(groups.get(ref))

    @router.head(GROUP)
    @needs(READER, everywhere=True)
    def exists(ref: Group) -> Response:
        """204 for one that exists, else 404: what `az group exists` asks."""
        return Response(status_code=204 if groups.exists(ref) else 404)

    @router.delete(GROUP)
    @needs(CONTRIBUTOR, everywhere=True)
    def delete(ref: Group) -> Response:
        """Delete one with what is in it."""
        groups.delete(ref)
        return Response(status_code=200)

    @router.get(SUBSCRIPTION + "/resourceGroups")
    @needs(READER, everywhere=True)
    def list_(subscription: str) -> dict[str, Any]:
        """All of a subscription."""
        return {"value": [_view(view) for view in groups.list(subscription)]}

    return router


def _view(view: GroupView) -> dict[str, Any]:
    return {
        "id": f"/subscriptions/{view['subscription']}/resourceGroups/{view['name']}",
        "name": view["name"],
        "type": "Microsoft.Resources/resourceGroups",
        "location": view["location"],
        "tags": view["tags"],
        "managedBy": None,
        "properties": {"provisioningState": "Succeeded"},
    }
