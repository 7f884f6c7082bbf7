"""Routes: Service Bus namespaces, their queues and authorization rules."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from mooring_server.edges.native.access import OWNER, READER, guarded_router, needs
from mooring_server.edges.native.bus_schemas import KeyType, NamespaceSettings, QueueSettings, RuleSettings
from mooring_server.edges.native.common import ROOT, Filter
from mooring_server.services.bus_entities import NamespaceRef
from mooring_server.services.bus_rules import BusRules, Scope
from mooring_server.services.bus_views import NamespaceView, QueueView, RuleKeysView, RuleView
from mooring_server.services.service_bus import ServiceBus
from mooring_server.services.views import Page

_NAMESPACE = (
    ROOT + "/subscriptions/{subscription}/resourceGroups/{resource_group}/serviceBusNamespaces/{namespace}"
)
_QUEUE = _NAMESPACE + "/queues/{queue}"
_RULES = "/authorizationRules"
_RULE = _RULES + "/{rule}"
_CREATED = {"description": "It was created."}
_NO_BROKER: dict[int | str, dict[str, Any]] = {
    501: {"description": "The broker is not installed beside the server."}
}


def _namespace(subscription: str, resource_group: str, namespace: str) -> NamespaceRef:
    return NamespaceRef(subscription, resource_group, namespace)


_Ref = Annotated[NamespaceRef, Depends(_namespace)]


def _scope(ref: _Ref, queue: str | None = None) -> Scope:
    return Scope(ref, queue)


_Scope = Annotated[Scope, Depends(_scope)]


def routes(bus: ServiceBus) -> APIRouter:
    """The routes over the use cases. Namespaces belong to no workspace: tokens for some of these do not reach them."""
    router = guarded_router("service bus")
    namespaces, queues = bus.namespaces, bus.queues

    @router.put(_NAMESPACE, responses={201: {"model": NamespaceView, **_CREATED}, **_NO_BROKER})
    @needs(OWNER, everywhere=True)
    def create_namespace(ref: _Ref, body: NamespaceSettings, response: Response) -> NamespaceView:
        """Create a namespace, or change one."""
        view, created = namespaces.create(ref, body.model_dump())
        response.status_code = 201 if created else 200
        return view

    @router.get(_NAMESPACE)
    @needs(READER, everywhere=True)
    def get_namespace(ref: _Ref) -> NamespaceView:
        """One namespace."""
        return namespaces.get(ref)

    @router.delete(_NAMESPACE, status_code=204)
    @needs(OWNER, everywhere=True)
    def delete_namespace(ref: _Ref) -> None:
        """Delete a namespace with its queues and their messages."""
        namespaces.delete(ref)

    @router.get(ROOT + "/subscriptions/{subscription}/serviceBusNamespaces")
    @needs(READER, everywhere=True)
    def list_namespaces(
        subscription: str,
        resourceGroup: Filter = None,  # noqa: N803 - Azure's
    ) -> Page[NamespaceView]:
        """The namespaces of a subscription."""
        return {"value": namespaces.list(subscription, resourceGroup), "nextLink": None}

    @router.put(_QUEUE, responses={201: {"model": QueueView, **_CREATED}, **_NO_BROKER})
    @needs(OWNER, everywhere=True)
    def create_queue(ref: _Ref, queue: str, body: QueueSettings, response: Response) -> QueueView:
        """Create a queue, or change one; its messages stay."""
        view, created = queues.create(ref, queue, body.model_dump())
        response.status_code = 201 if created else 200
        return view

    @router.get(_QUEUE)
    @needs(READER, everywhere=True)
    def get_queue(ref: _Ref, queue: str) -> QueueView:
        """One queue, and how much is in it."""
        return queues.get(ref, queue)

    @router.delete(_QUEUE, status_code=204)
    @needs(OWNER, everywhere=True)
    def delete_queue(ref: _Ref, queue: str) -> None:
        """Delete a queue with its messages."""
        queues.delete(ref, queue)

    @router.get(_NAMESPACE + "/queues")
    @needs(READER, everywhere=True)
    def list_queues(ref: _Ref) -> Page[QueueView]:
        """The queues of a namespace."""
        return {"value": queues.list(ref), "nextLink": None}

    for place in (_NAMESPACE, _QUEUE):
        _rule_routes(router, bus.rules, place)
    return router


def _rule_routes(router: APIRouter, rules: BusRules, place: str) -> None:
    """Those of a namespace's rules, or of a queue's."""

    @router.put(place + _RULE, responses={201: {"model": RuleView, **_CREATED}})
    @needs(OWNER, everywhere=True)
    def create_rule(scope: _Scope, rule: str, body: RuleSettings, response: Response) -> RuleView:
        """Create an authorization rule, or change its rights; its keys stay."""
        view, created = rules.create(scope, rule, body.rights)
        response.status_code = 201 if created else 200
        return view

    @router.get(place + _RULE)
    @needs(READER, everywhere=True)
    def get_rule(scope: _Scope, rule: str) -> RuleView:
        """One authorization rule, without its keys."""
        return rules.get(scope, rule)

    @router.delete(place + _RULE, status_code=204)
    @needs(OWNER, everywhere=True)
    def delete_rule(scope: _Scope, rule: str) -> None:
        """Delete an authorization rule; its keys open nothing any more."""
        rules.delete(scope, rule)

    @router.get(place + _RULES)
    @needs(READER, everywhere=True)
    def list_rules(scope: _Scope) -> Page[RuleView]:
        """The authorization rules, without their keys."""
        return {"value": rules.list(scope), "nextLink": None}

    @router.post(place + _RULE + "/listKeys", responses=_NO_BROKER)
    @needs(OWNER, everywhere=True)
    def list_keys(scope: _Scope, rule: str) -> RuleKeysView:
        """The keys of an authorization rule, and the connection strings with them."""
        return rules.keys(scope, rule)

    @router.post(place + _RULE + "/regenerateKeys", responses=_NO_BROKER)
    @needs(OWNER, everywhere=True)
    def regenerate_keys(scope: _Scope, rule: str, body: KeyType) -> RuleKeysView:
        """Make one of the keys anew."""
        return rules.renew_key(scope, rule, body.keyType)
