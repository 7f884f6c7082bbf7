"""Environment: the packages and base image that a model runs with."""

# ruff: noqa: ARG002, ARG004 - Azure's signatures have arguments that have no meaning here
from __future__ import annotations

import copy
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from mooring.sdk.build_context import with_context
from mooring.sdk.client import part
from mooring.sdk.conda_dependencies import CondaDependencies
from mooring.sdk.container_registry import ContainerRegistry
from mooring.sdk.environment_sections import (
    DEFAULT_CPU_IMAGE,
    DEFAULT_GPU_IMAGE,
    DockerBuildContext,
    DockerEnvironment,
    DockerImagePlatform,
    DockerSection,
    PythonEnvironment,
    PythonSection,
    RCranPackage,
    RGitHubPackage,
    RSection,
    SparkEnvironment,
    SparkPackage,
    SparkSection,
    lower_first,
)
from mooring.sdk.errors import not_available, user_error
from mooring.sdk.types import JSON, Strings, Tags

__all__ = [
    "DEFAULT_CPU_IMAGE",
    "DEFAULT_GPU_IMAGE",
    "CondaDependencies",
    "ContainerRegistry",
    "DockerBuildContext",
    "DockerEnvironment",
    "DockerImagePlatform",
    "DockerSection",
    "Environment",
    "EnvironmentReference",
    "PythonEnvironment",
    "PythonSection",
    "RCranPackage",
    "RGitHubPackage",
    "RSection",
    "SparkEnvironment",
    "SparkPackage",
    "SparkSection",
]

_FILE = "azureml_environment.json"
_DEPLOY = "Deploy with it: the image is built, cached and reported then. See the image with service.image."


