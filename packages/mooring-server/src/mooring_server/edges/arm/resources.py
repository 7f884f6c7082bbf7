"""Routes: all resources of a subscription in one list, which `az` looks names up in; and what there is not."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, Request

from mooring_server.domain.access import Principal
from mooring_server.domain.errors import InvalidRequest, NotFound
from mooring_server.edges.arm.common import GROUP, SUBSCRIPTION, arm_router
from mooring_server.edges.native.access import READER, Caller, needs

Resource = dict[str, Any]
# Gives the resources of a kind in a subscription that a caller may see, in ARM's JSON.
Source = Callable[[str, Principal, str], list[Resource]]
_CONDITION = re.compile(r"(\w+) eq '((?:[^']|'')*)'")
_METHODS = ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE"]


def routes(sources: Sequence[Source]) -> APIRouter:
    """The routes. They come last: the last one takes what no other route took.

    Args:
        sources: one a kind of resource.
    """
    router = arm_router()

    @router.get(SUBSCRIPTION + "/resources")
    @needs(READER)
    def resources(subscription: str, caller: Caller, request: Request) -> Resource:
        """All, or those that fit ``$filter``."""
        return {"value": _fitting(_all(subscription, caller, request), request)}

    @router.get(GROUP + "/resources")
    @needs(READER)
    def of_group(subscription: str, resource_group: str, caller: Caller, request: Request) -> Resource:
        """Those of a group."""
        inside = f"/resourcegroups/{resource_group.lower()}/"
        found = [r for r in _all(subscription, caller, request) if inside in r["id"].lower()]
        return {"value": _fitting(found, request)}

    def _all(subscription: str, caller: Principal, request: Request) -> list[Resource]:
        return [r for source in sources for r in source(subscription, caller, request.url.netloc)]

    def absent(path: str) -> None:
        """There is no such kind of resource here."""
        raise NotFound(
            "InvalidResourceType",
            f"This server has nothing at {path!r}: of Azure's resources it has those that models are deployed with.",
            hint="docs/guide/az.md lists the commands that work.",
            target=path,
        )

    for root in ("subscriptions", "tenants", "providers"):
        router.add_api_route(f"/{root}/{{path:path}}", needs(READER)(absent), methods=_METHODS)
    return router


def _fitting(found: list[Resource], request: Request) -> list[Resource]:
    """Those that fit ``$filter``: conditions of equality joined by ``and``, as far as `az` makes them.

    Raises:
        InvalidRequest: ``InvalidFilterInQueryString``.
    """
    text = request.query_params.get("$filter", "").strip()
    if not text:
        return found
    conditions = [_CONDITION.fullmatch(part.strip()) for part in re.split(r"\s+and\s+", text)]
    for condition in conditions:
        name = condition[1].lower() if condition else ""
        if condition is None or name not in {"resourcetype", "name", "resourcegroup", "location"}:
            raise InvalidRequest(
                "InvalidFilterInQueryString",
                f"Invalid $filter {text!r} specified in the query string.",
                hint="resourceType, name, resourceGroup and location can be compared by eq, joined by and.",
            )
        wanted = condition[2].replace("''", "'").lower()
        found = [r for r in found if _value(r, name) == wanted]
    return found


def _value(resource: Resource, name: str) -> str:
    if name == "resourcegroup":
        return str(resource["id"]).lower().split("/")[4]
    return str(resource["type" if name == "resourcetype" else name]).lower()
