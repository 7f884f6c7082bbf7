"""Routes: app settings and configuration of function apps."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from mooring_server.domain.functions import APP_SERVICE_STORAGE
from mooring_server.edges.arm.common import JsonObject, arm_router, section
from mooring_server.edges.arm.site_values import completed
from mooring_server.edges.arm.sites import ONE, Ref
from mooring_server.edges.native.access import CONTRIBUTOR, READER, needs
from mooring_server.services.function_apps import FunctionApps
from mooring_server.services.plans import WebRef
from mooring_server.services.storage.accounts import StorageAccounts


def routes(apps: FunctionApps, accounts: StorageAccounts) -> APIRouter:
    """The routes over the use cases."""
    router = arm_router()
    _settings(router, apps, accounts)

    def web(ref: WebRef) -> dict[str, Any]:
        view = apps.get(ref)
        properties = {
            "linuxFxVersion": view["linuxFxVersion"],
            "numberOfWorkers": 1,
            "alwaysOn": True,
            "scmType": "None",
            "ftpsState": "Disabled",
        }
        return _config(view["id"], "web", properties)

    @router.get(ONE + "/config/web")
    @needs(READER, everywhere=True)
    def get(ref: Ref) -> dict[str, Any]:
        """The image, and what is the same for all apps."""
        return web(ref)

    @router.patch(ONE + "/config/web")
    @router.put(ONE + "/config/web")
    @needs(CONTRIBUTOR, everywhere=True)
    def put(ref: Ref, body: JsonObject) -> dict[str, Any]:
        """Name another image; the app goes over to it once it is ready."""
        image = str(section(body, "properties").get("linuxFxVersion") or "").strip()
        # az writes the whole configuration back, whatever it changes.
        if image and image != apps.get(ref)["linuxFxVersion"]:
            apps.set_container(ref, {"image": image})
        return web(ref)

    @router.get(ONE + "/config")
    @needs(READER, everywhere=True)
    def list_(ref: Ref) -> dict[str, Any]:
        """All configurations: the one."""
        return {"value": [web(ref)]}

    @router.post(ONE + "/publishXml")
    @needs(CONTRIBUTOR, everywhere=True)
    def publish(ref: Ref, request: Request) -> Response:
        """What publishes code elsewhere. Here images are what is deployed; it has the app's address only."""
        view = apps.get(ref)
        name = escape(view["name"], quote=True)
        address = escape(view["url"] or f"{request.url.scheme}://{request.url.netloc}", quote=True)
        return Response(
            f'<publishData><publishProfile profileName="{name}" publishMethod="None" '
            f'destinationAppUrl="{address}"/></publishData>',
            media_type="application/xml",
        )

    @router.get(ONE + "/basicPublishingCredentialsPolicies/scm")
    @needs(READER, everywhere=True)
    def policy(ref: Ref) -> dict[str, Any]:
        """Az shows its token, no password, where it reads logs."""
        return _config(apps.get(ref)["id"], "scm", {"allow": False})

    return router


def _settings(router: APIRouter, apps: FunctionApps, accounts: StorageAccounts) -> None:
    @router.post(ONE + "/config/appsettings/list")
    @needs(CONTRIBUTOR, everywhere=True)
    def list_(ref: Ref) -> dict[str, Any]:
        """The app settings, credentials included."""
        return _config(apps.get(ref)["id"], "appsettings", apps.settings(ref))

    @router.put(ONE + "/config/appsettings")
    @needs(CONTRIBUTOR, everywhere=True)
    def put(ref: Ref, body: JsonObject) -> dict[str, Any]:
        """Make these all of them; the app restarts if that changes something."""
        settings = completed(section(body, "properties"), accounts)
        known = apps.settings(ref)
        if APP_SERVICE_STORAGE in known:
            settings.setdefault(APP_SERVICE_STORAGE, known[APP_SERVICE_STORAGE])
        found = known if settings == known else apps.replace_settings(ref, settings)
        return _config(apps.get(ref)["id"], "appsettings", found)

    @router.post(ONE + "/config/connectionstrings/list")
    @needs(CONTRIBUTOR, everywhere=True)
    def connection_strings(ref: Ref) -> dict[str, Any]:
        """None: those of functions are app settings."""
        return _config(apps.get(ref)["id"], "connectionstrings", {})

    @router.get(ONE + "/config/slotConfigNames")
    @needs(READER, everywhere=True)
    def slots(ref: Ref) -> dict[str, Any]:
        """None: there are no slots, since a new image takes over without a gap anyway."""
        kinds = ("appSettingNames", "connectionStringNames", "azureStorageConfigNames")
        names: dict[str, Any] = {kind: [] for kind in kinds}
        return _config(apps.get(ref)["id"], "slotConfigNames", names)


def _config(site: str, name: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"{site}/config/{name}",
        "name": name,
        "type": "Microsoft.Web/sites/config",
        "properties": properties,
    }
