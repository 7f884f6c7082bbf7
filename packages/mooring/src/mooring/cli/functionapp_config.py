"""`mooring functionapp config`: app settings and the container, as `az functionapp config` has them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mooring.cli.calls import call
from mooring.cli.confirm import confirm
from mooring.cli.options import DryRun, Text, Yes
from mooring.cli.output import Columns
from mooring.cli.resources import list_of, place
from mooring.cli.session import Session, command, group

SETTINGS: Columns = (("Name", "name"), ("Value", "value"))
# What `az functionapp config container` shows, in its order.
CONTAINER = (
    "WEBSITES_ENABLE_APP_SERVICE_STORAGE",
    "DOCKER_REGISTRY_SERVER_URL",
    "DOCKER_REGISTRY_SERVER_USERNAME",
    "DOCKER_REGISTRY_SERVER_PASSWORD",
)

app = group("Settings and container of a function app.")
appsettings = group("App settings: environment variables of the functions, and what bindings refer to.")
container = group("The image of a function app and the registry it comes from.")
app.add_typer(appsettings, name="appsettings")
app.add_typer(container, name="container")

AppName = Annotated[str, typer.Option("--name", "-n", help="Name of the function app.")]
ResourceGroup = Annotated[Text, typer.Option("--resource-group", "-g", help="Its resource group.")]
Subscription = Annotated[Text, typer.Option("--subscription", help="Its subscription.")]


def find(name: str, resource_group: str | None, subscription: str | None) -> str:
    """The path of a function app in the native API; its name is enough."""
    if resource_group is None:
        for row in call("GET", list_of("functionApps", None, subscription))["value"]:
            if row["name"].lower() == name.lower():
                return place("functionApps", row["name"], row["resourceGroup"], row["subscription"])
    return place("functionApps", name, resource_group, subscription)


@command(appsettings, "list", workspace=False)
def list_settings(
    session: Session, name: AppName, resource_group: ResourceGroup = None, subscription: Subscription = None
) -> None:
    """List the app settings. Their values may hold credentials.

    Example:
      mooring functionapp config appsettings list -n myapp
    """
    found = call("POST", f"{find(name, resource_group, subscription)}/appsettings/list")
    session.show_all(_rows(found), SETTINGS, empty="There are no app settings.")


@command(appsettings, "set", workspace=False)
def set_settings(
    session: Session,
    name: AppName,
    settings: Annotated[
        list[str], typer.Option("--settings", metavar="NAME=VALUE", help="A setting; may be repeated.")
    ],
    resource_group: ResourceGroup = None,
    subscription: Subscription = None,
) -> None:
    """Set app settings; the app starts anew with them.

    Example:
      mooring functionapp config appsettings set -n myapp --settings "TriggerConnectionString=..."
    """
    changes = {}
    for item in settings:
        setting, equals, value = item.partition("=")
        if not (setting and equals):
            raise typer.BadParameter(f"expected NAME=VALUE, got {setting!r}", param_hint="--settings")
        changes[setting] = value
    path = f"{find(name, resource_group, subscription)}/appsettings"
    session.show_all(_rows(call("PATCH", path, {"properties": changes})), SETTINGS, empty="")


@command(appsettings, "delete", workspace=False)
def delete_settings(
    session: Session,
    name: AppName,
    setting_names: Annotated[
        list[str], typer.Option("--setting-names", metavar="NAME", help="A setting; may be repeated.")
    ],
    resource_group: ResourceGroup = None,
    subscription: Subscription = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Remove app settings; the app starts anew without them.

    Example:
      mooring functionapp config appsettings delete -n myapp --setting-names OLD --yes
    """
    path = f"{find(name, resource_group, subscription)}/appsettings"
    what = f"{', '.join(setting_names)} of the function app {name}"
    if dry_run:
        there = call("POST", f"{path}/list")["properties"]
        gone = ", ".join(n for n in setting_names if n in there) or "nothing"
        session.say(f"Would delete {gone} of the function app {name}.")
        return
    confirm(f"delete {what}", yes=yes)
    left = call("PATCH", path, {"removed": setting_names})
    session.show_all(_rows(left), SETTINGS, empty="There are no app settings.")


@command(container, "show", workspace=False)
def show_container(
    session: Session, name: AppName, resource_group: ResourceGroup = None, subscription: Subscription = None
) -> None:
    """Show the image and the registry; the password is not shown.

    Example:
      mooring functionapp config container show -n myapp
    """
    path = find(name, resource_group, subscription)
    _show_container(session, path, call("POST", f"{path}/appsettings/list"))


@command(container, "set", workspace=False)
def set_container(
    session: Session,
    name: AppName,
    resource_group: ResourceGroup = None,
    image: Annotated[
        Text,
        typer.Option(
            "--image",
            "-i",
            "--docker-custom-image-name",
            help="The image: package.location, or <registry>/package:<tag>.",
        ),
    ] = None,
    registry_server: Annotated[
        Text,
        typer.Option("--registry-server", "--docker-registry-server-url", help="Address of the registry."),
    ] = None,
    registry_username: Annotated[
        Text,
        typer.Option("--registry-username", "--docker-registry-server-user", help="Its user: its name."),
    ] = None,
    registry_password: Annotated[
        Text, typer.Option("--registry-password", "--docker-registry-server-password", help="Its password.")
    ] = None,
    subscription: Subscription = None,
) -> None:
    """Set the image and what opens its registry; the app starts from it.

    Example:
      mooring functionapp config container set -n myapp --image 127.0.0.1:8000/myregistry/package:20260101120000
    """
    path = find(name, resource_group, subscription)
    body = {
        "image": image,
        "registryUrl": registry_server,
        "registryUsername": registry_username,
        "registryPassword": registry_password,
    }
    _show_container(session, path, call("PUT", f"{path}/container", body))


def _rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    """As `az` prints them."""
    return [
        {"name": name, "slotSetting": False, "value": value}
        for name, value in sorted(found["properties"].items())
    ]


def _show_container(session: Session, path: str, found: dict[str, Any]) -> None:
    by_name: dict[str, Any] = {row["name"]: row for row in _rows(found)}
    rows = [
        {**by_name[name], "value": None} if name.endswith("PASSWORD") else by_name[name]
        for name in CONTAINER
        if name in by_name
    ]
    shown = call("GET", path)["linuxFxVersion"]
    rows.append({"name": "DOCKER_CUSTOM_IMAGE_NAME", "slotSetting": None, "value": shown or None})
    session.show_all(rows, SETTINGS, empty="")