class Environment:
    """A named description; registered, it gets a version.

    Args:
        name: letters, digits, ``-``, ``_`` and ``.``.

    Attributes:
        name: see above.
        version: a text once it is registered, else None.
        python: `PythonSection`.
        docker: `DockerSection`.
        spark: `SparkSection`.
        r: `RSection` or None.
        environment_variables: set in the running service.
        inferencing_stack_version: accepted; Mooring brings its own stack.
        exclude_newer: packages are taken as they were at a date (``2019-06-01``), or, with ``model``, at the time of
            the scikit-learn that wrote the models' pickles. Azure has no such thing.
    """

    def __init__(self, name: str, **kwargs: Any) -> None:
        self.name = name
        self.version: str | None = kwargs.get("version")
        self.python = PythonSection()
        self.docker = DockerSection()
        self.spark = SparkSection()
        self.r: RSection | None = None
        self.databricks: Any = None
        self.asset_id: str | None = None
        self.inferencing_stack_version: str | None = None
        self.exclude_newer: str | None = None
        self._variables: Tags = {}

    @property
    def environment_variables(self) -> Tags:
        """Names and values; may be changed in place."""
        return self._variables

    @environment_variables.setter
    def environment_variables(self, value: Tags | None) -> None:
        self._variables = dict(value or {})

    # Where environments come from

    @staticmethod
    def from_conda_specification(name: str, file_path: str) -> Environment:
        """Read a conda YAML file."""
        made = Environment(name)
        made.python.conda_dependencies = CondaDependencies(file_path)
        return made

    @staticmethod
    def from_pip_requirements(name: str, file_path: str, pip_version: str | None = None) -> Environment:
        """Read a requirements file, with those it includes by ``-r``.

        Raises:
            UserErrorException: RequirementsNotFound.
        """
        made = Environment(name)
        conda = CondaDependencies(_underlying_structure={"name": "project_environment", "dependencies": []})
        conda.add_conda_package(f"pip={pip_version}" if pip_version else "pip")
        conda.set_pip_requirements(_requirements(Path(file_path), ()))
        made.python.conda_dependencies = conda
        return made

    @staticmethod
    def from_docker_image(
        name: str,
        image: str,
        container_registry: ContainerRegistry | None = None,
        conda_specification: str | None = None,
        pip_requirements: str | None = None,
    ) -> Environment:
        """Use a base image; what it holds is used as it is unless packages are named as well."""
        made = _with_packages(name, conda_specification, pip_requirements)
        made.docker.base_image = image
        made.docker.base_image_registry = container_registry or ContainerRegistry()
        return made

    @staticmethod
    def from_dockerfile(
        name: str,
        dockerfile: str,
        conda_specification: str | None = None,
        pip_requirements: str | None = None,
    ) -> Environment:
        """Use a Dockerfile, given by path or text."""
        made = _with_packages(name, conda_specification, pip_requirements)
        is_path = "\n" not in dockerfile and Path(dockerfile).is_file()
        made.docker.base_dockerfile = Path(dockerfile).read_text(encoding="utf-8") if is_path else dockerfile
        return made

    @staticmethod
    def from_docker_build_context(name: str, docker_build_context: DockerBuildContext) -> Environment:
        """Use a directory with a Dockerfile."""
        made = _with_packages(name, None, None)
        made.docker.build_context = docker_build_context
        return made

    @staticmethod
    def from_existing_conda_environment(name: str, conda_environment_name: str) -> Environment:
        """Describe a conda environment of this machine by ``conda env export``.

        Raises:
            UserErrorException: CondaNotInstalled or CondaExportFailed.
        """
        conda = shutil.which("conda")
        if conda is None:
            raise user_error(
                "conda is not installed here, so its environments cannot be read.",
                code="CondaNotInstalled",
                hint="Use Environment.from_conda_specification with the file of 'conda env export', "
                "or Environment.from_pip_requirements with that of 'pip freeze'.",
            )
        command = [conda, "env", "export", "--no-builds", "--name", conda_environment_name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise user_error(
                f"conda could not export the environment {conda_environment_name!r}.",
                code="CondaExportFailed",
                evidence={"log": done.stderr},
            )
        import yaml

        data = yaml.safe_load(done.stdout)
        data.pop("prefix", None)
        made = Environment(name)
        made.python.conda_dependencies = CondaDependencies(_underlying_structure=data)
        return made

    # In the workspace

    def register(self, workspace: Any) -> Environment:
        """Register it; the same definition keeps its version.

        Returns:
            The registered environment, with its version.
        """
        body = with_context(workspace.mooring, self.to_json())
        data = workspace.mooring.call("PUT", f"/environments/{part(self.name)}", body)
        return Environment.from_json(data)

    @staticmethod
    def get(workspace: Any, name: str, version: Any = None, label: str | None = None) -> Environment:
        """A registered environment, the latest version by default.

        Raises:
            UserErrorException: EnvironmentNotFound.
        """
        if label and label.lower() != "latest":
            raise not_available("Environment.get by a label", "Ask for a version, or for the latest.")
        path = f"/environments/{part(name)}" + (f"/versions/{part(version)}" if version else "")
        return Environment.from_json(workspace.mooring.call("GET", path))

    @staticmethod
    def list(workspace: Any) -> dict[str, Environment]:
        """The latest version of every environment, by name."""
        return {e["name"]: Environment.from_json(e) for e in workspace.mooring.pages("/environments")}

    def clone(self, new_name: str) -> Environment:
        """An unregistered copy with another name."""
        made = copy.deepcopy(self)
        made.name, made.version, made.asset_id = new_name, None, None
        return made

    @staticmethod
    def label(workspace: Any, name: str, version: Any, labels: Strings) -> None:
        """Not available: versions do the job."""
        raise not_available("Environment.label", "Keep the version that register() returns.")

    def build(self, workspace: Any, image_build_compute: Any = None) -> Any:
        """Not available: images are built when they are deployed."""
        raise not_available("Environment.build", _DEPLOY)

    def build_local(self, workspace: Any, platform: Any = None, **kwargs: Any) -> Any:
        """Not available: images are built when they are deployed."""
        raise not_available("Environment.build_local", _DEPLOY)

    def get_image_details(self, workspace: Any) -> Any:
        """Not available: images are built when they are deployed."""
        raise not_available("Environment.get_image_details", _DEPLOY)

    @staticmethod
    def add_private_pip_wheel(workspace: Any, file_path: str, exist_ok: bool = False) -> str:
        """Not available: an index does the job."""
        raise not_available(
            "Environment.add_private_pip_wheel",
            "Serve the wheel from an index and name that with CondaDependencies.set_pip_option("
            "'--extra-index-url ...'), or put the package's source into source_directory.",
        )

    # Files

    def save_to_directory(self, path: str, overwrite: bool = False) -> None:
        """Write ``azureml_environment.json`` and, beside it, the conda file and the Dockerfile for reading.

        Raises:
            UserErrorException: the directory exists and ``overwrite`` is not set.
        """
        directory = Path(path)
        if directory.exists() and not overwrite:
            raise user_error(f"{path} exists already.", code="PathExists", hint="Use overwrite=True.")
        directory.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.to_json(), indent=4) + "\n"
        (directory / _FILE).write_text(text, encoding="utf-8")
        if self.python.conda_dependencies:
            self.python.conda_dependencies.save(str(directory / "conda_dependencies.yml"))
        if self.docker.base_dockerfile:
            (directory / "BaseDockerfile").write_text(self.docker.base_dockerfile, encoding="utf-8")

    @classmethod
    def load_from_directory(cls, path: str) -> Environment:
        """Read what `save_to_directory` wrote; a changed conda file beside it counts."""
        file = Path(path) / _FILE
        if not file.is_file():
            raise user_error(f"{path} has no {_FILE}.", code="EnvironmentFileNotFound")
        made = cls.from_json(json.loads(file.read_text(encoding="utf-8")))
        conda = Path(path) / "conda_dependencies.yml"
        if conda.is_file():
            made.python.conda_dependencies = CondaDependencies(str(conda))
        return made

    def to_json(self) -> JSON:
        """Azure's environment object in lower camel case."""
        return {
            "name": self.name,
            "version": self.version,
            "environmentVariables": {k: str(v) for k, v in self._variables.items()},
            "python": self.python.to_json(),
            "docker": self.docker.to_json(),
            "spark": self.spark.to_json(),
            "inferencingStackVersion": self.inferencing_stack_version,
            **({"excludeNewer": self.exclude_newer} if self.exclude_newer else {}),
        }

    @classmethod
    def from_json(cls, data: JSON) -> Environment:
        """The inverse of `to_json`; keys may begin with capitals, as those of Azure's environments do."""
        values = lower_first(data)
        made = cls(values["name"])
        made.version = str(values["version"]) if values.get("version") else None
        made.environment_variables = values.get("environmentVariables")
        made.python.fill(values.get("python") or {})
        made.docker.fill(values.get("docker") or {})
        made.spark.fill(values.get("spark") or {})
        made.inferencing_stack_version = values.get("inferencingStackVersion")
        made.exclude_newer = values.get("excludeNewer")
        return made

    def __repr__(self) -> str:
        return f"Environment(Name: {self.name}, Version: {self.version})"


