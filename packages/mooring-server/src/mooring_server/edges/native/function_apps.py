"""Routes: resource groups, App Service plans and function apps."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse

from mooring_server.edges.native.access import CONTRIBUTOR, OWNER, READER, guarded_router, needs
from mooring_server.edges.native.common import ROOT, Filter
from mooring_server.edges.native.schemas import (
    AppSettings,
    AppSettingsChanges,
    Container,
    FunctionAppSettings,
    GroupSettings,
    PlanSettings,
)
from mooring_server.services.context import GroupRef
from mooring_server.services.function_app_view import FunctionAppView
from mooring_server.services.function_apps import FunctionApps
from mooring_server.services.plans import Plans, PlanView, WebRef
from mooring_server.services.resource_groups import GroupView, ResourceGroups
from mooring_server.services.views import Page
from mooring_server.targets.base import Target

_SUBSCRIPTION = ROOT + "/subscriptions/{subscription}"
_GROUP = _SUBSCRIPTION + "/resourceGroups/{resource_group}"
_PLAN = _GROUP + "/serverFarms/{name}"
_APP = _GROUP + "/functionApps/{name}"


def _group(subscription: str, resource_group: str) -> GroupRef:
    return GroupRef(subscription, resource_group)


def _web(subscription: str, resource_group: str, name: str) -> WebRef:
    return WebRef(GroupRef(subscription, resource_group), name)


_GroupRef = Annotated[GroupRef, Depends(_group)]
_WebRef = Annotated[WebRef, Depends(_web)]


def routes(groups: ResourceGroups, plans: Plans, apps: FunctionApps, target: Target) -> APIRouter:
    """All of them."""
    router = APIRouter()
    for part in (group_routes(groups), plan_routes(plans), app_routes(apps, target)):
        router.include_router(part)
    return router


def group_routes(groups: ResourceGroups) -> APIRouter:
    """The routes of resource groups. They belong to no workspace: tokens for some workspaces do not reach them."""
    router = guarded_router("groups")

    @router.put(_GROUP, responses={201: {"model": GroupView, "description": "It was created."}})
    @needs(CONTRIBUTOR, everywhere=True)
    def create(ref: _GroupRef, body: GroupSettings, response: Response) -> GroupView:
        """Make a group, or give one that exists other tags."""
        view, new = groups.create(ref, body.location, body.tags)
        response.status_code = 201 if new else 200
        return view

    @router.get(_GROUP)
    @needs(READER, everywhere=True)
    def get(ref: _GroupRef) -> GroupView:
        """One group."""
        return groups.get(ref)

    @router.delete(_GROUP, status_code=204)
    @needs(OWNER, everywhere=True)
    def delete(ref: _GroupRef) -> None:
        """Delete a group with what is in it."""
        groups.delete(ref)

    @router.get(_SUBSCRIPTION + "/resourceGroups")
    @needs(READER, everywhere=True)
    def list_(subscription: str) -> Page[GroupView]:
        """The groups of a subscription."""
        return {"value": groups.list(subscription), "nextLink": None}

    return router


def plan_routes(plans: Plans) -> APIRouter:
    """The routes of plans."""
    router = guarded_router("plans")

    @router.put(_PLAN, responses={201: {"model": PlanView, "description": "It was created."}})
    @needs(CONTRIBUTOR, everywhere=True)
    def create(ref: _WebRef, body: PlanSettings, response: Response) -> PlanView:
        """Make a plan, or change one."""
        view, new = plans.create(ref, body.model_dump())
        response.status_code = 201 if new else 200
        return view

    @router.get(_PLAN)
    @needs(READER, everywhere=True)
    def get(ref: _WebRef) -> PlanView:
        """One plan."""
        return plans.get(ref)

    @router.delete(_PLAN, status_code=204)
    @needs(CONTRIBUTOR, everywhere=True)
    def delete(ref: _WebRef) -> None:
        """Delete a plan that no app names."""
        plans.delete(ref)

    @router.get(_SUBSCRIPTION + "/serverFarms")
    @needs(READER, everywhere=True)
    def list_(subscription: str, resourceGroup: Filter = None) -> Page[PlanView]:  # noqa: N803 - Azure's
        """The plans of a subscription."""
        group = GroupRef(subscription, resourceGroup) if resourceGroup else None
        return {"value": plans.list(subscription, group), "nextLink": None}

    return router


def app_routes(apps: FunctionApps, target: Target) -> APIRouter:
    """The routes of function apps."""
    router = guarded_router("functionApps")

    @router.put(_APP, responses={201: {"model": FunctionAppView, "description": "It was created."}})
    @needs(CONTRIBUTOR, everywhere=True)
    def create(ref: _WebRef, body: FunctionAppSettings, response: Response) -> FunctionAppView:
        """Make an app, or change one."""
        plan = WebRef(GroupRef(ref.group.subscription, ref.group.name), body.plan) if body.plan else None
        view, new = apps.create(ref, {**body.model_dump(), "plan": plan})
        response.status_code = 201 if new else 200
        return view

    @router.get(_APP)
    @needs(READER, everywhere=True)
    def get(ref: _WebRef) -> FunctionAppView:
        """One app."""
        return apps.get(ref)

    @router.delete(_APP, status_code=202)
    @needs(CONTRIBUTOR, everywhere=True)
    def delete(ref: _WebRef) -> FunctionAppView:
        """Delete an app; it is gone (404) when its processes have ended."""
        return apps.delete(ref)

    @router.get(_SUBSCRIPTION + "/functionApps")
    @needs(READER, everywhere=True)
    def list_(subscription: str, resourceGroup: Filter = None) -> Page[FunctionAppView]:  # noqa: N803 - Azure's
        """The apps of a subscription."""
        group = GroupRef(subscription, resourceGroup) if resourceGroup else None
        return {"value": apps.list(subscription, group), "nextLink": None}

    _add_configuration(router, apps)
    _add_operations(router, apps, target)
    return router


def _add_configuration(router: APIRouter, apps: FunctionApps) -> None:
    @router.post(_APP + "/appsettings/list")
    @needs(CONTRIBUTOR, everywhere=True)
    def settings(ref: _WebRef) -> AppSettings:
        """The app settings, credentials included."""
        return AppSettings(properties=apps.settings(ref))

    @router.patch(_APP + "/appsettings")
    @needs(CONTRIBUTOR, everywhere=True)
    def change(ref: _WebRef, body: AppSettingsChanges) -> AppSettings:
        """Set some and remove others; the app starts anew with them."""
        return AppSettings(properties=apps.change_settings(ref, body.properties, body.removed))

    @router.put(_APP + "/container")
    @needs(CONTRIBUTOR, everywhere=True)
    def container(ref: _WebRef, body: Container) -> AppSettings:
        """Name the image and its registry; answers the app settings."""
        return AppSettings(properties=apps.set_container(ref, body.model_dump()))


def _add_operations(router: APIRouter, apps: FunctionApps, target: Target) -> None:
    @router.post(_APP + "/start")
    @needs(CONTRIBUTOR, everywhere=True)
    def start(ref: _WebRef) -> FunctionAppView:
        """Start a stopped app."""
        return apps.set_enabled(ref, enabled=True)

    @router.post(_APP + "/stop")
    @needs(CONTRIBUTOR, everywhere=True)
    def stop(ref: _WebRef) -> FunctionAppView:
        """Stop an app; what its triggers wait for waits."""
        return apps.set_enabled(ref, enabled=False)

    @router.post(_APP + "/restart")
    @needs(CONTRIBUTOR, everywhere=True)
    def restart(ref: _WebRef) -> FunctionAppView:
        """Start new workers, from the image that its reference names now, and end the old."""
        return apps.restart(ref)

    @router.post(_APP + "/listkeys")
    @needs(CONTRIBUTOR, everywhere=True)
    def keys(ref: _WebRef) -> dict[str, Any]:
        """The app's keys."""
        return apps.keys(ref)

    @router.get(_APP + "/logs", response_model=None)
    @needs(READER, everywhere=True)
    def logs(
        ref: _WebRef, tail: Annotated[int, Query(ge=0, le=1_000_000)] = 5000, follow: bool = False
    ) -> dict[str, str] | StreamingResponse:
        """The output of the functions; ``follow`` streams it as text."""
        uid = apps.uid(ref)
        if follow:
            return StreamingResponse(target.follow_logs(uid, tail), media_type="text/plain")
        return {"content": target.logs(uid, tail)}
