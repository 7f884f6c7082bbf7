"""The sections of an Environment: plain objects with Azure's attribute names, and their JSON.

``SECTION.to_json()`` gives Azure's lower camel form; ``fill`` reads any case of it back.
"""

# ruff: noqa: ARG003 - Azure's signatures have arguments that have no meaning here
from __future__ import annotations

from pathlib import Path
from typing import Any

from mooring.sdk.conda_dependencies import CondaDependencies
from mooring.sdk.container_registry import ContainerRegistry
from mooring.sdk.errors import user_error
from mooring.sdk.types import JSON, Strings

DEFAULT_CPU_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:20251130.v1"
DEFAULT_GPU_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-cuda11.8-cudnn8-ubuntu22.04:20251130.v1"


def camel(name: str) -> str:
    """``base_image`` -> ``baseImage``."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def lower_first(data: JSON) -> JSON:
    """Keys of either case -> lower camel."""
    return {key[:1].lower() + key[1:]: value for key, value in data.items()}


class DockerImagePlatform:
    """Operating system and processor of an image."""

    def __init__(self) -> None:
        self.os = "Linux"
        self.architecture = "amd64"


class DockerBuildContext:
    """A directory with a Dockerfile.

    Attributes:
        files: what the server has of it, once it was sent: ``path``, ``digest``, ``size``, ``executable`` of each.
    """

    def __init__(
        self,
        location_type: str | None = None,
        location: str | None = None,
        dockerfile_path: str = "Dockerfile",
    ) -> None:
        self.location_type = location_type
        self.location = location
        self.dockerfile_path = dockerfile_path
        self.files: list[JSON] = []

    @classmethod
    def from_local_directory(
        cls,
        workspace: Any,
        path: str,
        dockerfile_path: str = "Dockerfile",
    ) -> DockerBuildContext:
        """Use a directory of this machine.

        Raises:
            UserErrorException: it has no such Dockerfile.
        """
        if not (Path(path) / dockerfile_path).is_file():
            raise user_error(f"{path} has no {dockerfile_path}.", code="DockerfileNotFound")
        return cls("localDirectory", str(Path(path).absolute()), dockerfile_path)


class PythonSection:
    """Python packages of an environment.

    Attributes:
        user_managed_dependencies: the base image has everything; install nothing.
        interpreter_path: Python in the base image, for user-managed environments.
        conda_dependencies: what to install.
        base_conda_environment: accepted.
    """

    def __init__(self, **kwargs: Any) -> None:
        self.interpreter_path = "python"
        self.user_managed_dependencies = False
        self.conda_dependencies: CondaDependencies | None = (
            None if kwargs.get("_skip_defaults") else CondaDependencies()
        )
        self.base_conda_environment: str | None = None
        self._conda_dependencies_file: str | None = None

    @property
    def conda_dependencies_file(self) -> str | None:
        """A conda file; setting it reads the file."""
        return self._conda_dependencies_file

    @conda_dependencies_file.setter
    def conda_dependencies_file(self, value: str | None) -> None:
        self._conda_dependencies_file = value
        if value:
            self.conda_dependencies = CondaDependencies(value)

    def to_json(self) -> JSON:
        """Azure's ``python`` object."""
        conda = self.conda_dependencies
        return {
            "interpreterPath": self.interpreter_path,
            "userManagedDependencies": self.user_managed_dependencies,
            "condaDependencies": conda.as_dict() if conda else None,
            "baseCondaEnvironment": self.base_conda_environment,
        }

    def fill(self, data: JSON) -> None:
        """Read Azure's ``python`` object."""
        values = lower_first(data)
        self.interpreter_path = values.get("interpreterPath") or "python"
        self.user_managed_dependencies = bool(values.get("userManagedDependencies"))
        self.base_conda_environment = values.get("baseCondaEnvironment")
        conda = values.get("condaDependencies")
        self.conda_dependencies = CondaDependencies(_underlying_structure=conda) if conda else None


