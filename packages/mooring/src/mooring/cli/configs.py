"""From options and files to the SDK's `InferenceConfig` and deployment configurations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mooring.cli import deployment_file, inference_file
from mooring.cli.failures import CliError

if TYPE_CHECKING:
    from mooring.sdk.environment import Environment
    from mooring.sdk.model import InferenceConfig
    from mooring.sdk.workspace import Workspace


def inference(
    workspace: Workspace,
    *,
    file: Path | None,
    environment_name: str | None,
    environment_version: str | None,
    options: dict[str, Any],
) -> InferenceConfig | None:
    """None when nothing was said: a deployment without code.

    Args:
        workspace: where named environments are looked up.
        file: `--ic`.
        environment_name: `-e`; wins over the environment in the file.
        environment_version: `--ev`; the latest if None.
        options: `InferenceConfig` arguments that were given as options; they win over the file.
    """
    given = {key: value for key, value in options.items() if value is not None}
    if file is None and not given and environment_name is None:
        return None
    if environment_version is not None and environment_name is None:
        raise typer.BadParameter("a version needs a name", param_hint="--env-version")
    arguments = inference_file.parse_file(file) if file is not None else {}
    arguments.update(given)
    where = file.name if file is not None else "the options"
    if environment_name is not None:
        arguments["environment"] = {"name": environment_name, "version": environment_version}
    inference_file.check_environment(arguments, where)
    if "entry_script" not in arguments:
        raise CliError(
            "EntryScriptMissing",
            "no entry script was named",
            hint="Add --entry-script score.py, or entryScript in the file given with --ic.",
        )
    if "environment" in arguments:
        arguments["environment"] = environment(workspace, arguments["environment"], where)
    return _inference_config(arguments)


def _inference_config(arguments: dict[str, Any]) -> InferenceConfig:
    from mooring.sdk.model import InferenceConfig

    registry = arguments.get("base_image_registry")
    if registry is not None:
        arguments["base_image_registry"] = _registry(registry)
    steps = arguments.get("extra_docker_file_steps")
    if isinstance(steps, list):
        raise CliError(
            "ConfigWrongType",
            "extraDockerfileSteps: expected the path of a file with Dockerfile lines, got a list",
            hint="Write the lines to a file and name it.",
        )
    return InferenceConfig(**arguments)


def environment(workspace: Workspace, described: dict[str, Any], where: str) -> Environment:
    """A registered environment for `{name, version}`; else the environment that the object describes."""
    from mooring.sdk.environment import Environment

    if not described.get("name"):
        raise CliError(
            "EnvironmentNameMissing",
            f"{where}: environment: name is missing",
            hint='Name a registered environment, {"name": "myenv", "version": "1"}, or describe one.',
        )
    if set(described) <= {"name", "version"}:
        version = described.get("version")
        return Environment.get(
            workspace, described["name"], version=None if version is None else str(version)
        )
    return Environment.from_json(described)


def deployment(file: Path | None, options: dict[str, Any]) -> Any:
    """The deployment configuration, or None for the default (ACI). Options win over the file."""
    given = {key: value for key, value in options.items() if value is not None}
    if file is None and not given:
        return None
    name, arguments = deployment_file.parse_file(file) if file is not None else ("AciWebservice", {})
    if name == "LocalWebservice" and given:
        raise CliError(
            "OptionNotForTarget",
            f"a local web service takes no {', '.join(sorted(given))}",
            hint='Leave the option out, or use "computeType": "aci".',
        )
    return service_class(name).deploy_configuration(**{**arguments, **given})


def service_class(name: str) -> Any:
    """`AciWebservice` and friends by name."""
    from mooring.sdk.aci import AciWebservice
    from mooring.sdk.aks import AksWebservice
    from mooring.sdk.local import LocalWebservice

    return {kind.__name__: kind for kind in (AciWebservice, AksWebservice, LocalWebservice)}[name]


def _registry(described: Any) -> Any:
    from mooring.sdk.container_registry import ContainerRegistry

    registry = ContainerRegistry()
    if isinstance(described, str):
        registry.address = described
        return registry
    registry.address = described.get("address", described.get("location"))
    registry.username = described.get("username", described.get("user"))
    registry.password = described.get("password")
    return registry
