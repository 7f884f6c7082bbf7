"""Routes: the runtimes of function apps. `az` looks the one of every app up before it changes it."""

from __future__ import annotations

import re
from typing import Any

from fastapi import APIRouter

from mooring_server.edges.arm.common import arm_router
from mooring_server.edges.native.access import READER, Caller, needs
from mooring_server.services.function_apps import FunctionApps
from mooring_server.services.resource_groups import ResourceGroups

# What az takes for the version of an app made from an image: the digits and dots of the image's name.
_NO_VERSION = re.compile(r"[^\d.]")


def routes(apps: FunctionApps, groups: ResourceGroups) -> APIRouter:
    """The one route."""
    router = arm_router()

    @router.get("/providers/Microsoft.Web/functionAppStacks")
    @needs(READER)
    def stacks(caller: Caller) -> dict[str, Any]:
        """Those that az asks for: `dotnet`, whatever the app is, and `docker` with the images that there are."""
        found = [view for name in groups.subscriptions(caller) for view in apps.list(name)]
        images = {_NO_VERSION.sub("", view["linuxFxVersion"].partition("|")[2]) for view in found}
        return {"value": [_stack("dotnet", ["8.0"]), _stack("docker", sorted(images | {"1"}))]}

    return router


def _stack(name: str, versions: list[str]) -> dict[str, Any]:
    minors = [_minor(name, version, default=version == versions[-1]) for version in versions]
    properties = {
        "displayText": name,
        "value": name,
        "preferredOs": "linux",
        "majorVersions": [{"displayText": name, "value": name, "minorVersions": minors}],
    }
    path = f"/providers/Microsoft.Web/functionAppStacks/{name}"
    return {"id": path, "name": name, "type": "Microsoft.Web/functionAppStacks", "properties": properties}


def _minor(name: str, version: str, *, default: bool) -> dict[str, Any]:
    settings = {
        "runtimeVersion": version,
        "isDefault": default,
        "isHidden": False,
        "isPreview": False,
        "isDeprecated": False,
        "remoteDebuggingSupported": False,
        "appInsightsSettings": {"isSupported": False},
        "gitHubActionSettings": {"isSupported": False},
        "appSettingsDictionary": {"FUNCTIONS_WORKER_RUNTIME": name},
        # No linuxFxVersion: az would write it over the image's.
        "siteConfigPropertiesDictionary": {"use32BitWorkerProcess": False},
        # Apps that az did not make have no version of the functions' runtime among their settings.
        "supportedFunctionsExtensionVersions": ["~4", ""],
    }
    return {"displayText": version, "value": version, "stackSettings": {"linuxRuntimeSettings": settings}}
