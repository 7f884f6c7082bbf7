"""`mooring functionapp`, by the verbs of `az functionapp`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from mooring.cli import calls, functionapp_config
from mooring.cli.calls import call
from mooring.cli.functionapp_config import AppName, ResourceGroup, Subscription, find
from mooring.cli.options import DryRun, Tags, Text, Yes, key_values
from mooring.cli.output import Columns
from mooring.cli.resources import list_of, place
from mooring.cli.session import Session, command, group


def _missing(row: Mapping[str, Any]) -> str:
    return " ".join(entry["message"] for entry in row["missing"])


def _error(row: Mapping[str, Any]) -> str:
    error = row["error"]
    return f"{error['code']}: {error['message']} {error['hint']}" if error else ""


APPS: Columns = (
    ("Name", "name"),
    ("Resource group", "resourceGroup"),
    ("Status", "status"),
    ("Phase", "phase"),
    ("Missing", _missing),
    ("Error", _error),
    ("Functions", lambda row: [f"{name}: {f['state']}" for name, f in row["functions"].items()]),
    ("Image", "linuxFxVersion"),
    ("URL", "url"),
)

app = group(
    "Function apps: models that run when a request, a blob or a message comes, as `az functionapp` has them."
)
app.add_typer(functionapp_config.app, name="config")
keys = group("Keys of a function app.")
app.add_typer(keys, name="keys")
log = group("Logs of a function app.")
app.add_typer(log, name="log")


@command(app, "create", workspace=False)
def create(
    session: Session,
    name: AppName,
    resource_group: ResourceGroup = None,
    plan: Annotated[Text, typer.Option("--plan", "-p", help="An App Service plan of the group.")] = None,
    storage_account: Annotated[
        Text,
        typer.Option(
            "--storage-account",
            "-s",
            help="A storage account of this server, in which the function host keeps its state.",
        ),
    ] = None,
    image: Annotated[
        Text,
        typer.Option(
            "--image",
            "-i",
            "--deployment-container-image-name",
            help="The image: package.location, or <registry>/package:<tag>.",
        ),
    ] = None,
    tag: Tags = None,
    subscription: Subscription = None,
) -> None:
    """Create a function app. It is inactive until it has all that it needs; `show` says what is missing.

    Example:
      mooring functionapp create -g myresourcegroup --plan myplanname -n myapp --storage-account webjobstorage
    """
    body = {
        "plan": plan,
        "image": image,
        "storageAccount": storage_account,
        "tags": key_values(tag, "--tag") or None,
    }
    session.show(call("PUT", place("functionApps", name, resource_group, subscription), body), APPS)


@command(app, "list", workspace=False)
def list_apps(
    session: Session, resource_group: ResourceGroup = None, subscription: Subscription = None
) -> None:
    """List the function apps of the subscription, or of one resource group.

    Example:
      mooring functionapp list
    """
    rows = call("GET", list_of("functionApps", resource_group, subscription))["value"]
    columns = [column for column in APPS if column[0] not in {"Phase", "Missing", "Error"}]
    session.show_all(rows, columns, empty="There are no function apps.")


@command(app, "show", workspace=False)
def show(
    session: Session, name: AppName, resource_group: ResourceGroup = None, subscription: Subscription = None
) -> None:
    """Show a function app: its status, what it lacks, why it failed, how its triggers do.

    Example:
      mooring functionapp show -n myapp
    """
    session.show(call("GET", find(name, resource_group, subscription)), APPS)


@command(app, "delete", workspace=False)
def delete(
    session: Session,
    name: AppName,
    resource_group: ResourceGroup = None,
    subscription: Subscription = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Delete a function app. What its triggers wait for stays where it is.

    Example:
      mooring functionapp delete -n myapp --yes
    """
    path = find(name, resource_group, subscription)
    calls.delete(session, path, f"the function app {name}", yes=yes, dry_run=dry_run)


def _act(verb: str, summary: str) -> None:
    def act(
        session: Session,
        name: AppName,
        resource_group: ResourceGroup = None,
        subscription: Subscription = None,
    ) -> None:
        session.show(call("POST", f"{find(name, resource_group, subscription)}/{verb}"), APPS)

    act.__doc__ = f"{summary}\n\nExample:\n  mooring functionapp {verb} -n myapp"
    command(app, verb, workspace=False)(act)


_act("start", "Start a stopped function app.")
_act("stop", "Stop a function app; what its triggers wait for waits.")
_act("restart", "Start new workers, from the image that the reference names now, and end the old.")


@command(keys, "list", workspace=False)
def list_keys(
    session: Session, name: AppName, resource_group: ResourceGroup = None, subscription: Subscription = None
) -> None:
    """Show the keys that HTTP functions want as `?code=` or in the header `x-functions-key`.

    Example:
      mooring functionapp keys list -n myapp
    """
    shown = call("POST", f"{find(name, resource_group, subscription)}/listkeys")
    session.show(shown, (("Master key", "masterKey"), ("Function keys", "functionKeys")))


@command(log, "tail", workspace=False)
def tail(
    session: Session,  # noqa: ARG001 - what the command declaration gives
    name: AppName,
    resource_group: ResourceGroup = None,
    lines: Annotated[int, typer.Option("--lines", help="Begin with the last so many.", min=0)] = 100,
    subscription: Subscription = None,
) -> None:
    """Print the output of the functions as it comes, until Ctrl+C.

    Example:
      mooring functionapp log tail -n myapp
    """
    from mooring.cli import waiting
    from mooring.cli.calls import server
    from mooring.sdk.client import ROOT

    path = f"{ROOT}{find(name, resource_group, subscription)}/logs"
    http = server()
    try:
        waiting.follow(http, path, lines)
    finally:
        http.close()
