"""The code side of an image: entry script, source files and environment, before and after uploading."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mooring.sdk import entry_script
from mooring.sdk.build_context import with_context
from mooring.sdk.client import Client
from mooring.sdk.environment import Environment
from mooring.sdk.environment_sections import DEFAULT_CPU_IMAGE, DEFAULT_GPU_IMAGE
from mooring.sdk.errors import invalid
from mooring.sdk.files import LocalFile, tree_text, upload, walk
from mooring.sdk.ignore import IgnoreRules
from mooring.sdk.types import JSON

# What Azure calls runtimes; python-slim was the same with fewer packages.
RUNTIMES = ("python", "python-slim")
CUDA_VERSIONS = ("9.0", "9.1", "10.0")


@dataclass(frozen=True)
class AppSource:
    """What an image is made of beside its models; keeps paths, so that it can be collected again after edits.

    Attributes:
        entry_script: path of the script; with a source directory, relative to that.
        source_directory: its path, or None.
        environment: Azure's environment JSON.
        dependencies: (path in the app, path here) of further files and folders, without a source directory.
        details: ``description``, ``kvTags``, ``properties``, ``imageFlavor`` of the image.
    """

    entry_script: str
    source_directory: str | None
    environment: JSON
    dependencies: tuple[tuple[str, str], ...] = ()
    details: JSON = field(default_factory=dict)

    def script_path(self) -> Path:
        """Where the entry script lies."""
        return Path(self.source_directory or "") / self.entry_script

    def files(self) -> list[LocalFile]:
        """All files with their places in the app.

        Raises:
            WebserviceException: the script or a dependency is missing or wrong.
        """
        entry_script.check(self.script_path(), self.entry_script)
        if self.source_directory is not None:
            source = Path(self.source_directory)
            top = source.resolve().name or "source"
            return [LocalFile(f"{top}/{f.path}", f.source) for f in walk(source, IgnoreRules.of(source))]
        found = {
            Path(self.entry_script).name: LocalFile(Path(self.entry_script).name, Path(self.entry_script))
        }
        for place, here in self.dependencies:
            path = Path(here)
            if path.is_dir():
                inner = [LocalFile(f"{place}/{f.path}" if place else f.path, f.source) for f in walk(path)]
            elif path.is_file():
                inner = [LocalFile(place, path)]
            else:
                exc = invalid(f"The dependency {here!r} does not exist.", code="DependencyNotFound")
                exc.evidence = {"tree": tree_text(Path.cwd())}
                raise exc
            found.update({file.path: file for file in inner})
        return list(found.values())

    def request(self, client: Client, model_ids: list[str]) -> JSON:
        """Upload, and give the image request of docs/protocols.md."""
        files = self.files()
        return {
            **self.details,
            "entryScript": Path(self.entry_script).as_posix()
            if self.source_directory is not None
            else Path(self.entry_script).name,
            "sourceDirectory": (Path(self.source_directory).resolve().name or "source")
            if self.source_directory is not None
            else None,
            "files": upload(client, files),
            "modelIds": model_ids,
            "environment": with_context(client, self.environment),
        }

    def to_json(self) -> JSON:
        """With absolute paths, for another process on this machine."""
        here = self.source_directory
        return {
            "entryScript": self.entry_script if here is not None else str(Path(self.entry_script).absolute()),
            "sourceDirectory": None if here is None else str(Path(here).absolute()),
            "environment": self.environment,
            "dependencies": [[place, str(Path(path).absolute())] for place, path in self.dependencies],
            "details": self.details,
        }

    @classmethod
    def from_json(cls, data: JSON) -> AppSource:
        """The inverse of `to_json`."""
        return cls(
            data["entryScript"],
            data["sourceDirectory"],
            data["environment"],
            tuple((place, path) for place, path in data["dependencies"]),
            data["details"],
        )


def check_runtime(runtime: str | None, cuda_version: str | None) -> None:
    """Runtime and CUDA version are ones that exist.

    Raises:
        WebserviceException: with the names that do.
    """
    if runtime is not None and str(runtime).lower() not in RUNTIMES:
        extra = " For Spark, name pyspark in the conda file." if str(runtime).lower() == "spark-py" else ""
        raise invalid(
            f"The runtime {runtime!r} does not exist: {', '.join(RUNTIMES)}.{extra}", code="InvalidRuntime"
        )
    if cuda_version is not None and str(cuda_version) not in CUDA_VERSIONS:
        raise invalid(
            f"The CUDA version {cuda_version!r} does not exist: {', '.join(CUDA_VERSIONS)}.",
            code="InvalidCuda",
        )


def environment_of(
    name: str,
    conda_file: Path | None,
    docker_steps: str | None,
    base_image: str | None,
    base_image_registry: Any,
    gpu: bool,
) -> Environment:
    """The environment of the forms that name a runtime instead of one.

    Args:
        name: of the environment.
        conda_file: or None for no packages beyond the server's own.
        docker_steps: path of a file with steps to run on the base image, or None.
        base_image: or None.
        base_image_registry: a ContainerRegistry, or None.
        gpu: use Azure's default image for GPUs if none is named.
    """
    if conda_file is not None:
        entry_script.check_conda_file(conda_file)
        made = Environment.from_conda_specification(name, str(conda_file))
    else:
        made = Environment(name)
    made.docker.base_image = base_image or (DEFAULT_GPU_IMAGE if gpu else None)
    if base_image:
        made.inferencing_stack_version = "latest"
    if base_image_registry is not None:
        made.docker.base_image_registry = base_image_registry
    if docker_steps is not None:
        path = Path(docker_steps)
        if not path.is_file():
            raise invalid(
                f"The file of Docker steps {docker_steps!r} does not exist.", code="DockerfileNotFound"
            )
        below = made.docker.base_image or DEFAULT_CPU_IMAGE
        made.docker.base_dockerfile = f"FROM {below}\n{path.read_text(encoding='utf-8')}"
        made.docker.base_image = None
    return made


def dependency_places(dependencies: Any) -> tuple[tuple[str, str], ...]:
    """Where dependencies go: a path inside the current directory is kept, of others the base name."""
    places = []
    for dependency in dependencies or []:
        relative = os.path.relpath(dependency)
        inside = not Path(dependency).is_absolute() and not relative.startswith("..")
        place = Path(relative).as_posix() if inside else Path(dependency).name
        places.append(("" if place == "." else place, str(dependency)))
    return tuple(places)
