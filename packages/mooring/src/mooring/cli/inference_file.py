"""`inferenceconfig.json`: the entry script and its environment (`az ml model deploy --ic`).

Pure but for looking whether the files named exist: returns the arguments of `InferenceConfig`, with
`environment` still as the file's object.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mooring.cli.deployment_file import find
from mooring.cli.failures import CliError
from mooring.cli.fields import (
    BOOLEAN,
    OBJECT,
    TEXT,
    TEXT_OR_LIST,
    TEXT_OR_OBJECT,
    Shape,
    describe,
    load,
    read,
    unknown_key,
)

INFERENCE: Shape = {
    "entryScript": ("entry_script", TEXT),
    "sourceDirectory": ("source_directory", TEXT),
    "environment": ("environment", OBJECT),
    "runtime": ("runtime", TEXT),
    "condaFile": ("conda_file", TEXT),
    "extraDockerfileSteps": ("extra_docker_file_steps", TEXT_OR_LIST),
    "enableGpu": ("enable_gpu", BOOLEAN),
    "baseImage": ("base_image", TEXT),
    "baseImageRegistry": ("base_image_registry", TEXT_OR_OBJECT),
    "cudaVersion": ("cuda_version", TEXT),
    "description": ("description", TEXT),
}
REGISTRY = {"address", "username", "password", "location", "user"}
RUNTIMES = ("python", "python-slim", "spark-py")


def parse(data: Mapping[str, Any], where: str, folder: Path) -> dict[str, Any]:
    """The arguments. Files are looked for in the current directory, then in `folder`.

    Raises:
        CliError: `ConfigUnknownKey`, `ConfigWrongType`, `EntryScriptMissing`, `EnvironmentAmbiguous`,
            `RuntimeUnknown`.
    """
    arguments = read(data, INFERENCE, where)
    if "entry_script" not in arguments:
        raise CliError(
            "EntryScriptMissing",
            f"{where}: entryScript is missing",
            hint='Add "entryScript": "score.py", the file with init() and run().',
            target="entryScript",
        )
    check_environment(arguments, where)
    source = arguments.get("source_directory")
    if source is not None:
        # Files in a source directory are named relative to it, so only the directory itself is looked for.
        arguments["source_directory"] = str(find(source, folder))
    else:
        arguments["entry_script"] = str(find(arguments["entry_script"], folder))
        if "conda_file" in arguments:
            arguments["conda_file"] = str(find(arguments["conda_file"], folder))
    registry = arguments.get("base_image_registry")
    if isinstance(registry, dict):
        for key in registry:
            if key not in REGISTRY:
                raise unknown_key(key, REGISTRY, where, f"baseImageRegistry.{key}")
    return arguments


def check_environment(arguments: Mapping[str, Any], where: str) -> None:
    """An environment, or a runtime and a conda file; not both."""
    runtime = arguments.get("runtime")
    if runtime is not None and runtime not in RUNTIMES:
        raise CliError(
            "RuntimeUnknown",
            f"{where}: runtime: expected one of {', '.join(RUNTIMES)}, got {describe(runtime)}",
            hint='Use "python".',
            target="runtime",
        )
    older = [
        name
        for name in ("runtime", "conda_file", "extra_docker_file_steps", "base_image")
        if name in arguments
    ]
    if "environment" in arguments and older:
        raise CliError(
            "EnvironmentAmbiguous",
            f"{where}: both an environment and {', '.join(older)} are given",
            hint="Keep one: an environment describes packages and base image by itself.",
            target="environment",
        )


def parse_file(path: Path) -> dict[str, Any]:
    """`parse` the file at `path`."""
    return parse(load(path, "inference configuration"), path.name, path.parent)
