"""Azure Resource Manager's API, as far as `az` and its SDKs need it: HTTP only, a module a kind of resource."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fastapi import FastAPI

from mooring_server.domain.access import Principal
from mooring_server.edges.arm import (
    acr,
    discovery,
    groups,
    plans,
    registries,
    resources,
    servicebus,
    sign_in,
    site_config,
    site_logs,
    sites,
    stacks,
    storage,
    subscriptions,
)
from mooring_server.edges.arm.acr import registry_of_token
from mooring_server.edges.arm.common import resource_view
from mooring_server.edges.arm.site_values import site_view
from mooring_server.edges.registry import RegistryIndex
from mooring_server.services.function_apps import FunctionApps
from mooring_server.services.plans import Plans
from mooring_server.services.registries import Registries
from mooring_server.services.resource_groups import ResourceGroups
from mooring_server.services.service_bus import ServiceBus
from mooring_server.services.sign_ins import SignIns
from mooring_server.services.storage.accounts import StorageAccounts
from mooring_server.targets.base import Target

__all__ = ["ArmParts", "add_arm", "registry_of_token"]


class Identities(Protocol):
    """Who shows what."""

    @property
    def sign_ins(self) -> SignIns:
        """Make tokens, and verify them."""

    @property
    def registries(self) -> Registries:
        """Know to which workspace a registry belongs."""

    def authenticate(self, token: str) -> Principal | None:
        """Who shows a token, or None."""

    def authenticate_registry(self, user: str, password: str) -> str | None:
        """The registry that a user and a password open, or None."""


@dataclass(frozen=True)
class ArmParts:
    """The use cases behind the routes."""

    groups: ResourceGroups
    repositories: RegistryIndex
    accounts: StorageAccounts
    plans: Plans
    apps: FunctionApps
    target: Target
    bus: ServiceBus


def add_arm(app: FastAPI, identities: Identities, parts: ArmParts) -> None:
    """Add all routes; they are the last of an application, since some begin with any word."""
    sign_ins, known = identities.sign_ins, identities.registries
    routers = (
        discovery.routes(),
        sign_in.routes(sign_ins),
        subscriptions.routes(parts.groups, sign_ins.tenant),
        groups.routes(parts.groups),
        registries.routes(known),
        storage.routes(parts.accounts, parts.groups),
        plans.routes(parts.plans),
        sites.routes(parts.apps),
        site_config.routes(parts.apps),
        site_logs.routes(parts.apps, parts.target, identities.authenticate),
        stacks.routes(parts.apps, parts.groups),
        servicebus.routes(parts.bus, parts.groups),
        resources.routes([_registries(known), _everywhere(parts)]),
        acr.routes(known, parts.repositories, sign_ins, identities.authenticate_registry),
    )
    for router in routers:
        # Not by include_router, which has a pattern of its own for each path and would forget ours.
        app.router.routes.extend(router.routes)


def _registries(known: Registries) -> resources.Source:
    def source(subscription: str, caller: Principal, host: str) -> list[resources.Resource]:
        return [
            registries.registry_view(view, host)
            for view in known.list(subscription)
            if caller.may_enter(view["workspace"])
        ]

    return source


def _everywhere(parts: ArmParts) -> resources.Source:
    """What lies in no workspace: for those whose token is for all of them."""

    def source(subscription: str, caller: Principal, host: str) -> list[resources.Resource]:
        if caller.workspaces is not None:
            return []
        return [
            *(storage.account_view(view) for view in parts.accounts.list(subscription)),
            *(plans.plan_view(view) for view in parts.plans.list(subscription)),
            *(site_view(view, host) for view in parts.apps.list(subscription)),
            *(resource_view(view) for view in parts.bus.namespaces.list(subscription, None)),
        ]

    return source
