"""`mooring group` and `mooring appservice plan`, by the verbs of `az`: names under which other things are kept."""

from __future__ import annotations

from typing import Annotated

import typer

from mooring.cli import workspaces as places
from mooring.cli.calls import call, delete
from mooring.cli.options import DryRun, Tags, Text, Yes, key_values
from mooring.cli.output import Columns
from mooring.cli.session import Session, command, group

GROUPS: Columns = (("Name", "name"), ("Location", "location"), ("Tags", "tags"))
PLANS: Columns = (
    ("Name", "name"),
    ("Resource group", "resourceGroup"),
    ("SKU", lambda row: row["sku"]["name"]),
    ("Apps", "numberOfSites"),
)

groups = group("Resource groups.")
appservice = group("App Service plans.")
plans = group("App Service plans: names that function apps refer to; nothing is reserved by one here.")
appservice.add_typer(plans, name="plan")

GroupName = Annotated[str, typer.Option("--name", "-n", help="Name of the resource group.")]
PlanName = Annotated[str, typer.Option("--name", "-n", help="Name of the plan.")]
ResourceGroup = Annotated[Text, typer.Option("--resource-group", "-g", help="Its resource group.")]
Subscription = Annotated[Text, typer.Option("--subscription", help="Its subscription.")]
Location = Annotated[Text, typer.Option("--location", "-l", help="Kept, without effect.")]


def add(root: typer.Typer) -> None:
    """Put the commands on the root."""
    root.add_typer(groups, name="group")
    root.add_typer(appservice, name="appservice")


def place(kind: str, name: str, resource_group: str | None, subscription: str | None) -> str:
    """The path of a resource of a group in the native API."""
    from mooring.sdk.client import part

    meant, chosen, _ = places.scope(None, resource_group, subscription)
    return f"/subscriptions/{part(meant)}/resourceGroups/{part(chosen)}/{kind}/{part(name)}"


def list_of(kind: str, resource_group: str | None, subscription: str | None) -> str:
    """The path of a list of them."""
    from mooring.sdk.client import part

    meant, _, _ = places.scope(None, None, subscription)
    query = f"?resourceGroup={part(resource_group)}" if resource_group else ""
    return f"/subscriptions/{part(meant)}/{kind}{query}"


def _group(name: str, subscription: str | None) -> str:
    from mooring.sdk.client import part

    meant, _, _ = places.scope(None, None, subscription)
    return f"/subscriptions/{part(meant)}/resourceGroups/{part(name)}"


@command(groups, "create", workspace=False)
def create_group(
    session: Session,
    name: GroupName,
    location: Annotated[str, typer.Option("--location", "-l", help="Kept, without effect.")] = "local",
    tag: Tags = None,
    subscription: Subscription = None,
) -> None:
    """Create a resource group, or give one other tags.

    Example:
      mooring group create --name myresourcegroup --location "West Europe"
    """
    body = {"location": location, "tags": key_values(tag, "--tag") or None}
    session.show(call("PUT", _group(name, subscription), body), GROUPS)


@command(groups, "list", workspace=False)
def list_groups(session: Session, subscription: Subscription = None) -> None:
    """List the resource groups of the subscription.

    Example:
      mooring group list
    """
    rows = call("GET", list_of("resourceGroups", None, subscription))["value"]
    session.show_all(rows, GROUPS, empty="There are no resource groups.")


@command(groups, "show", workspace=False)
def show_group(session: Session, name: GroupName, subscription: Subscription = None) -> None:
    """Show a resource group.

    Example:
      mooring group show --name myresourcegroup
    """
    session.show(call("GET", _group(name, subscription)), GROUPS)


@command(groups, "delete", workspace=False)
def delete_group(
    session: Session,
    name: GroupName,
    subscription: Subscription = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Delete a resource group with its function apps, plans and storage accounts; one with workspaces is refused.

    Example:
      mooring group delete --name myresourcegroup --yes
    """
    what = f"the resource group {name} with all that is in it"
    delete(session, _group(name, subscription), what, yes=yes, dry_run=dry_run)


@command(plans, "create", workspace=False)
def create_plan(
    session: Session,
    name: PlanName,
    resource_group: ResourceGroup = None,
    sku: Annotated[Text, typer.Option("--sku", help="Kept, without effect.")] = None,
    is_linux: Annotated[
        bool, typer.Option("--is-linux", help="Taken for granted; it is there for Azure's scripts.")
    ] = True,
    location: Location = None,
    tag: Tags = None,
    subscription: Subscription = None,
) -> None:
    """Create an App Service plan.

    Example:
      mooring appservice plan create --name myplanname --resource-group myresourcegroup --sku EP1 --is-linux
    """
    if not is_linux:
        raise typer.BadParameter("all plans here are Linux plans", param_hint="--is-linux")
    body = {"location": location, "sku": sku, "tags": key_values(tag, "--tag") or None}
    session.show(call("PUT", place("serverFarms", name, resource_group, subscription), body), PLANS)


@command(plans, "list", workspace=False)
def list_plans(
    session: Session, resource_group: ResourceGroup = None, subscription: Subscription = None
) -> None:
    """List the plans of the subscription, or of one resource group.

    Example:
      mooring appservice plan list
    """
    rows = call("GET", list_of("serverFarms", resource_group, subscription))["value"]
    session.show_all(rows, PLANS, empty="There are no plans.")


@command(plans, "show", workspace=False)
def show_plan(
    session: Session, name: PlanName, resource_group: ResourceGroup = None, subscription: Subscription = None
) -> None:
    """Show a plan.

    Example:
      mooring appservice plan show --name myplanname --resource-group myresourcegroup
    """
    session.show(call("GET", place("serverFarms", name, resource_group, subscription)), PLANS)


@command(plans, "delete", workspace=False)
def delete_plan(
    session: Session,
    name: PlanName,
    resource_group: ResourceGroup = None,
    subscription: Subscription = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Delete a plan that no app names.

    Example:
      mooring appservice plan delete --name myplanname --resource-group myresourcegroup --yes
    """
    path = place("serverFarms", name, resource_group, subscription)
    delete(session, path, f"the plan {name}", yes=yes, dry_run=dry_run)
