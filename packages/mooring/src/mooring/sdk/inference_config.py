"""InferenceConfig: the entry script and the environment that `Model.deploy` uses."""

# ruff: noqa: ARG002 - Azure's signatures have arguments that have no meaning here
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mooring.sdk import entry_script as scripts
from mooring.sdk.app_source import AppSource, check_runtime, environment_of
from mooring.sdk.environment import Environment, EnvironmentReference
from mooring.sdk.errors import invalid, not_available
from mooring.sdk.types import JSON, Strings

if TYPE_CHECKING:
    from mooring.sdk.container_registry import ContainerRegistry


class InferenceConfig:
    """Two forms: with ``environment``, or with ``runtime`` and ``conda_file``.

    Args:
        entry_script: has ``init()`` and ``run(data)``; relative to ``source_directory`` if there is one.
        runtime: ``python`` or ``python-slim``.
        conda_file: relative to ``source_directory`` if there is one.
        extra_docker_file_steps: a file with Dockerfile steps, relative to ``source_directory`` if there is
        one.
        source_directory: all of it goes into the image, but for what ``.amlignore`` names.
        enable_gpu: use an image with CUDA.
        description: of the image.
        base_image: instead of the server's choice.
        base_image_registry: where that comes from.
        cuda_version: 9.0, 9.1 or 10.0.
        environment: an `Environment`.

    Raises:
        WebserviceException: what is wrong, with code and evidence.
    """

    def __init__(
        self,
        entry_script: str,
        runtime: str | None = None,
        conda_file: str | None = None,
        extra_docker_file_steps: str | None = None,
        source_directory: str | None = None,
        enable_gpu: bool | None = None,
        description: str | None = None,
        base_image: str | None = None,
        base_image_registry: ContainerRegistry | None = None,
        cuda_version: str | None = None,
        environment: Any = None,
    ) -> None:
        self.entry_script = entry_script
        self.runtime = runtime
        self.conda_file = conda_file
        self.extra_docker_file_steps = extra_docker_file_steps
        self.source_directory = source_directory
        self.enable_gpu = enable_gpu
        self.description = description
        self.base_image = base_image
        self.base_image_registry = base_image_registry
        self.cuda_version = cuda_version
        self.environment = environment
        self.validate_configuration()

    def validate_configuration(self) -> None:
        """Check what can be checked here.

        Raises:
            WebserviceException: what is wrong.
        """
        if not self.entry_script:
            raise invalid("An inference configuration needs an entry script.", code="EntryScriptMissing")
        if self.source_directory is not None and not Path(self.source_directory).is_dir():
            raise invalid(
                f"The source directory {self.source_directory!r} does not exist.",
                code="SourceDirectoryNotFound",
            )
        if self.environment is not None:
            if not isinstance(self.environment, (Environment, EnvironmentReference)):
                raise invalid(f"environment is {self.environment!r}, no Environment.", code="InvalidType")
            if self.runtime or self.conda_file:
                raise invalid(
                    "Give an environment, or a runtime and a conda file, not both.", code="InvalidRequest"
                )
        check_runtime(self.runtime, self.cuda_version)
        self.validation_script_content()
        if self.conda_file:
            scripts.check_conda_file(self._beside(self.conda_file))

    def validation_script_content(self) -> None:
        """Check that the entry script exists and parses; it is never run here.

        Raises:
            WebserviceException: EntryScriptNotFound, EntryScriptNotImportable or EntryScriptSyntax.
        """
        scripts.check(self._beside(self.entry_script), self.entry_script)

    def source(self, name: str, workspace: Any = None) -> AppSource:
        """What the image is made of.

        Args:
            name: of the service; the second form's environment is called ``<name>-env``.
            workspace: where an environment given by reference is registered.
        """
        self.validate_configuration()
        script = self.entry_script
        if self.source_directory is not None and Path(script).is_absolute():
            script = self._inside(script)
        details = {"description": self.description} if self.description else {}
        environment = self._environment(name, workspace).to_json()
        return AppSource(script, self.source_directory, environment, (), details)

    def build_create_payload(self, workspace: Any, name: str, model_ids: Strings) -> JSON:
        """Upload the files, and give the image request."""
        return self.source(name, workspace).request(workspace.mooring, model_ids)

    def build_profile_payload(
        self,
        profile_name: str,
        input_data: Any = None,
        workspace: Any = None,
        models: Any = None,
        dataset_id: str | None = None,
        container_resource_requirements: Any = None,
        description: str | None = None,
    ) -> JSON:
        """Not available: as `Model.profile`."""
        raise not_available(
            "InferenceConfig.build_profile_payload", "Model.profile(...) builds what it needs."
        )

    def _environment(self, name: str, workspace: Any) -> Environment:
        if isinstance(self.environment, EnvironmentReference):
            return self.environment.get_environment(workspace)
        if isinstance(self.environment, Environment):
            return self.environment
        return environment_of(
            f"{name}-env",
            self._beside(self.conda_file) if self.conda_file else None,
            str(self._beside(self.extra_docker_file_steps)) if self.extra_docker_file_steps else None,
            self.base_image,
            self.base_image_registry,
            bool(self.enable_gpu) or self.cuda_version is not None,
        )

    def _beside(self, path: str) -> Path:
        return Path(self.source_directory or "") / path

    def _inside(self, path: str) -> str:
        top = Path(self.source_directory or "").resolve()
        inner = Path(path).resolve()
        if not inner.is_relative_to(top):
            raise invalid(
                f"The entry script {path!r} lies outside of source_directory {self.source_directory!r}.",
                code="EntryScriptOutside",
            )
        return str(inner.relative_to(top))