class EnvironmentReference:
    """A registered environment by name."""

    def __init__(self, name: str, version: str | None = None) -> None:
        self.name = name
        self.version = version

    def get_environment(self, workspace: Any) -> Environment:
        """Fetch it."""
        return Environment.get(workspace, self.name, self.version)


def _with_packages(name: str, conda: str | None, pip: str | None) -> Environment:
    if conda and pip:
        raise user_error("Give conda_specification or pip_requirements, not both.", code="InvalidRequest")
    if conda:
        return Environment.from_conda_specification(name, conda)
    if pip:
        return Environment.from_pip_requirements(name, pip)
    made = Environment(name)
    made.python.user_managed_dependencies = True
    return made


def _requirements(path: Path, above: tuple[Path, ...]) -> Strings:
    if path in above:
        raise user_error(f"{path} includes itself.", code="RequirementsInvalid")
    if not path.is_file():
        raise user_error(f"The requirements file {path} does not exist.", code="RequirementsNotFound")
    lines: Strings = []
    text = path.read_text(encoding="utf-8-sig").replace("\\\n", " ")
    for raw in text.splitlines():
        line = raw.split(" #", 1)[0].strip()
        if not line or line.startswith("#"):
            continue
        words = line.split(None, 1)
        if words[0] in {"-r", "--requirement"} and len(words) == 2:
            lines += _requirements(path.parent / words[1], (*above, path))
        else:
            lines.append(line)
    return lines
