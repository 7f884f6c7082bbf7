"""What `az` writes into function apps, as the use cases take it; and apps as ARM shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mooring_server.domain.errors import InvalidRequest, NotFound
from mooring_server.edges.arm.common import resource_view
from mooring_server.services.context import GroupRef
from mooring_server.services.function_app_view import FunctionAppView
from mooring_server.services.plans import WebRef
from mooring_server.services.storage.accounts import StorageAccounts

# Azure has a second host for each app, with its logs; ours is a path, which az takes as well.
CONSOLE = "/scm/"


def named_values(items: Any) -> dict[str, str]:
    """App settings from the list that a site's body has.

    Raises:
        InvalidRequest: ``InvalidRequestContent``.
    """
    if not isinstance(items, list) or not all(isinstance(item, dict) and item.get("name") for item in items):
        raise InvalidRequest(
            "InvalidRequestContent", "appSettings must be a list of objects with name and value."
        )
    return {str(item["name"]): str(item.get("value") or "") for item in items}


def completed(settings: Mapping[str, Any], accounts: StorageAccounts) -> dict[str, Any]:
    """Settings whose connection strings of accounts of this server say where these are.

    For a cloud of its own `az functionapp create` writes the account, its key and a suffix; Azure's SDKs would make
    host names of them, which nobody resolves here.
    """
    return {name: _completed(value, accounts) if value else value for name, value in settings.items()}


def _completed(value: Any, accounts: StorageAccounts) -> Any:
    if not isinstance(value, str) or "AccountName=" not in value or "BlobEndpoint=" in value:
        return value
    fields = dict(part.partition("=")[::2] for part in value.split(";") if part)
    try:
        endpoints = accounts.get(accounts.find(fields.get("AccountName", "")))["primaryEndpoints"]
    except NotFound:
        return value
    return f"{value.rstrip(';')};BlobEndpoint={endpoints['blob']};QueueEndpoint={endpoints['queue']}"


def plan_ref(value: Any, group: GroupRef) -> WebRef | None:
    """The plan that a ``serverFarmId`` means: an id, or a name in the app's own group."""
    if not value:
        return None
    parts = str(value).strip("/").split("/")
    if len(parts) == 8:
        return WebRef(GroupRef(parts[1], parts[3]), parts[7])
    return WebRef(group, parts[-1])


def site_view(view: FunctionAppView, host: str) -> dict[str, Any]:
    """ARM's JSON. Beside Azure's fields it has ``status``, ``missing`` and ``error``, which say how the app does.

    Args:
        view: the app.
        host: ``host:port`` by which the caller reached us; an app that does not answer yet is shown under it.
    """
    address = view["defaultHostName"] or host
    console = f"{host}{CONSOLE}{view['name']}"
    config = {"linuxFxVersion": view["linuxFxVersion"], "alwaysOn": True, "numberOfWorkers": 1}
    secured = "SniEnabled" if (view["url"] or "").startswith("https:") else "Disabled"
    flat: dict[str, Any] = {
        **view,
        "defaultHostName": address,
        "hostNames": [address],
        "enabledHostNames": [address, console],
        "hostNameSslStates": [
            {"name": address, "sslState": secured, "hostType": "Standard"},
            {"name": console, "sslState": "Disabled", "hostType": "Repository"},
        ],
        "repositorySiteName": view["name"],
        "usageState": "Normal",
        "availabilityState": "Normal" if view["status"] == "Running" else "Limited",
        "reserved": True,
        "isXenon": False,
        "hyperV": False,
        "httpsOnly": False,
        "clientAffinityEnabled": False,
        "sku": "Basic",
        "siteConfig": config,
        "resourceGroup": view["resourceGroup"],
    }
    shown = resource_view(flat)
    # The tier of a site is no object beside the properties, as others have it.
    shown["properties"].update({"sku": shown.pop("sku"), "resourceGroup": view["resourceGroup"]})
    return shown
