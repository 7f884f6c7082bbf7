"""Routes: function apps as ``Microsoft.Web/sites``."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from mooring_server.domain.errors import InvalidRequest
from mooring_server.edges.arm.common import (
    GROUP,
    SUBSCRIPTION,
    Group,
    JsonObject,
    arm_router,
    section,
)
from mooring_server.edges.arm.site_values import named_values, plan_ref, site_view
from mooring_server.edges.native.access import CONTRIBUTOR, READER, needs
from mooring_server.services.context import GroupRef
from mooring_server.services.function_apps import FunctionApps
from mooring_server.services.plans import WebRef

SITES = "/providers/Microsoft.Web/sites"
ONE = GROUP + SITES + "/{name}"


def _ref(subscription: str, resource_group: str, name: str) -> WebRef:
    return WebRef(GroupRef(subscription, resource_group), name)


Ref = Annotated[WebRef, Depends(_ref)]


def routes(apps: FunctionApps) -> APIRouter:
    """The routes over the use cases."""
    router = arm_router()
    _changes(router, apps)
    _actions(router, apps)

    @router.get(ONE)
    @needs(READER, everywhere=True)
    def get(ref: Ref, request: Request) -> dict[str, Any]:
        """One; what it waits for, or why it failed, is among its properties."""
        return site_view(apps.get(ref), request.url.netloc)

    @router.get(SUBSCRIPTION + SITES)
    @needs(READER, everywhere=True)
    def list_(subscription: str, request: Request) -> dict[str, Any]:
        """Those of a subscription."""
        return {"value": [site_view(view, request.url.netloc) for view in apps.list(subscription)]}

    @router.get(GROUP + SITES)
    @needs(READER, everywhere=True)
    def list_group(group: Group, request: Request) -> dict[str, Any]:
        """Those of a group."""
        found = apps.list(group.subscription, group)
        return {"value": [site_view(view, request.url.netloc) for view in found]}

    @router.post(SUBSCRIPTION + "/providers/Microsoft.Web/checkNameAvailability")
    @needs(READER, everywhere=True, quiet=True)
    def check(body: JsonObject) -> dict[str, Any]:
        """Whether a new app may have a name."""
        taken = apps.find(str(body.get("name"))) is not None
        reason = {"reason": "AlreadyExists", "message": f"{body.get('name')!r} is taken."} if taken else {}
        return {"nameAvailable": not taken, **reason}

    return router


def _changes(router: APIRouter, apps: FunctionApps) -> None:
    @router.put(ONE)
    @needs(CONTRIBUTOR, everywhere=True)
    def put(ref: Ref, body: JsonObject, request: Request) -> dict[str, Any]:
        """Make one, or change it."""
        kind = str(body.get("kind") or "functionapp")
        if "functionapp" not in kind.lower():
            raise InvalidRequest(
                "KindNotSupported",
                f"This server has function apps, and no app of kind {kind!r}.",
                hint="For a model's web service: mooring model deploy.",
                target=ref.name,
            )
        properties = section(body, "properties")
        config = section(properties, "siteConfig")
        wanted: dict[str, Any] = {
            "location": body.get("location"),
            "tags": body.get("tags"),
            "plan": plan_ref(properties.get("serverFarmId"), ref.group),
            "image": str(config.get("linuxFxVersion") or "").strip(),
            "enabled": properties.get("enabled"),
        }
        if config.get("appSettings") is not None:
            wanted["settings"] = named_values(config["appSettings"])
        return site_view(apps.create(ref, wanted)[0], request.url.netloc)

    @router.patch(ONE)
    @needs(CONTRIBUTOR, everywhere=True)
    def patch(ref: Ref, body: JsonObject, request: Request) -> dict[str, Any]:
        """Change its tags, its plan, or whether it is meant to run."""
        properties = section(body, "properties")
        apps.get(ref)
        plan = plan_ref(properties.get("serverFarmId"), ref.group)
        wanted = {"tags": body.get("tags"), "plan": plan, "enabled": properties.get("enabled")}
        return site_view(apps.create(ref, wanted)[0], request.url.netloc)

    @router.delete(ONE)
    @needs(CONTRIBUTOR, everywhere=True)
    def delete(ref: Ref) -> Response:
        """Delete one; what runs ends a moment later."""
        apps.delete(ref)
        return Response(status_code=200)


def _actions(router: APIRouter, apps: FunctionApps) -> None:
    @router.post(ONE + "/start")
    @needs(CONTRIBUTOR, everywhere=True)
    def start(ref: Ref) -> Response:
        """Let it run."""
        apps.set_enabled(ref, enabled=True)
        return Response(status_code=200)

    @router.post(ONE + "/stop")
    @needs(CONTRIBUTOR, everywhere=True)
    def stop(ref: Ref) -> Response:
        """Let it run no more."""
        apps.set_enabled(ref, enabled=False)
        return Response(status_code=200)

    @router.post(ONE + "/restart")
    @needs(CONTRIBUTOR, everywhere=True)
    def restart(ref: Ref) -> Response:
        """Start it anew, from the image that its reference names now."""
        apps.restart(ref)
        return Response(status_code=200)

    @router.post(ONE + "/host/default/listKeys")
    @needs(CONTRIBUTOR, everywhere=True)
    def keys(ref: Ref) -> dict[str, Any]:
        """The keys by which its functions are called."""
        return apps.keys(ref)

    @router.get(ONE + "/functions")
    @needs(READER, everywhere=True)
    def functions(ref: Ref) -> dict[str, Any]:
        """The functions that its image has, once it was started."""
        view = apps.get(ref)
        return {
            "value": [
                {
                    "id": f"{view['id']}/functions/{name}",
                    "name": f"{view['name']}/{name}",
                    "type": "Microsoft.Web/sites/functions",
                    "properties": {"name": name, "function_app_id": view["id"], "config": state},
                }
                for name, state in view["functions"].items()
            ]
        }
