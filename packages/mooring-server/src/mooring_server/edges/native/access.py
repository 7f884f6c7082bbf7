"""The one place where the native API decides who may do what.

Every route is a `GuardedRoute`, which its router makes of it; its function declares what it needs by `needs`.
One that declares nothing cannot be added, so that none is left open by mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, TypeVar

from fastapi import APIRouter, Depends, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from mooring_server.domain.access import Need, Principal, Role
from mooring_server.domain.errors import InvalidRequest
from mooring_server.domain.names import workspace_key
from mooring_server.edges.native.common import ERRORS

Function = TypeVar("Function", bound=Callable[..., Any])
# Where the guard leaves the caller, and the route what it needed, in the request's scope.
PRINCIPAL, NEED, TEMPLATE = "mooring.principal", "mooring.need", "mooring.route"
_ATTRIBUTE = "__mooring_need__"
READER, CONTRIBUTOR, OWNER = Role.READER, Role.CONTRIBUTOR, Role.OWNER


def needs(
    role: Role | None, *, everywhere: bool = False, quiet: bool = False
) -> Callable[[Function], Function]:
    """Declare what a route's function needs; `Need` has the arguments."""

    def declare(function: Function) -> Function:
        setattr(function, _ATTRIBUTE, Need(role, everywhere, quiet))
        return function

    return declare


class GuardedRoute(APIRoute):
    """Checks the caller's role before a byte of the body is read.

    Attributes:
        checks_query: whether unknown query parameters are refused; not where another server reads them.
    """

    checks_query: ClassVar[bool] = True

    def __init__(self, path: str, endpoint: Callable[..., Any], **settings: Any) -> None:
        need = getattr(endpoint, _ATTRIBUTE, None)
        if not isinstance(need, Need):
            raise TypeError(f"{path}: the route does not say what role it needs (@needs)")
        self.need = need
        role = need.role.text if need.role else "none"
        settings["openapi_extra"] = {**(settings.get("openapi_extra") or {}), "x-mooring-role": role}
        if need.role is None:
            settings["openapi_extra"]["security"] = []
        super().__init__(path, endpoint, **settings)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, behind the check."""
        handler = super().get_route_handler()
        known = _query_of(self.dependant)

        async def guarded(request: Request) -> Response:
            request.scope[NEED], request.scope[TEMPLATE] = self.need, self.path
            if self.need.role is not None:
                principal: Principal = request.scope[PRINCIPAL]
                principal.check(self.need, _workspace(request))
            if self.checks_query:
                _check_query(request, known)
            return await handler(request)

        return guarded


def _query_of(dependant: Dependant) -> list[str]:
    """Names of the query parameters of a route's function and of what it depends on."""
    inner = [name for each in dependant.dependencies for name in _query_of(each)]
    return [*(field.alias for field in dependant.query_params), *inner]


def _check_query(request: Request, known: Sequence[str]) -> None:
    """Refuse what a filter with a misspelt name would do otherwise: nothing, in silence.

    Raises:
        InvalidRequest: ``QueryUnknown``.
    """
    for name in request.query_params:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"Did you mean {near[0]}?" if near else f"It knows: {', '.join(sorted(known)) or 'none'}."
            raise InvalidRequest(
                "QueryUnknown",
                f"This request has no query parameter {name[:100]!r}.",
                hint=hint,
                target=name[:100],
            )


def guarded_router(tag: str) -> APIRouter:
    """A router whose routes have to declare their needs."""
    return APIRouter(tags=[tag], responses=ERRORS, route_class=GuardedRoute)


def _workspace(request: Request) -> str | None:
    """Key of the workspace in the path, if there is one."""
    parts = [request.path_params.get(name) for name in ("subscription", "resource_group", "workspace")]
    return None if None in parts else workspace_key(*map(str, parts))


def _caller(request: Request) -> Principal:
    principal: Principal = request.scope[PRINCIPAL]
    return principal


Caller = Annotated[Principal, Depends(_caller)]
