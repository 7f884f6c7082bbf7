"""`mooring workspace`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mooring.cli.options import DryRun, Tags, Text, Yes, key_values
from mooring.cli.session import Session, command, group

app = group("Workspaces: where models, images and services are kept.")
FIELDS = (
    ("Name", "name"),
    ("Resource group", "resourceGroup"),
    ("Subscription", "subscription"),
    ("Friendly name", "friendlyName"),
    ("Location", "location"),
    ("Created", "creationTime"),
    ("Registry", lambda row: str(row.get("containerRegistry") or "").rsplit("/", 1)[-1]),
    ("Tags", "tags"),
)


@command(app, "create")
def create(
    session: Session,
    location: Annotated[Text, typer.Option("--location", "-l", help="Kept, without effect.")] = None,
    friendly_name: Annotated[Text, typer.Option("--friendly-name", help="A name for people.")] = None,
    description: Annotated[Text, typer.Option("--description", "-d", help="A description.")] = None,
    tag: Tags = None,
    exist_ok: Annotated[bool, typer.Option("--exist-ok", help="No error if it exists.")] = False,
    write_config: Annotated[
        bool, typer.Option("--write-config", help="Write .azureml/config.json here, so that scripts use it.")
    ] = False,
) -> None:
    """Create a workspace.

    Examples:
      mooring workspace create -w risk -g analytics
      mooring workspace create -w risk -g analytics --exist-ok --write-config
    """
    from mooring.cli import workspaces
    from mooring.sdk.workspace import Workspace

    subscription, resource_group, name = workspaces.scope(
        session.workspace_name, session.resource_group, session.subscription_id
    )
    more: dict[str, Any] = {"friendly_name": friendly_name, "description": description, "location": location}
    made = Workspace.create(
        name,
        subscription_id=subscription,
        resource_group=resource_group,
        tags=key_values(tag, "--tag") or None,
        exist_ok=exist_ok,
        **{key: value for key, value in more.items() if value is not None},
    )
    _write_config(session, made, wanted=write_config)
    session.show(made.get_details(), FIELDS)


@command(app, "list")
def list_workspaces(session: Session) -> None:
    """List the workspaces of the subscription.

    Example:
      mooring workspace list -g analytics
    """
    from mooring.cli import workspaces
    from mooring.sdk.workspace import Workspace

    subscription, _, _ = workspaces.scope(None, None, session.subscription_id)
    found = Workspace.list(subscription, resource_group=session.resource_group)
    rows = [workspace.get_details() for same_name in found.values() for workspace in same_name]
    session.show_all(
        rows,
        [
            ("NAME", "name"),
            ("RESOURCE GROUP", "resourceGroup"),
            ("CREATED", "creationTime"),
            ("TAGS", "tags"),
        ],
        empty="No workspaces.",
    )


@command(app, "show")
def show(
    session: Session,
    write_config: Annotated[
        bool, typer.Option("--write-config", help="Write .azureml/config.json here, so that scripts use it.")
    ] = False,
) -> None:
    """Show a workspace: the one of config.json, or the one named.

    Examples:
      mooring workspace show
      mooring workspace show -w risk -g analytics --write-config
    """
    found = session.workspace()
    _write_config(session, found, wanted=write_config)
    session.show(found.get_details(), FIELDS)


@command(app, "delete")
def delete(session: Session, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Delete a workspace that has to be named with -w, and MLflow's runs in it.

    Example:
      mooring workspace delete -w risk -g analytics --dry-run
    """
    from mooring.cli.confirm import confirm

    if session.workspace_name is None:
        raise typer.BadParameter("name the workspace to delete", param_hint="-w")
    found = session.workspace()
    held = {
        "service": list(found.webservices),
        "image": list(found.images),
        "model": list(found.models),
    }
    names = "; ".join(f"{noun}s {', '.join(names)}" for noun, names in held.items() if names)
    what = f"delete workspace {found.name} and MLflow's runs in it" + (f", with {names}" if names else "")
    if dry_run:
        session.say(f"Would {what}.")
        return
    confirm(what, yes=yes)
    found.delete()
    session.say(f"Deleted workspace {found.name}.")


def _write_config(session: Session, workspace: Any, *, wanted: bool) -> None:
    if wanted:
        workspace.write_config()
        session.say("Wrote .azureml/config.json.")
