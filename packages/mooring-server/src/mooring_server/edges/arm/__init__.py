"""Azure Resource Manager's API, as far as `az` and its SDKs need it: HTTP only, a module a kind of resource."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import FastAPI

from mooring_server.domain.access import Principal
from mooring_server.edges.arm import acr, discovery, groups, registries, resources, sign_in, subscriptions
from mooring_server.edges.arm.acr import TOKEN_USER, registry_of_token
from mooring_server.edges.registry import RegistryIndex
from mooring_server.services.registries import Registries
from mooring_server.services.resource_groups import ResourceGroups
from mooring_server.services.sign_ins import SignIns

__all__ = ["TOKEN_USER", "ArmServices", "add_arm", "registry_of_token"]


@dataclass(frozen=True)
class ArmServices:
    """The use cases behind the routes.

    Attributes:
        authenticate_registry: gives the registry that a user and a password open, or None.
    """

    sign_ins: SignIns
    groups: ResourceGroups
    registries: Registries
    repositories: RegistryIndex
    authenticate_registry: Callable[[str, str], str | None]


def add_arm(app: FastAPI, services: ArmServices) -> None:
    """Add all routes; they are the last of an application, since some begin with any word."""
    parts = (
        discovery.routes(),
        sign_in.routes(services.sign_ins),
        subscriptions.routes(services.groups, services.sign_ins.tenant),
        groups.routes(services.groups),
        registries.routes(services.registries),
        resources.routes([_registries(services.registries)]),
        acr.routes(
            services.registries, services.repositories, services.sign_ins, services.authenticate_registry
        ),
    )
    for part in parts:
        # Not by include_router, which has a pattern of its own for each path and would forget ours.
        app.router.routes.extend(part.routes)


def _registries(known: Registries) -> resources.Source:
    def source(subscription: str, caller: Principal, host: str) -> list[resources.Resource]:
        return [
            registries.registry_view(view, host)
            for view in known.list(subscription)
            if caller.may_enter(view["workspace"])
        ]

    return source
