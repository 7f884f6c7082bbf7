"""Routes: Service Bus namespaces, queues and authorization rules. Messages go by AMQP to the broker."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from mooring_server.domain.errors import NotFound
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
from mooring_server.services.bus_entities import NamespaceRef
from mooring_server.services.bus_namespaces import BusNamespaces
from mooring_server.services.bus_queues import BusQueues
from mooring_server.services.bus_rules import BusRules, Scope
from mooring_server.services.resource_groups import ResourceGroups
from mooring_server.services.service_bus import ServiceBus

NAMESPACES = "/providers/Microsoft.ServiceBus/namespaces"
ONE = GROUP + NAMESPACES + "/{name}"
QUEUE = ONE + "/queues/{queue}"


def _ref(subscription: str, resource_group: str, name: str) -> NamespaceRef:
    return NamespaceRef(subscription, resource_group, name)


_Ref = Annotated[NamespaceRef, Depends(_ref)]


def routes(bus: ServiceBus, groups: ResourceGroups) -> APIRouter:
    """The routes over the use cases."""
    router = arm_router()
    _namespaces(router, bus.namespaces, groups)
    _queues(router, bus.queues)
    for path in (ONE, QUEUE):
        _rules(router, bus.rules, path)
    return router


def _namespaces(router: APIRouter, namespaces: BusNamespaces, groups: ResourceGroups) -> None:
    @router.post(SUBSCRIPTION + "/providers/Microsoft.ServiceBus/CheckNameAvailability")
    @needs(READER, everywhere=True, quiet=True)
    def check(subscription: str, body: JsonObject) -> dict[str, Any]:
        """Whether a new namespace may have a name."""
        taken = any(
            view["name"].lower() == str(body.get("name")).lower()
            for view in namespaces.list(subscription, None)
        )
        return {"nameAvailable": not taken, "reason": "NameInUse" if taken else "None", "message": ""}

    @router.put(ONE)
    @needs(OWNER, everywhere=True)
    def put(ref: _Ref, group: Group, body: JsonObject, response: Response) -> dict[str, Any]:
        """Make one, or change it."""
        groups.get(group)
        settings = {**body, "sku": section(body, "sku").get("name")}
        view, new = namespaces.create(ref, settings)
        response.status_code = 201 if new else 200
        return resource_view(view)

    @router.get(ONE)
    @needs(READER, everywhere=True)
    def get(ref: _Ref) -> dict[str, Any]:
        """One."""
        return resource_view(namespaces.get(ref))

    @router.delete(ONE)
    @needs(OWNER, everywhere=True)
    def delete(ref: _Ref) -> Response:
        """Delete one with its queues and their messages."""
        namespaces.delete(ref)
        return Response(status_code=200)

    @router.get(SUBSCRIPTION + NAMESPACES)
    @needs(READER, everywhere=True)
    def list_(subscription: str) -> dict[str, Any]:
        """Those of a subscription."""
        return {"value": [resource_view(view) for view in namespaces.list(subscription, None)]}

    @router.get(GROUP + NAMESPACES)
    @needs(READER, everywhere=True)
    def list_group(group: Group) -> dict[str, Any]:
        """Those of a group."""
        return {"value": [resource_view(v) for v in namespaces.list(group.subscription, group.name)]}

    @router.get(ONE + "/networkRuleSets/default")
    @needs(READER, everywhere=True)
    def network_rules(ref: _Ref) -> dict[str, Any]:
        """There are none: who reaches the address may try its keys."""
        view = namespaces.get(ref)
        rules = {"defaultAction": "Allow", "publicNetworkAccess": "Enabled", "ipRules": []}
        return {"id": f"{view['id']}/networkRuleSets/default", "name": "default", "properties": rules}


def _queues(router: APIRouter, queues: BusQueues) -> None:
    @router.put(QUEUE)
    @needs(OWNER, everywhere=True)
    def put(ref: _Ref, queue: str, body: JsonObject) -> dict[str, Any]:
        """Make one, or change it; what the broker does not have is refused."""
        return resource_view(queues.create(ref, queue, section(body, "properties"))[0])

    @router.get(QUEUE)
    @needs(READER, everywhere=True)
    def get(ref: _Ref, queue: str) -> dict[str, Any]:
        """One, with the counts of its messages."""
        return resource_view(queues.get(ref, queue))

    @router.delete(QUEUE)
    @needs(OWNER, everywhere=True)
    def delete(ref: _Ref, queue: str) -> Response:
        """Delete one with its messages."""
        queues.delete(ref, queue)
        return Response(status_code=200)

    @router.get(ONE + "/queues")
    @needs(READER, everywhere=True)
    def list_(ref: _Ref) -> dict[str, Any]:
        """Those of a namespace."""
        return {"value": [resource_view(view) for view in queues.list(ref)]}


def _scope(subscription: str, resource_group: str, name: str, queue: str | None = None) -> Scope:
    return Scope(NamespaceRef(subscription, resource_group, name), queue)


_Scope = Annotated[Scope, Depends(_scope)]


def _rules(router: APIRouter, rules: BusRules, path: str) -> None:
    one = path + "/authorizationRules/{rule}"

    @router.put(one)
    @needs(OWNER, everywhere=True)
    def put(scope: _Scope, rule: str, body: JsonObject) -> dict[str, Any]:
        """Make one, or change its rights."""
        rights = section(body, "properties").get("rights") or []
        return resource_view(rules.create(scope, rule, [str(right) for right in rights])[0])

    @router.get(one)
    @needs(READER, everywhere=True)
    def get(scope: _Scope, rule: str) -> dict[str, Any]:
        """One."""
        return resource_view(rules.get(scope, rule))

    @router.delete(one)
    @needs(OWNER, everywhere=True)
    def delete(scope: _Scope, rule: str) -> Response:
        """Delete one."""
        try:
            rules.delete(scope, rule)
        except NotFound:
            return Response(status_code=204)
        return Response(status_code=200)

    @router.get(path + "/authorizationRules")
    @needs(READER, everywhere=True)
    def list_(scope: _Scope) -> dict[str, Any]:
        """All of a namespace or queue."""
        return {"value": [resource_view(view) for view in rules.list(scope)]}

    @router.post(one + "/listKeys")
    @needs(OWNER, everywhere=True)
    def keys(scope: _Scope, rule: str) -> dict[str, Any]:
        """Keys and connection strings."""
        return dict(rules.keys(scope, rule))

    @router.post(one + "/regenerateKeys")
    @needs(OWNER, everywhere=True)
    def renew(scope: _Scope, rule: str, body: JsonObject) -> dict[str, Any]:
        """Another key."""
        return dict(rules.renew_key(scope, rule, str(body.get("keyType"))))
