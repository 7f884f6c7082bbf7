"""`mooring model deploy`: the way from registered models to a service that answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli.failures import CliError
from mooring.cli.options import File, Flag, Models, NoWait, Properties, Real, Tags, Text, Texts, key_values
from mooring.cli.session import Session

if TYPE_CHECKING:
    from mooring.sdk.model import Model
    from mooring.sdk.workspace import Workspace

InferenceFile = Annotated[
    File,
    typer.Option(
        "--inference-config-file",
        "--ic",
        help="JSON or YAML: entry script and environment.",
        rich_help_panel="Code",
    ),
]
DeployFile = Annotated[
    File, typer.Option("--deploy-config-file", "--dc", help="JSON or YAML: where, and with how much.")
]
EntryScript = Annotated[Text, typer.Option("--entry-script", "--es", help="File with init() and run().")]
SourceDirectory = Annotated[Text, typer.Option("--source-directory", "--sd", help="Folder that goes along.")]
Runtime = Annotated[Text, typer.Option("--runtime", "--rt", help="python; with a conda file.")]
CondaFile = Annotated[Text, typer.Option("--conda-file", "--cf", help="Conda environment of the service.")]
EnvName = Annotated[Text, typer.Option("--env-name", "-e", help="A registered environment.")]
EnvVersion = Annotated[
    Text, typer.Option("--env-version", "--ev", help="Its version; the latest if left out.")
]


def deploy(
    session: Session,
    name: Annotated[str, typer.Option("--name", "-n", help="Name of the service.")],
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
    deploy_config_file: DeployFile = None,
    compute_target: Annotated[
        Text, typer.Option("--compute-target", "--ct", help="A compute of the workspace.")
    ] = None,
    entry_script: EntryScript = None,
    source_directory: SourceDirectory = None,
    runtime: Runtime = None,
    conda_file: CondaFile = None,
    env_name: EnvName = None,
    env_version: EnvVersion = None,
    cpu_cores: Annotated[Real, typer.Option("--cpu-cores", "--cc", help="Cores.")] = None,
    memory_gb: Annotated[Real, typer.Option("--memory-gb", "--gb", help="Memory in GB.")] = None,
    auth_enabled: Annotated[
        Flag,
        typer.Option("--auth-enabled/--no-auth-enabled", help="Ask callers for a key.", show_default=False),
    ] = None,
    tag: Tags = None,
    properties: Properties = None,
    description: Annotated[Text, typer.Option("--description", help="A description.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a service of that name.")] = False,
    no_wait: NoWait = False,
) -> None:
    """Deploy models as a web service and wait until it answers.

    Without --dc the service runs on this machine like on ACI. A scikit-learn or ONNX model that was
    registered with its framework needs neither --ic nor an entry script, nor does a folder of MLflow's.

    Examples:
      mooring model deploy -n myservice -m mymodel:1 --ic inferenceconfig.json --dc deploymentconfig.json
      mooring model deploy -n myservice -m mymodel:1 --entry-script score.py -e myenv --overwrite
      mooring model deploy -n myservice -m mymodel
    """
    from mooring.cli import configs, waiting
    from mooring.sdk.model import Model

    workspace = session.workspace()
    inference_config = configs.inference(
        workspace,
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
    deployment_config = configs.deployment(
        deploy_config_file,
        {
            "cpu_cores": cpu_cores,
            "memory_gb": memory_gb,
            "auth_enabled": auth_enabled,
            "tags": key_values(tag, "--tag") or None,
            "properties": key_values(properties, "--property") or None,
            "description": description,
        },
    )
    title = f"Deploying {name}"
    with waiting.stoppable(workspace, name, title):
        service = Model.deploy(
            workspace,
            name,
            models(workspace, model, model_metadata_file),
            inference_config=inference_config,
            deployment_config=deployment_config,
            deployment_target=_target(workspace, compute_target),
            overwrite=overwrite,
        )
        waiting.wait(session, service, title, no_wait=no_wait)


def models(workspace: Workspace, ids: list[str] | None, files: list[str] | None) -> list[Model]:
    """The models named by id, by name (latest version) or in metadata files.

    Raises:
        CliError: `ModelMissing` when there is none, `ConfigFileSyntax`, `ConfigFileNotFound`.
    """
    from mooring.cli import fields
    from mooring.sdk.model import Model

    wanted = list(ids or [])
    for file in files or []:
        data = fields.load(Path(file), "model metadata")
        if not isinstance(data.get("modelId"), str):
            raise CliError(
                "ConfigWrongType",
                f"{file}: expected {json.dumps({'modelId': 'name:version'})}",
                hint="Write it with: mooring model register ... -t FILE",
                target=file,
            )
        wanted.append(data["modelId"])
    if not wanted:
        raise CliError("ModelMissing", "no model was named", hint="Add -m NAME:VERSION, or -f FILE.")
    arguments: list[dict[str, Any]] = [{"id": text} if ":" in text else {"name": text} for text in wanted]
    return [Model(workspace, **argument) for argument in arguments]


def _target(workspace: Workspace, name: str | None) -> Any:
    if name is None:
        return None
    targets = workspace.compute_targets
    if name not in targets:
        known = ", ".join(sorted(targets)) or "none"
        raise CliError(
            "ComputeTargetNotFound",
            f"there is no compute target {name!r} in workspace {workspace.name}",
            hint=f"Known: {known}. Without --ct the service runs on this machine.",
            target=name,
        )
    return targets[name]
