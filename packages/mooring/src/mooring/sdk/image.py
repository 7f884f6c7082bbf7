"""Image: a built image with a version; `ContainerImage` is the only kind here."""

# ruff: noqa: ARG002, ARG004 - Azure's signatures have arguments that have no meaning here
from __future__ import annotations

from typing import Any

from mooring.sdk.client import filter_text, part
from mooring.sdk.console import out
from mooring.sdk.container_image_config import ContainerImageConfig, ImageConfig
from mooring.sdk.container_registry import ContainerRegistry
from mooring.sdk.deploying_models import model_ids_of
from mooring.sdk.errors import invalid, not_available
from mooring.sdk.image_parts import Asset, TargetRuntime
from mooring.sdk.model import Model
from mooring.sdk.names import check_image_name
from mooring.sdk.operations import failure, follow, time_of
from mooring.sdk.patches import changed
from mooring.sdk.types import JSON, Tags

__all__ = [
    "Asset",
    "ContainerImage",
    "ContainerImageConfig",
    "ContainerRegistry",
    "Image",
    "ImageConfig",
    "TargetRuntime",
]


class Image:
    """A version of an image.

    Args:
        workspace: where it is.
        name: the latest version of that name, unless ``version`` is given.
        id: ``name:version``.
        tags: only a version with these.
        properties: like ``tags``.
        version: a whole number.

    Attributes:
        creation_state: ``Running``, ``Succeeded`` or ``Failed``.
        image_location: ``registry/repository:version``.
        image_build_log_uri: where the build's log is.
        id: ``name:version``.

    Raises:
        WebserviceException: its text begins with ``ImageNotFound``.
    """

    def __new__(  # noqa: PYI034 - of the class it turns out to be
        cls,
        workspace: Any,
        name: str | None = None,
        id: str | None = None,  # noqa: A002 - Azure's name
        tags: Any = None,
        properties: Any = None,
        version: int | None = None,
    ) -> Image:
        """Every image is a ContainerImage here, whatever class was asked."""
        return super().__new__(ContainerImage if cls is Image else cls)

    def __init__(
        self,
        workspace: Any,
        name: str | None = None,
        id: str | None = None,  # noqa: A002 - Azure's name
        tags: Any = None,
        properties: Any = None,
        version: int | None = None,
    ) -> None:
        if not (name or id):
            raise invalid("An image is found by its name or its id; neither was given.", code="NameMissing")
        if id or version is not None:
            data = workspace.mooring.call("GET", f"/images/{part(id or f'{name}:{version}')}")
        else:
            params = {"name": name, "tags": filter_text(tags), "properties": filter_text(properties)}
            found = list(workspace.mooring.pages("/images", params))
            if not found:
                raise invalid(
                    f"ImageNotFound: no image named {name!r} is in the workspace {workspace.name}.",
                    code="ImageNotFound",
                    hint="Image.list(workspace) shows what there is.",
                )
            data = max(found, key=lambda image: int(image["version"]))
        self._fill(workspace, data)

    @staticmethod
    def create(workspace: Any, name: str, models: Any, image_config: ImageConfig) -> Image:
        """Build an image; returns at once, `wait_for_creation` waits.

        Args:
            workspace: where.
            name: 3 to 32 lower-case characters.
            models: `Model` objects or ids.
            image_config: from `ContainerImage.image_configuration`.
        """
        check_image_name(name)
        ids = model_ids_of(workspace, models)
        out("Creating image")
        body = {**image_config.build_create_payload(workspace, name, ids), "name": name}
        data, operation_id = workspace.mooring.start("POST", "/images", body)
        image = Image.deserialize(workspace, data)
        image.operation_id = operation_id or image.operation_id
        return image

    @staticmethod
    def image_configuration() -> ImageConfig:
        """Only kinds of images have configurations: use `ContainerImage.image_configuration`."""
        raise not_available("Image.image_configuration", "Use ContainerImage.image_configuration(...).")

    def wait_for_creation(self, show_output: bool = False) -> None:
        """Wait until the image is built.

        Args:
            show_output: print the phases and how it ended.

        Raises:
            WebserviceException: with phase, reason, log and hint.
        """
        if self.operation_id:
            look = f"mooring image show -n {self.name}"
            operation = follow(self.workspace.mooring, self.operation_id, show_output=show_output, look=look)
            self.update_creation_state()
            if operation["state"] != "Succeeded":
                raise failure(operation, f"Creation of image {self.id}", "images")
        else:
            self.update_creation_state()
        if self.creation_state == "Failed":
            error = {"state": "Failed", "error": self.creation_error}
            raise failure(error, f"Creation of image {self.id}", "images")
        if show_output:
            out(self.creation_state)
            out(f'Image creation operation finished for image {self.id}, operation "Succeeded"')

    def update_creation_state(self) -> None:
        """Read it again."""
        self._fill(self.workspace, self.workspace.mooring.call("GET", f"/images/{part(self.id)}"))

    @staticmethod
    def list(
        workspace: Any,
        image_name: str | None = None,
        model_name: str | None = None,
        model_id: str | None = None,
        tags: Any = None,
        properties: Any = None,
    ) -> Any:
        """Images, as a list; every argument narrows it."""
        params = {
            "name": image_name,
            "modelName": model_name,
            "modelId": model_id,
            "tags": filter_text(tags),
            "properties": filter_text(properties),
        }
        return [Image.deserialize(workspace, data) for data in workspace.mooring.pages("/images", params)]

    def update(self, tags: Tags) -> None:
        """Replace the tags."""
        self._patch({"kvTags": tags})

    def add_tags(self, tags: Tags) -> None:
        """Add tags; those of the same name get the new value."""
        self.update_creation_state()
        self._patch({"kvTags": changed(self.tags, tags)})

    def remove_tags(self, tags: Any) -> None:
        """Remove tags by name: one, or a list."""
        self.update_creation_state()
        self._patch({"kvTags": changed(self.tags, None, tags)})

    def add_properties(self, properties: Tags) -> None:
        """Add properties; they cannot be removed."""
        self.update_creation_state()
        self._patch({"properties": changed(self.properties, properties)})

    def delete(self) -> None:
        """Delete this version.

        Raises:
            WebserviceException: ImageInUse, with the services that need it.
        """
        self.workspace.mooring.call("DELETE", f"/images/{part(self.id)}")

    def get_build_log(self) -> str:
        """The build's log."""
        return str(self.workspace.mooring.text(f"/images/{part(self.id)}/log"))

    def serialize(self) -> JSON:
        """The image as a dictionary with Azure's keys."""
        data = {key: value for key, value in self._data.items() if key not in {"kvTags", "environment"}}
        return {**data, "tags": self.tags, "workspaceName": self.workspace.name}

    @classmethod
    def deserialize(cls, workspace: Any, image_payload: JSON) -> Image:
        """An image from the server's JSON."""
        image = object.__new__(ContainerImage)
        image._fill(workspace, image_payload)
        return image

    def __repr__(self) -> str:
        return f"{type(self).__name__}(workspace={self.workspace!r}, name={self.name}, id={self.id})"

    def _patch(self, body: JSON) -> None:
        self._fill(self.workspace, self.workspace.mooring.call("PATCH", f"/images/{part(self.id)}", body))

    def _fill(self, workspace: Any, data: JSON) -> None:
        self.workspace = workspace
        self._data = data
        self.id: str = data["id"]
        self.name: str = data["name"]
        self.version = int(data["version"])
        self.created_time = time_of(data.get("createdTime"))
        self.creation_state: str = data.get("creationState") or ""
        self.creation_error = data.get("error")
        self.description = data.get("description")
        self.tags: Tags = data.get("kvTags") or {}
        self.properties: Tags = data.get("properties") or {}
        self.image_location = data.get("imageLocation")
        self.image_digest = data.get("imageDigest")
        self.image_type = data.get("imageType")
        self.image_flavor = data.get("imageFlavor")
        self.image_build_log_uri = data.get("imageBuildLogUri")
        self.generated_dockerfile_uri = data.get("generatedDockerFileUri")
        self.model_ids = data.get("modelIds") or []
        self.model_details = data.get("modelDetails") or []
        self.models = [
            Model.deserialize(workspace, model) for model in self.model_details if "files" in model
        ]
        self.changes = data.get("changes") or []
        self.operation_id: str | None = data.get("operationId")


class ContainerImage(Image):
    """A container image that serves models."""

    @staticmethod
    def image_configuration(  # type: ignore[override]  # Azure's base has no arguments
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
        cuda_version: str | None = None,
    ) -> ContainerImageConfig:
        """How to build: see `ContainerImageConfig`."""
        return ContainerImageConfig(
            execution_script,
            runtime,
            conda_file,
            docker_file,
            schema_file,
            dependencies,
            enable_gpu,
            tags,
            properties,
            description,
            base_image,
            base_image_registry,
            cuda_version=cuda_version,
        )

    def run(self, input_data: Any, gpu_enabled: bool | None = None) -> Any:
        """Not available: a local web service does the job and shows logs."""
        raise not_available(
            "ContainerImage.run",
            "Deploy it here: Webservice.deploy_from_image(ws, name, image, "
            "LocalWebservice.deploy_configuration()), then service.run(input_data).",
        )
