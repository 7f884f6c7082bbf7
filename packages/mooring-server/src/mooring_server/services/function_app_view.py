"""Function apps as callers see them."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

from mooring_server.domain.functions import FX_PREFIX
from mooring_server.domain.names import web_id
from mooring_server.store.function_tables import FunctionApp


class FunctionAppView(TypedDict):
    """A function app: ARM's ``Microsoft.Web/sites``, flat as ``az`` prints it, and how it does.

    ``state`` is Azure's, ``Running`` or ``Stopped``: whether it is meant to run. ``status`` tells what it does:
    ``Inactive`` (``missing`` says what it lacks), ``Starting`` (``phase`` says how far it is), ``Running``, ``Failed``
    (``error`` says why), ``Stopped`` or ``Deleting``. ``functions`` has the trigger of each function: ``Running``,
    or ``Waiting`` with the reason.
    """

    id: str
    name: str
    type: str
    kind: str
    location: str
    resourceGroup: str
    subscription: str
    tags: dict[str, str]
    serverFarmId: str | None
    enabled: bool
    state: str
    status: str
    phase: str
    missing: list[dict[str, str]]
    error: dict[str, Any] | None
    functions: dict[str, dict[str, str]]
    linuxFxVersion: str
    imageDigest: str | None
    url: str | None
    defaultHostName: str
    generation: int
    isolation: str | None
    creationTime: str
    lastModifiedTimeUtc: str


def function_app_view(app: FunctionApp) -> FunctionAppView:
    """An app as callers see it; without its settings, which hold credentials."""
    url = app.observed.get("url")
    sites = web_id(app.subscription, app.resource_group, "sites", app.name)
    return {
        "id": sites,
        "name": app.name,
        "type": "Microsoft.Web/sites",
        "kind": "functionapp,linux,container",
        "location": app.location,
        "resourceGroup": app.resource_group,
        "subscription": app.subscription,
        "tags": app.tags,
        "serverFarmId": _plan_id(app),
        "enabled": app.enabled,
        "state": "Running" if app.enabled else "Stopped",
        "status": app.status,
        "phase": app.phase,
        "missing": app.missing,
        "error": app.error,
        "functions": app.observed.get("functions") or {},
        "linuxFxVersion": f"{FX_PREFIX}{app.image}" if app.image else "",
        "imageDigest": app.image_digest,
        "url": url,
        "defaultHostName": (url or "").partition("://")[2],
        "generation": app.generation,
        "isolation": app.observed.get("isolation"),
        "creationTime": app.created,
        "lastModifiedTimeUtc": app.modified,
    }


def _plan_id(app: FunctionApp) -> str | None:
    if app.plan is None:
        return None
    # A plan's key has the case-folded names; they are as good in an id.
    subscription, group, name = app.plan.split("/")
    return web_id(subscription, group, "serverfarms", name)
