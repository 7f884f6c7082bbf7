"""ContainerImageConfig: how an image of 2018 is built."""

# ruff: noqa: ARG002 - Azure's signatures have arguments that have no meaning here
from __future__ import annotations

from pathlib import Path
from typing import Any

from mooring.sdk import entry_script
from mooring.sdk.app_source import AppSource, check_runtime, dependency_places, environment_of
from mooring.sdk.container_registry import ContainerRegistry
from mooring.sdk.errors import invalid, not_available
from mooring.sdk.types import JSON, Strings, Tags


class ImageConfig:
    """How an image is built."""

    def source(self, name: str) -> AppSource:
        """What the image is made of."""
        raise NotImplementedError

    def build_create_payload(self, workspace: Any, name: str, model_ids: Strings) -> JSON:
        """Upload the files, and give the image request."""
        return self.source(name).request(workspace.mooring, model_ids)

    def validate_configuration(self) -> None:
        """Check what can be checked here."""
        raise NotImplementedError


class ContainerImageConfig(ImageConfig):
    """Script, packages and further files.

    Args:
        execution_script: has ``init()`` and ``run(data)``.
        runtime: ``python`` or ``python-slim``.
        conda_file: the packages.
        docker_file: a file with Dockerfile steps to run on the base image.
        schema_file: goes into the image beside the script.
        dependencies: further files and folders; relative paths keep their place beside the script.
        enable_gpu: use an image with CUDA.
        tags: of the image.
        properties: of the image.
        description: of the image.
        base_image: instead of the server's choice.
        base_image_registry: where that comes from.
        allow_absolute_path: accepted; any path is allowed.
        cuda_version: 9.0, 9.1 or 10.0.

    Raises:
        WebserviceException: what is wrong, with code and evidence.
    """

    def __init__(
        self,
        execution_script: str,
        runtime: str,
        conda_file: str | None = None,
        docker_file: str | None = None,
        schema_file: str | None = None,
        dependencies: Any = None,
        enable_gpu: bool | None = None,
        tags: Tags | None = None,
        properties: Tags | None = None,
        description: str | None = None,
        base_image: str | None = None,
        base_image_registry: ContainerRegistry | None = None,
        allow_absolute_path: bool = False,
        cuda_version: str | None = None,
    ) -> None:
        self.execution_script = execution_script
        self.runtime = runtime
        self.conda_file = conda_file
        self.docker_file = docker_file
        self.schema_file = schema_file
        self.dependencies = dependencies
        self.enable_gpu = enable_gpu
        self.tags = tags
        self.properties = properties
        self.description = description
        self.base_image = base_image
        self.base_image_registry = base_image_registry
        self.allow_absolute_path = allow_absolute_path
        self.cuda_version = cuda_version
        self.validate_configuration()

    def validate_configuration(self) -> None:
        """Check what can be checked here.

        Raises:
            WebserviceException: what is wrong.
        """
        check_runtime(self.runtime, self.cuda_version)
        if isinstance(self.dependencies, str):
            raise invalid(
                f"dependencies is the text {self.dependencies!r}; a list was expected.", code="InvalidType"
            )
        entry_script.check(Path(self.execution_script), self.execution_script)
        if self.conda_file:
            entry_script.check_conda_file(Path(self.conda_file))
        for path in [*(self.dependencies or []), *([self.schema_file] if self.schema_file else [])]:
            if not Path(path).exists():
                raise invalid(f"The dependency {path!r} does not exist.", code="DependencyNotFound")

    def source(self, name: str) -> AppSource:
        """What the image is made of; its environment is called ``<name>-env``."""
        self.validate_configuration()
        environment = environment_of(
            f"{name}-env",
            Path(self.conda_file) if self.conda_file else None,
            self.docker_file,
            self.base_image,
            self.base_image_registry,
            bool(self.enable_gpu) or self.cuda_version is not None,
        )
        extra = [*(self.dependencies or []), *([self.schema_file] if self.schema_file else [])]
        details = {
            "description": self.description,
            "kvTags": self.tags or {},
            "properties": self.properties or {},
            "imageFlavor": "WebApiContainer",
        }
        return AppSource(
            self.execution_script, None, environment.to_json(), dependency_places(extra), details
        )

    def create_local_debug_payload(self, workspace: Any, model_ids: Strings) -> JSON:
        """Not available: a local web service does the job."""
        raise not_available(
            "ContainerImageConfig.create_local_debug_payload", "Use Webservice.deploy_local_from_model(...)."
        )
