"""Model: a registered file or folder, and the ways to deploy it."""

# ruff: noqa: ARG002, ARG004 - Azure's signatures have arguments that have no meaning here
from __future__ import annotations

from pathlib import Path
from typing import Any

from mooring.sdk import model_files, model_paths
from mooring.sdk.client import filter_text, part
from mooring.sdk.console import out
from mooring.sdk.errors import invalid, not_available
from mooring.sdk.exceptions import ModelNotFoundException
from mooring.sdk.inference_config import InferenceConfig
from mooring.sdk.model_deployments import ModelDeployments
from mooring.sdk.model_package import ModelPackage
from mooring.sdk.names import check_model_name
from mooring.sdk.operations import time_of
from mooring.sdk.patches import changed
from mooring.sdk.resource_configuration import ResourceConfiguration
from mooring.sdk.types import JSON, Strings, Tags

__all__ = ["InferenceConfig", "Model", "ModelPackage"]


class Model(ModelDeployments):
    """A version of a registered model.

    Args:
        workspace: where it is.
        name: the latest version of that name, unless ``version`` is given.
        id: ``name:version``.
        tags: only a version with these: ``["key", ["key", "value"]]``.
        properties: like ``tags``.
        version: a whole number.
        run_id: only a version of that run.
        model_framework: only a version of that framework.

    Attributes:
        created_time: a datetime.
        id: ``name:version``.
        tags: may be changed by `add_tags` and friends.
        pickles: what its pickles say about themselves, read without loading them: a list of dictionaries with
            ``path``, ``protocol``, ``compression``, ``versions`` (of libraries), ``imports``, ``dangerousImports``
            and ``incomplete``.
        url: where its files are.
        version: a whole number.

    Raises:
        ModelNotFoundException: no such model.
    """

    class Framework:
        """Names of frameworks; Onnx and ScikitLearn need no entry script, nor does a folder that MLflow has written."""

        CUSTOM = "Custom"
        TENSORFLOW = "TensorFlow"
        SCIKITLEARN = "ScikitLearn"
        ONNX = "Onnx"
        PYTORCH = "PyTorch"
        TFKERAS = "TfKeras"
        MULTI = "Multi"

    def __init__(
        self,
        workspace: Any,
        name: str | None = None,
        id: str | None = None,  # noqa: A002 - Azure's name
        tags: Any = None,
        properties: Any = None,
        version: int | None = None,
        run_id: str | None = None,
        model_framework: str | None = None,
        expand: bool = True,
        **kwargs: Any,
    ) -> None:
        if not (name or id):
            raise invalid("A model is found by its name or its id; neither was given.", code="NameMissing")
        model_paths.check_version(version)
        filters = {
            "tags": filter_text(tags),
            "properties": filter_text(properties),
            "runId": run_id,
            "framework": model_framework,
        }
        if id or (name and version is not None and not any(filters.values())):
            path = f"/models/{part(id or f'{name}:{version}')}"
            self._fill(workspace, workspace.mooring.call("GET", path))
            return
        found = [
            data
            for data in workspace.mooring.pages("/models", {"name": name, **filters})
            if version is None or data["version"] == version
        ]
        if not found:
            wanted = ", ".join(f"{k} {v}" for k, v in filters.items() if v)
            exc = ModelNotFoundException(
                f"ModelNotFound: no model named {name!r}"
                + (f" of version {version}" if version is not None else "")
                + (f" with {wanted}" if wanted else "")
                + f" is in the workspace {workspace.name}."
            )
            raise exc.explain("ModelNotFound", "Validate", "Model.list(workspace) shows what is registered.")
        self._fill(workspace, max(found, key=lambda data: int(data["version"])))

    @staticmethod
    def register(
        workspace: Any,
        model_path: str,
        model_name: str,
        tags: Tags | None = None,
        properties: Tags | None = None,
        description: str | None = None,
        datasets: Any = None,
        model_framework: str | None = None,
        model_framework_version: str | None = None,
        child_paths: Strings | None = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: ResourceConfiguration | None = None,
        _run: JSON | None = None,
        *,
        allowed_imports: Strings | None = None,
    ) -> Model:
        """Register a file or folder as the next version of a name.

        Args:
            workspace: where.
            model_path: any readable file or folder of this machine.
            model_name: see `mooring.sdk.names.check_model_name`.
            tags: texts by name; may be changed later.
            properties: texts by name; may not be changed later.
            description: a text.
            datasets: accepted.
            model_framework: one of `Model.Framework`, or a text.
            model_framework_version: decides the packages when there is no entry script.
            child_paths: of a folder, register only these files and folders.
            sample_input_dataset: kept as it is written.
            sample_output_dataset: kept as it is written.
            resource_configuration: for deployments without an entry script.
            allowed_imports: Mooring's own: what the model's pickles may import, though it is dangerous:
                ``["operator.attrgetter"]``.

        Raises:
            ModelPathNotFoundException: with what lies there instead.
            WebserviceException: PickleImportDangerous.
        """
        check_model_name(model_name)
        found = model_files.collect(model_path, child_paths)
        out(f"Registering model {model_name}")
        resources = resource_configuration.serialize() if resource_configuration else None
        body = {
            "name": model_name,
            "files": model_files.send(workspace.mooring, found),
            "kvTags": tags or {},
            "properties": properties or {},
            "description": description,
            **({"allowedImports": list(allowed_imports)} if allowed_imports else {}),
            "framework": model_framework or Model.Framework.CUSTOM,
            "frameworkVersion": model_framework_version,
            "resourceRequirements": resources,
            "sampleInputData": _sample(sample_input_dataset),
            "sampleOutputData": _sample(sample_output_dataset),
            **(_run or {}),
        }
        return Model.deserialize(workspace, workspace.mooring.call("POST", "/models", body))

    @staticmethod
    def list(
        workspace: Any,
        name: str | None = None,
        tags: Any = None,
        properties: Any = None,
        run_id: str | None = None,
        latest: bool = False,
        dataset_id: str | None = None,
        expand: bool = True,
        page_count: int = 255,
        model_framework: str | None = None,
    ) -> Any:
        """Registered models, as a list.

        Args:
            workspace: where.
            name: only versions of that name.
            tags: ``["key", ["key", "value"]]``: all of these.
            properties: like ``tags``.
            run_id: of that run.
            latest: only the latest version of each name.
            dataset_id: accepted.
            expand: accepted.
            page_count: models a page.
            model_framework: of that framework.
        """
        params = {
            "name": name,
            "tags": filter_text(tags),
            "properties": filter_text(properties),
            "runId": run_id,
            "framework": model_framework,
            "latestVersionOnly": "true" if latest else None,
            "count": page_count,
        }
        return [Model.deserialize(workspace, data) for data in workspace.mooring.pages("/models", params)]

    # Files

    def download(self, target_dir: str = ".", exist_ok: bool = False, exists_ok: bool | None = None) -> str:
        """Fetch the model's file or folder.

        Args:
            target_dir: is made if it does not exist.
            exist_ok: replace what is there.
            exists_ok: the older name of ``exist_ok``.

        Returns:
            The path of the file or folder.
        """
        overwrite = exist_ok if exists_ok is None else exists_ok
        return model_files.fetch(
            self.workspace.mooring, self.id, self._data["files"], Path(target_dir), overwrite
        )

    @staticmethod
    def get_model_path(model_name: str, version: int | None = None, _workspace: Any = None) -> str:
        """The path of a model's file or folder.

        In an entry script and without a workspace: see `mooring.sdk.model_paths.local_path`. With a
        workspace: it is
        downloaded to ``azureml-models/<name>/<version>`` first, once.
        """
        if _workspace is None:
            return model_paths.local_path(model_name, version)
        model = Model(_workspace, name=model_name, version=version)
        target = Path(model_paths.ROOT) / model.name / str(model.version)
        return model_files.present(model.files, target) or model.download(str(target), exist_ok=True)

    def get_sas_urls(self) -> dict[str, str]:
        """Addresses of the model's files by path; they need the server's token."""
        base = self.workspace.mooring.http.connection.endpoint + self.workspace.mooring.base
        return {f["path"]: f"{base}/models/{part(self.id)}/files/{f['path']}" for f in self._data["files"]}

    # Changes

    def update(
        self,
        tags: Tags | None = None,
        description: str | None = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: ResourceConfiguration | None = None,
    ) -> None:
        """Replace the tags, the description or the rest; None leaves a thing as it is."""
        values = {
            "kvTags": tags,
            "description": description,
            "sampleInputData": _sample(sample_input_dataset),
            "sampleOutputData": _sample(sample_output_dataset),
            "resourceRequirements": resource_configuration.serialize() if resource_configuration else None,
        }
        self._patch({key: value for key, value in values.items() if value is not None})

    def update_tags_properties(
        self, add_tags: Tags | None = None, remove_tags: Any = None, add_properties: Tags | None = None
    ) -> None:
        """Add and remove tags and add properties in one call."""
        self._refresh()
        tags, properties = changed(self.tags, add_tags, remove_tags), changed(self.properties, add_properties)
        self._patch({"kvTags": tags, "properties": properties})

    def add_tags(self, tags: Tags) -> None:
        """Add tags; those of the same name get the new value."""
        self.update_tags_properties(add_tags=tags)

    def remove_tags(self, tags: Any) -> None:
        """Remove tags by name: one, or a list."""
        self.update_tags_properties(remove_tags=tags)

    def add_properties(self, properties: Tags) -> None:
        """Add properties; they cannot be removed."""
        self.update_tags_properties(add_properties=properties)

    def add_dataset_references(self, datasets: Any) -> None:
        """Not available: there are no datasets."""
        raise not_available("Model.add_dataset_references", "Note them as tags: model.add_tags({...}).")

    def delete(self) -> None:
        """Delete this version.

        Raises:
            WebserviceException: ModelInUse, with the images and services that need it.
        """
        self.workspace.mooring.call("DELETE", f"/models/{part(self.id)}")

    # JSON

    def serialize(self) -> JSON:
        """The model as a dictionary with Azure's keys."""
        data = self._data
        return {
            "workspaceName": self.workspace.name,
            "name": self.name,
            "id": self.id,
            "version": self.version,
            "tags": self.tags,
            "properties": self.properties,
            "description": self.description,
            "createdTime": data.get("createdTime"),
            "modifiedTime": data.get("modifiedTime"),
            "createdBy": self.created_by,
            "url": self.url,
            "mimeType": self.mime_type,
            "unpack": self.unpack,
            "framework": self.model_framework,
            "frameworkVersion": self.model_framework_version,
            "runId": self.run_id,
            "experimentName": self.experiment_name,
            "resourceRequirements": data.get("resourceRequirements"),
            "sampleInputDatasetId": self.sample_input_dataset,
            "sampleOutputDatasetId": self.sample_output_dataset,
        }

    @staticmethod
    def deserialize(workspace: Any, model_payload: JSON) -> Model:
        """A model from the server's JSON."""
        model = Model.__new__(Model)
        model._fill(workspace, model_payload)  # noqa: SLF001 - its own class
        return model

    def __repr__(self) -> str:
        return (
            f"Model(workspace={self.workspace!r}, name={self.name}, id={self.id}, version={self.version}, "
            f"tags={self.tags}, properties={self.properties})"
        )

    def _refresh(self) -> None:
        self._fill(self.workspace, self.workspace.mooring.call("GET", f"/models/{part(self.id)}"))

    def _patch(self, body: JSON) -> None:
        self._fill(self.workspace, self.workspace.mooring.call("PATCH", f"/models/{part(self.id)}", body))

    def _fill(self, workspace: Any, data: JSON) -> None:
        self.workspace = workspace
        self._data = data
        self.id: str = data["id"]
        self.name: str = data["name"]
        self.version = int(data["version"])
        self.files: list[JSON] = data.get("files") or []
        self.pickles: list[JSON] = data.get("pickles") or []
        self.created_time = time_of(data.get("createdTime"))
        self.modified_time = time_of(data.get("modifiedTime"))
        self.created_by = data.get("createdBy")
        self.description = data.get("description")
        self.tags: Tags = data.get("kvTags") or {}
        self.properties: Tags = data.get("properties") or {}
        self.mime_type = data.get("mimeType")
        self.url = data.get("url")
        self.unpack = data.get("unpack")
        self.model_framework = data.get("framework")
        self.model_framework_version = data.get("frameworkVersion")
        self.run_id = data.get("runId")
        self.experiment_name = data.get("experimentName")
        self.datasets = data.get("datasets") or {}
        self.parent_id = data.get("parentModelId")
        self.sample_input_dataset = data.get("sampleInputData")
        self.sample_output_dataset = data.get("sampleOutputData")
        self.resource_configuration = ResourceConfiguration.deserialize(data.get("resourceRequirements"))


def _sample(dataset: Any) -> str | None:
    return None if dataset is None else str(getattr(dataset, "id", dataset))
