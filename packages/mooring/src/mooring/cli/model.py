"""`mooring model`: the registry's commands. `mooring model deploy` is in `deploy`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli import deploy
from mooring.cli.options import (
    DryRun,
    File,
    ModelId,
    ModelName,
    Number,
    Properties,
    PropertyFilter,
    Real,
    TagFilter,
    Tags,
    Text,
    Texts,
    Yes,
    filters,
    key_values,
)
from mooring.cli.session import Session, command, group

if TYPE_CHECKING:
    from mooring.sdk.model import Model

app = group("Models: registered files and folders with versions.")
command(app, "deploy")(deploy.deploy)

FIELDS = (
    ("Id", "id"),
    ("Framework", lambda row: " ".join(filter(None, (row.get("framework"), row.get("frameworkVersion"))))),
    ("Description", "description"),
    ("Tags", lambda row: row.get("kvTags") or row.get("tags")),
    ("Properties", "properties"),
    ("Created", "createdTime"),
    ("Pickles", lambda row: "\n".join(map(_pickle, row.get("pickles") or []))),
    ("Files", lambda row: "\n".join(f"{f['path']} ({f['size']} bytes)" for f in row.get("files") or [])),
)
COLUMNS = (
    ("ID", "id"),
    ("FRAMEWORK", "framework"),
    ("CREATED", "createdTime"),
    ("TAGS", lambda row: row.get("kvTags") or row.get("tags")),
    ("DESCRIPTION", "description"),
)


@command(app, "register")
def register(
    session: Session,
    name: Annotated[str, typer.Option("--name", "-n", help="Name to register under.")],
    model_path: Annotated[Path, typer.Option("--model-path", "-p", help="File or folder.")],
    tag: Tags = None,
    properties: Properties = None,
    description: Annotated[Text, typer.Option("--description", "-d", help="A description.")] = None,
    model_framework: Annotated[
        Text, typer.Option("--model-framework", help="ScikitLearn, Onnx, TensorFlow, PyTorch, ... or Custom.")
    ] = None,
    model_framework_version: Annotated[
        Text, typer.Option("--model-framework-version", help="Version of the framework.")
    ] = None,
    cpu_cores: Annotated[
        Real, typer.Option("--cpu-cores", "--cc", help="Cores that serving it needs.")
    ] = None,
    memory_gb: Annotated[
        Real, typer.Option("--memory-gb", "--gb", help="Memory that serving it needs.")
    ] = None,
    allow_import: Annotated[
        Texts,
        typer.Option(
            "--allow-import",
            metavar="MODULE.NAME",
            help="What its pickles may import, though it is dangerous. May be repeated.",
        ),
    ] = None,
    output_metadata_file: Annotated[
        File,
        typer.Option("--output-metadata-file", "-t", help='Write {"modelId": ...} there, for deploy -f.'),
    ] = None,
) -> None:
    """Register a file or a folder; the same name gets the next version.

    Examples:
      mooring model register -n mymodel -p model.pkl
      mooring model register -n mymodel -p outputs/ --tag team=risk -d "ridge regression"
      mooring model register -n mymodel -p model.pkl --model-framework ScikitLearn
    """
    from mooring.sdk.model import Model
    from mooring.sdk.resource_configuration import ResourceConfiguration

    resources = (
        ResourceConfiguration(cpu=cpu_cores, memory_in_gb=memory_gb) if cpu_cores or memory_gb else None
    )
    tags = key_values(tag, "--tag")
    props = key_values(properties, "--property")
    model = Model.register(
        session.workspace(),
        model_path=str(model_path),
        model_name=name,
        tags=tags or None,
        properties=props or None,
        description=description,
        model_framework=model_framework,
        model_framework_version=model_framework_version,
        resource_configuration=resources,
        allowed_imports=allow_import,
    )
    if output_metadata_file is not None:
        output_metadata_file.write_text(json.dumps({"modelId": model.id}) + "\n", encoding="utf-8")
    session.show({**model.serialize(), "pickles": model.pickles}, FIELDS)


@command(app, "list")
def list_models(
    session: Session,
    model_name: ModelName = None,
    latest: Annotated[bool, typer.Option("--latest", "-l", help="Only the latest version of each.")] = False,
    tag: TagFilter = None,
    properties: PropertyFilter = None,
    model_framework: Annotated[
        Text, typer.Option("--model-framework", help="Only of this framework.")
    ] = None,
    run_id: Annotated[Text, typer.Option("--run-id", help="Only of this run.")] = None,
) -> None:
    """List models, newest first.

    Examples:
      mooring model list
      mooring model list -n mymodel --tag team=risk
    """
    from mooring.sdk.model import Model

    found = Model.list(
        session.workspace(),
        name=model_name,
        tags=filters(tag) or None,
        properties=filters(properties) or None,
        run_id=run_id,
        latest=latest,
        model_framework=model_framework,
    )
    session.show_all([model.serialize() for model in found], COLUMNS, empty="No models.")


@command(app, "show")
def show(
    session: Session,
    model_id: ModelId = None,
    model_name: ModelName = None,
    version: Annotated[
        Number, typer.Option("--version", "-v", help="Version; the latest if left out.")
    ] = None,
) -> None:
    """Show one model.

    Examples:
      mooring model show -i mymodel:1
      mooring model show -n mymodel
    """
    from mooring.sdk.client import part

    model = _find(session, model_id, model_name, version)
    # Azure's dictionary of a model has no files.
    whole = model.workspace.mooring.call("GET", f"/models/{part(model.id)}")
    session.show({**model.serialize(), "files": whole.get("files", []), "pickles": model.pickles}, FIELDS)


@command(app, "download")
def download(
    session: Session,
    target_dir: Annotated[Path, typer.Option("--target-dir", "-t", help="Folder to write into.")],
    model_id: ModelId = None,
    model_name: ModelName = None,
    version: Annotated[
        Number, typer.Option("--version", "-v", help="Version; the latest if left out.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """Download a model's files.

    Example:
      mooring model download -i mymodel:1 -t downloaded/
    """
    model = _find(session, model_id, model_name, version)
    session.say(f"Downloading {model.id} ...")
    path = model.download(target_dir=str(target_dir), exist_ok=overwrite)
    session.show({"id": model.id, "path": str(path)}, [("Id", "id"), ("Path", "path")])


@command(app, "update")
def update(
    session: Session,
    model_id: ModelId = None,
    add_tag: Annotated[Texts, typer.Option("--add-tag", metavar="KEY=VALUE", help="May be repeated.")] = None,
    remove_tag: Annotated[Texts, typer.Option("--remove-tag", metavar="KEY", help="May be repeated.")] = None,
    add_property: Annotated[
        Texts, typer.Option("--add-property", metavar="KEY=VALUE", help="May be repeated.")
    ] = None,
    description: Annotated[Text, typer.Option("--description", help="A new description.")] = None,
) -> None:
    """Change a model's tags, add properties, or describe it.

    Example:
      mooring model update -i mymodel:1 --add-tag stage=production --remove-tag draft
    """
    model = _find(session, model_id, None, None)
    model.update_tags_properties(
        add_tags=key_values(add_tag, "--add-tag") or None,
        remove_tags=list(remove_tag or []) or None,
        add_properties=key_values(add_property, "--add-property") or None,
    )
    if description is not None:
        model.update(description=description)
    session.show(model.serialize(), FIELDS)


@command(app, "delete")
def delete(
    session: Session,
    model_id: ModelId = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Delete one version of a model. One that an image or a service uses is kept.

    Example:
      mooring model delete -i mymodel:1 --yes
    """
    from mooring.cli.confirm import confirm

    model = _find(session, model_id, None, None)
    if dry_run:
        session.say(f"Would delete model {model.id}.")
        return
    confirm(f"delete model {model.id}", yes=yes)
    model.delete()
    session.say(f"Deleted model {model.id}.")


def _pickle(row: dict[str, Any]) -> str:
    """One line: what wrote the pickle, and what was not looked at."""
    versions = ", ".join(f"{name} {' and '.join(found)}" for name, found in row["versions"].items())
    protocol = f"protocol {row['protocol'] if row['protocol'] is not None else '0 or 1'}"
    dangerous = ", ".join(item["name"] for item in row["dangerousImports"])
    parts = (
        versions,
        protocol,
        row["compression"],
        f"imports {dangerous} (allowed)" if dangerous else "",
        f"not all was looked at: {row['incomplete']}" if row["incomplete"] else "",
    )
    return f"{row['path']}: {'; '.join(part for part in parts if part)}"


def _find(session: Session, model_id: str | None, name: str | None, version: int | None) -> Model:
    from mooring.sdk.model import Model

    if (model_id is None) == (name is None):
        raise typer.BadParameter("name one model", param_hint="--model-id or --model-name")
    arguments: dict[str, Any] = {"name": name, "version": version}
    if model_id is not None:
        arguments = {"id": model_id} if ":" in model_id else {"name": model_id}
    return Model(session.workspace(), **arguments)
