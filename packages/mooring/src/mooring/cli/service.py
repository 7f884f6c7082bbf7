"""`mooring service`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli.deploy import (
    CondaFile,
    EntryScript,
    EnvName,
    EnvVersion,
    InferenceFile,
    Runtime,
    SourceDirectory,
)
from mooring.cli.options import (
    DryRun,
    Flag,
    Models,
    NoWait,
    Number,
    PropertyFilter,
    ServiceName,
    TagFilter,
    Text,
    Texts,
    Yes,
    filters,
    key_values,
)
from mooring.cli.session import Session, command, group

if TYPE_CHECKING:
    from mooring.sdk.webservice import Webservice

app = group("Web services: deployed models that answer.")

COLUMNS = (
    ("NAME", "name"),
    ("STATE", "state"),
    ("TYPE", "computeType"),
    ("MODELS", lambda row: [m["id"] for m in row.get("models") or []]),
    ("URL", "scoringUri"),
)


@command(app, "list")
def list_services(
    session: Session,
    compute_type: Annotated[Text, typer.Option("--compute-type", help="ACI, AKS or LOCAL.")] = None,
    model_name: Annotated[Text, typer.Option("--model-name", help="Only those with this model.")] = None,
    model_id: Annotated[
        Text, typer.Option("--model-id", help="Only those with this version of a model.")
    ] = None,
    image_name: Annotated[Text, typer.Option("--image-name", help="Only those of this image.")] = None,
    image_id: Annotated[
        Text, typer.Option("--image-id", help="Only those of this version of an image.")
    ] = None,
    image_digest: Annotated[Text, typer.Option("--image-digest", help="Only those with this digest.")] = None,
    tag: TagFilter = None,
    properties: PropertyFilter = None,
) -> None:
    """List services.

    Examples:
      mooring service list
      mooring service list --model-name mymodel -o json
    """
    from mooring.cli import waiting

    rows = waiting.list_all(
        session.workspace(),
        compute_type,
        {
            "model_name": model_name,
            "model_id": model_id,
            "image_name": image_name,
            "image_id": image_id,
            "image_digest": image_digest,
            "tags": filters(tag) or None,
            "properties": filters(properties) or None,
        },
    )
    session.show_all(rows, COLUMNS, empty="No services.")


@command(app, "show")
def show(session: Session, name: ServiceName) -> None:
    """Show a service: its state, why it failed, its address.

    Example:
      mooring service show -n myservice
    """
    from mooring.cli import waiting

    session.show(_find(session, name).serialize(), waiting.FIELDS)


@command(app, "run")
def run(
    session: Session,
    name: ServiceName,
    input_data: Annotated[
        str,
        typer.Option(
            "--input-data", "-d", help="The body; @FILE reads it from a file, - from standard input."
        ),
    ],
) -> None:
    """Score: send data to a service and print what it answers.

    Examples:
      mooring service run -n myservice -d '{"data": [[1, 2, 3]]}'
      mooring service run -n myservice -d @patients.json
      cat patients.json | mooring service run -n myservice -d -
    """
    from mooring.cli import output
    from mooring.cli.input_data import read

    body = read(input_data)
    answer = _find(session, name).run(body)
    output.print_json(answer)


@command(app, "get-logs")
def get_logs(
    session: Session,
    name: ServiceName,
    lines: Annotated[
        int, typer.Option("--lines", "-l", "--num-lines", help="The last so many lines.", min=1)
    ] = 5000,
    init: Annotated[bool, typer.Option("--init", help="Of the start only.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until Ctrl+C.")] = False,
) -> None:
    """Print a service's log. It is there after the service has failed, too.

    Examples:
      mooring service get-logs -n myservice -l 50
      mooring service get-logs -n myservice --follow
    """
    from mooring.cli import output, waiting

    service = _find(session, name)
    if follow:
        waiting.follow_logs(service, lines)
        return
    text = waiting.logs(service, lines, init=init)
    output.write(text if text.endswith("\n") or not text else f"{text}\n")


@command(app, "get-keys")
def get_keys(session: Session, name: ServiceName) -> None:
    """Print a service's two keys. They belong to its name: a new deployment keeps them.

    Example:
      mooring service get-keys -n myservice -o json
    """
    _show_keys(session, _find(session, name))


@command(app, "regen-key")
def regen_key(
    session: Session,
    name: ServiceName,
    key: Annotated[str, typer.Option("--key", "-k", help="Primary or Secondary.")],
    set_key: Annotated[
        Text, typer.Option("--set-key", "-s", help="This value instead of a new random one.")
    ] = None,
) -> None:
    """Replace one of a service's keys; the other one goes on working.

    Example:
      mooring service regen-key -n myservice -k Secondary
    """
    if key.capitalize() not in {"Primary", "Secondary"}:
        raise typer.BadParameter(f"expected Primary or Secondary, got {key!r}", param_hint="--key")
    service = _find(session, name)
    service.regen_key(key.capitalize(), **({"set_key": set_key} if set_key else {}))
    _show_keys(session, service)


@command(app, "update")
def update(
    session: Session,
    name: ServiceName,
    model: Models = None,
    model_metadata_file: Annotated[
        Texts,
        typer.Option(
            "--model-metadata-file",
            "-f",
            metavar="FILE",
            help="What `model register -t` wrote.",
        ),
    ] = None,
    inference_config_file: InferenceFile = None,
    entry_script: EntryScript = None,
    source_directory: SourceDirectory = None,
    runtime: Runtime = None,
    conda_file: CondaFile = None,
    env_name: EnvName = None,
    env_version: EnvVersion = None,
    auth_enabled: Annotated[
        Flag,
        typer.Option("--auth-enabled/--no-auth-enabled", help="Ask callers for a key.", show_default=False),
    ] = None,
    add_tag: Annotated[Texts, typer.Option("--add-tag", metavar="KEY=VALUE", help="May be repeated.")] = None,
    remove_tag: Annotated[Texts, typer.Option("--remove-tag", metavar="KEY", help="May be repeated.")] = None,
    add_property: Annotated[
        Texts, typer.Option("--add-property", metavar="KEY=VALUE", help="May be repeated.")
    ] = None,
    description: Annotated[Text, typer.Option("--description", help="A new description.")] = None,
    no_wait: NoWait = False,
) -> None:
    """Change a service: other models, other code, tags. The address stays, and no request is lost.

    A new revision that does not come up never takes over: the old one goes on answering.

    Examples:
      mooring service update -n myservice -m mymodel:2 --ic inferenceconfig.json
      mooring service update -n myservice --add-tag stage=production
    """
    from mooring.cli import configs, deploy, waiting

    service = _find(session, name)
    named = (
        deploy.models(service.workspace, model, model_metadata_file) if model or model_metadata_file else None
    )
    inference_config = configs.inference(
        service.workspace,
        file=inference_config_file,
        environment_name=env_name,
        environment_version=env_version,
        options={
            "entry_script": entry_script,
            "source_directory": source_directory,
            "runtime": runtime,
            "conda_file": conda_file,
        },
    )
    changes: dict[str, Any] = {
        "models": named,
        "inference_config": inference_config,
        "auth_enabled": auth_enabled,
        "description": description,
        "properties": key_values(add_property, "--add-property") or None,
    }
    if add_tag or remove_tag:
        tags = {key: value for key, value in (service.tags or {}).items() if key not in set(remove_tag or [])}
        changes["tags"] = {**tags, **key_values(add_tag, "--add-tag")}
    changes = {key: value for key, value in changes.items() if value is not None}
    if not changes:
        raise typer.BadParameter("nothing to change was given", param_hint="update")
    title = f"Updating {name}"
    with waiting.stoppable(service.workspace, name, title):
        service.update(**changes)
        waiting.wait(session, service, title, no_wait=no_wait)


@command(app, "rollback")
def rollback(
    session: Session,
    name: ServiceName,
    revision: Annotated[
        Number, typer.Option("--revision", help="A revision that `service show` lists.", min=1)
    ] = None,
    no_wait: NoWait = False,
    dry_run: DryRun = False,
) -> None:
    """Return to the revision before, or to the one named. The address stays, and no request is lost.

    Called twice it goes back twice. Keys, tags and the address are not changed.

    Examples:
      mooring service rollback -n myservice
      mooring service rollback -n myservice --revision 4
    """
    from mooring.cli import waiting

    service = _find(session, name)
    to = f"revision {revision}" if revision else "the revision before"
    if dry_run:
        session.say(f"Would return service {name} from revision {service.revision} to {to}.")
        return
    title = f"Returning {name} to {to}"
    with waiting.stoppable(service.workspace, name, title):
        service.rollback(revision)
        waiting.wait(session, service, title, no_wait=no_wait)


@command(app, "delete")
def delete(session: Session, name: ServiceName, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Delete a service and its keys. Models and images stay.

    Example:
      mooring service delete -n myservice --yes
    """
    from mooring.cli.confirm import confirm

    service = _find(session, name)
    what = f"delete service {name} ({service.scoring_uri or 'no address'}) and its keys"
    if dry_run:
        session.say(f"Would {what}.")
        return
    confirm(what, yes=yes)
    service.delete()
    session.say(f"Deleted service {name}.")


def _find(session: Session, name: str) -> Webservice:
    from mooring.cli import waiting

    return waiting.find(session.workspace(), name)


def _show_keys(session: Session, service: Webservice) -> None:
    primary, secondary = service.get_keys()
    session.show(
        {"primaryKey": primary, "secondaryKey": secondary},
        [("Primary", "primaryKey"), ("Secondary", "secondaryKey")],
    )
