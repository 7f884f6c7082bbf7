"""Routes: container registries. Each belongs to a workspace, and so does what a caller may do with it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from mooring_server.domain.access import Need
from mooring_server.domain.errors import InvalidRequest
from mooring_server.edges.arm.common import GROUP, SUBSCRIPTION, Group, JsonObject, arm_router
from mooring_server.edges.native.access import CONTRIBUTOR, READER, Caller, needs
from mooring_server.services.registries import Credentials, Registries, RegistryView

TYPE = "Microsoft.ContainerRegistry/registries"
REGISTRIES = "/providers/" + TYPE
ONE = GROUP + REGISTRIES + "/{name}"


def routes(registries: Registries) -> APIRouter:
    """The routes over the use cases."""
    router = arm_router()

    @router.get(SUBSCRIPTION + REGISTRIES)
    @needs(READER)
    def list_(subscription: str, caller: Caller, request: Request) -> dict[str, Any]:
        """Those of a subscription that the caller may see."""
        found = registries.list(subscription)
        host = request.url.netloc
        return {"value": [registry_view(view, host) for view in found if caller.may_enter(view["workspace"])]}

    @router.get(GROUP + REGISTRIES)
    @needs(READER)
    def list_group(ref: Group, caller: Caller, request: Request) -> dict[str, Any]:
        """Those of a group."""
        found = [
            v for v in registries.list(ref.subscription) if v["resource_group"].lower() == ref.name.lower()
        ]
        host = request.url.netloc
        return {"value": [registry_view(view, host) for view in found if caller.may_enter(view["workspace"])]}

    @router.get(ONE)
    @needs(READER)
    def get(ref: Group, name: str, caller: Caller, request: Request) -> dict[str, Any]:
        """One."""
        view = registries.get(ref, name)
        caller.check(Need(READER), view["workspace"])
        return registry_view(view, request.url.netloc)

    @router.put(ONE)
    @needs(CONTRIBUTOR)
    def put(ref: Group, name: str, caller: Caller, request: Request) -> dict[str, Any]:
        """Refused, unless it is there: a workspace brings its own."""
        if all(view["name"] != name.lower() for view in registries.list(ref.subscription)):
            raise InvalidRequest(
                "OperationNotAllowed",
                f"The registry {name!r} cannot be made by itself: each workspace brings its own.",
                hint="`mooring workspace create`, or Workspace.create(...); then `az acr list`.",
                target=name,
            )
        return get(ref, name, caller, request)

    @router.post(ONE + "/listCredentials")
    @needs(CONTRIBUTOR)
    def credentials(ref: Group, name: str, caller: Caller) -> dict[str, Any]:
        """User and passwords."""
        caller.check(Need(CONTRIBUTOR), registries.get(ref, name)["workspace"])
        return _credentials(registries.credentials(ref, name))

    @router.post(ONE + "/regenerateCredential")
    @needs(CONTRIBUTOR)
    def regenerate(ref: Group, name: str, body: JsonObject, caller: Caller) -> dict[str, Any]:
        """Another password."""
        caller.check(Need(CONTRIBUTOR), registries.get(ref, name)["workspace"])
        return _credentials(registries.regenerate(ref, name, str(body.get("name"))))

    return router


def registry_view(view: RegistryView, host: str) -> dict[str, Any]:
    """ARM's JSON.

    The login server has the registry's name behind the host: ``<login server>/<image>:<tag>`` is then what Docker
    pulls, although all registries of a server share one address.
    """
    group = f"/subscriptions/{view['subscription']}/resourceGroups/{view['resource_group']}"
    return {
        "id": f"{group}{REGISTRIES}/{view['name']}",
        "name": view["name"],
        "type": TYPE,
        "location": view["location"],
        "tags": {},
        "sku": {"name": "Basic", "tier": "Basic"},
        "properties": {
            "loginServer": f"{host}/{view['name']}",
            "creationDate": view["created"],
            "provisioningState": "Succeeded",
            "adminUserEnabled": True,
        },
    }


def _credentials(found: Credentials) -> dict[str, Any]:
    return {
        "username": found["username"],
        "passwords": [{"name": name, "value": value} for name, value in found["passwords"].items()],
    }