class DockerSection:
    """The image below the Python packages.

    Attributes:
        base_image: None leaves the choice to the server.
        base_dockerfile: text of a Dockerfile, instead of an image.
        base_image_registry: where the base image comes from.
    """

    def __init__(self, **kwargs: Any) -> None:
        self.enabled = bool(kwargs.get("enabled"))
        self.base_image: str | None = None
        self.base_dockerfile: str | None = None
        self.build_context: DockerBuildContext | None = None
        self.base_image_registry = ContainerRegistry()
        self.platform = DockerImagePlatform()
        self.shared_volumes = True
        self.shm_size: str | None = None
        self.arguments: Strings = []
        self.gpu_support = False

    def to_json(self) -> JSON:
        """Azure's ``docker`` object."""
        context = self.build_context
        dockerfile = self.base_dockerfile
        # Azure takes a path as well as the text.
        if dockerfile and "\n" not in dockerfile and Path(dockerfile).is_file():
            dockerfile = Path(dockerfile).read_text(encoding="utf-8")
        return {
            "enabled": self.enabled,
            "baseImage": self.base_image,
            "baseDockerfile": dockerfile,
            "buildContext": None
            if context is None
            else {
                "locationType": context.location_type,
                "location": context.location,
                "dockerfilePath": context.dockerfile_path,
                **({"files": context.files} if context.files else {}),
            },
            "baseImageRegistry": self.base_image_registry.serialize(),
            "platform": {"os": self.platform.os, "architecture": self.platform.architecture},
            "sharedVolumes": self.shared_volumes,
            "shmSize": self.shm_size,
            "arguments": list(self.arguments),
        }

    def fill(self, data: JSON) -> None:
        """Read Azure's ``docker`` object."""
        values = lower_first(data)
        self.enabled = bool(values.get("enabled"))
        self.base_image = values.get("baseImage")
        self.base_dockerfile = values.get("baseDockerfile")
        self.base_image_registry = ContainerRegistry.deserialize(values.get("baseImageRegistry"))
        self.shared_volumes = values.get("sharedVolumes") is not False
        self.shm_size = values.get("shmSize")
        self.arguments = list(values.get("arguments") or [])
        platform = values.get("platform") or {}
        self.platform.os = platform.get("os") or "Linux"
        self.platform.architecture = platform.get("architecture") or "amd64"
        context = values.get("buildContext")
        if context:
            self.build_context = DockerBuildContext(
                context.get("locationType"),
                context.get("location"),
                context.get("dockerfilePath") or "Dockerfile",
            )
            self.build_context.files = list(context.get("files") or [])


class SparkPackage:
    """A Maven package."""

    def __init__(
        self, group: str | None = None, artifact: str | None = None, version: str | None = None
    ) -> None:
        self.group = group
        self.artifact = artifact
        self.version = version


class SparkSection:
    """Spark settings; kept with the environment, used by none of the targets yet."""

    def __init__(self, **kwargs: Any) -> None:
        self.repositories: Strings = list(kwargs.get("repositories") or [])
        self.packages: list[SparkPackage] = list(kwargs.get("packages") or [])
        self.precache_packages = True

    def to_json(self) -> JSON:
        """Azure's ``spark`` object."""
        return {
            "repositories": list(self.repositories),
            "packages": [vars(package) for package in self.packages],
            "precachePackages": self.precache_packages,
        }

    def fill(self, data: JSON) -> None:
        """Read Azure's ``spark`` object."""
        values = lower_first(data)
        self.repositories = list(values.get("repositories") or [])
        self.packages = [SparkPackage(**lower_first(package)) for package in values.get("packages") or []]
        self.precache_packages = values.get("precachePackages") is not False


class RCranPackage:
    """A package from CRAN."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.version: str | None = None
        self.repository: str | None = None


class RGitHubPackage:
    """An R package from GitHub."""

    def __init__(self) -> None:
        self.repository: str | None = None
        self.auth_token: str | None = None


class RSection:
    """R settings; accepted, used by none of the targets."""

    def __init__(self) -> None:
        self.r_version: str | None = None
        self.user_managed = False
        self.rscript_path: str | None = None
        self.snapshot_date: str | None = None
        self.cran_packages: list[RCranPackage] | None = None
        self.github_packages: list[RGitHubPackage] | None = None
        self.custom_url_packages: Strings | None = None
        self.bioconductor_packages: Strings | None = None


PythonEnvironment = PythonSection
DockerEnvironment = DockerSection
SparkEnvironment = SparkSection
