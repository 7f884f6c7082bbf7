"""Which storage account a command is about."""

from __future__ import annotations

from mooring.cli import workspaces as places
from mooring.cli.calls import call


def path_of(name: str, resource_group: str | None, subscription: str | None) -> str:
    """The path of an account in the native API, without asking the server."""
    from mooring.sdk.client import part

    meant, chosen, _ = places.scope(None, resource_group, subscription)
    return f"/subscriptions/{part(meant)}/resourceGroups/{part(chosen)}/storageAccounts/{part(name)}"


def find(name: str, resource_group: str | None, subscription: str | None) -> str:
    """The path of an account; its name is enough, as for `az`."""
    from mooring.sdk.client import part

    if resource_group is None:
        meant, _, _ = places.scope(None, None, subscription)
        for row in call("GET", f"/subscriptions/{part(meant)}/storageAccounts")["value"]:
            if row["name"] == name:
                return path_of(name, row["resourceGroup"], row["subscription"])
    return path_of(name, resource_group, subscription)
