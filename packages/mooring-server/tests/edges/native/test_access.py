"""No route is open by mistake."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter

from mooring_server.app import create_app
from mooring_server.domain.access import Need, Principal, Role
from mooring_server.domain.errors import Forbidden
from mooring_server.edges.native.access import GuardedRoute, guarded_router, needs
from mooring_server.settings import Home


def all_routes(router: Any) -> Iterator[Any]:
    for route in router.routes:
        inner = getattr(route, "original_router", None)
        if isinstance(inner, APIRouter):
            yield from all_routes(inner)
        else:
            yield route


def test_every_route_is_guarded_but_the_registry_and_the_description(tmp_path: Path) -> None:
    app = create_app(Home.open(tmp_path / "home"), token="t", address="127.0.0.1:1").app
    routes = list(all_routes(app))
    others = sorted(route.path for route in routes if not isinstance(route, GuardedRoute))
    assert others == ["/mooring/v1/openapi.json", "/v2", "/v2/{path:path}"]
    assert len(routes) > 40
    open_ones = [r.path for r in routes if isinstance(r, GuardedRoute) and r.need.role is None]
    # Discovery and sign-ins; and what asks for a token of its own kind: registries, logs.
    assert sorted(set(open_ones)) == [
        "/adfs/.well-known/openid-configuration",
        "/adfs/oauth2/devicecode",
        "/adfs/oauth2/devicelogin",
        "/adfs/oauth2/token",
        "/livez",
        "/metadata/endpoints",
        "/oauth2/exchange",
        "/oauth2/token",
        "/scm/{name}/logstream",
        "/scm/{name}/logstream/{kind:path}",
        "/{registry}/acr/v1/_catalog",
        "/{registry}/acr/v1/{repository:path}/_tags",
        "/{registry}/v2",
        "/{registry}/v2/_catalog",
    ]


def test_a_route_that_declares_nothing_cannot_be_added() -> None:
    router = guarded_router("x")
    with pytest.raises(TypeError, match="does not say what role"):

        @router.get("/forgotten")
        def forgotten() -> None: ...

    @router.get("/declared")
    @needs(Role.READER)
    def declared() -> None: ...


@pytest.mark.parametrize("has", Role)
@pytest.mark.parametrize("needed", Role)
@pytest.mark.parametrize("workspaces", [None, frozenset({"a"}), frozenset({"b"}), frozenset[str]()])
@pytest.mark.parametrize("everywhere", [False, True])
def test_role_and_reach_both_have_to_suffice(
    has: Role, needed: Role, workspaces: "frozenset[str] | None", everywhere: bool
) -> None:
    principal = Principal("1", "ci", has, workspaces)
    good = has >= needed and (workspaces is None or ("a" in workspaces and not everywhere))
    if good:
        principal.check(Need(needed, everywhere), "a")
    else:
        with pytest.raises(Forbidden):
            principal.check(Need(needed, everywhere), "a")
