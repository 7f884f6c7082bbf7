"""From a model's URI to a model that is registered with Mooring."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from mooring.mlflow.address import is_ours
from mooring.sdk.errors import user_error
from mooring.sdk.exceptions import ModelNotFoundException, UserErrorException
from mooring.sdk.files import tree_text
from mooring.sdk.model import Model
from mooring.sdk.workspace import Workspace

URI, UUID = "mlflow.modelUri", "mlflow.modelUuid"
_REGISTERED = re.compile(r"models:/+(?P<name>[^/@]+)(?:/(?P<version>[^/@]+)|@(?P<alias>[^/@]+))")
_LOGGED = re.compile(r"m-[0-9a-f]{32}")
_RUN = re.compile(r"runs:/+(?P<run_id>[^/]+)/(?P<path>.+)")


def registered(workspace: Workspace, deployment: str, model_uri: str, target_uri: str) -> Model:
    """The model of a URI, registered as ``<deployment>-model``, or for ``models:/`` under the name it has there.

    A version that was registered from the same URI with the same model in it is taken again. What MLflow's registry
    does not have, ``models:/name/version`` may name in Mooring's own.

    Args:
        workspace: where to register.
        deployment: its name.
        model_uri: whatever MLflow reads: ``runs:/``, ``models:/``, a folder, an address of artifacts.
        target_uri: names the tracking server to ask where the script has set none.

    Raises:
        UserErrorException: RunNotFound, ArtifactNotFound, ModelVersionNotFound, ModelFolderInvalid.
    """
    match = _REGISTERED.fullmatch(model_uri)
    if match and match["version"] and _LOGGED.fullmatch(match["name"]):
        match = None  # models:/m-<id>/path
    name = match["name"] if match else f"{deployment}-model"
    with tempfile.TemporaryDirectory(prefix="mooring-mlflow-") as folder:
        try:
            with _tracking(target_uri):
                place = _fetch(model_uri, Path(folder))
        except UserErrorException:
            own = _own(workspace, match) if match else None
            if own is None:
                raise
            return own
        about = _about(place, model_uri)
        properties = {URI: model_uri, UUID: str(about.get("model_uuid") or "")}
        # Files of a local folder may have changed since; what MLflow has logged has not.
        if properties[UUID] and re.match(r"(runs|models):", model_uri):
            found = Model.list(workspace, name=name, properties=list(properties.items()), latest=False)
            if found:
                newest: Model = max(found, key=lambda model: int(model.version))
                return newest
        return Model.register(
            workspace, str(place), name, properties=properties, model_framework=Model.Framework.CUSTOM
        )


@contextmanager
def _tracking(target_uri: str) -> Iterator[None]:
    """MLflow asks the target's tracking server, unless the script has chosen one."""
    import mlflow
    from mlflow.tracking import is_tracking_uri_set

    if is_tracking_uri_set():
        yield
        return
    mlflow.set_tracking_uri(target_uri if is_ours(target_uri) and ":" in target_uri else "mooring://")
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)


def _fetch(model_uri: str, folder: Path) -> Path:
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    local = Path(model_uri.removeprefix("file://")).expanduser()
    if "://" not in model_uri.removeprefix("file://") and local.exists():
        return local
    try:
        return Path(download_artifacts(artifact_uri=model_uri, dst_path=str(folder)))
    except (MlflowException, OSError) as error:
        raise _missing(model_uri, error) from error


def _about(place: Path, model_uri: str) -> dict[str, Any]:
    """What ``MLmodel`` says."""
    try:
        about = yaml.safe_load((place / "MLmodel").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        about = None
    if not isinstance(about, dict):
        exc = user_error(
            f"{model_uri} is no model of MLflow's: it has no readable file MLmodel.",
            code="ModelFolderInvalid",
            hint="Log one with mlflow.<flavor>.log_model(model, 'model'), and name that path. "
            "Other models are deployed with an entry script: Model.deploy.",
        )
        exc.evidence = {"tree": tree_text(place) if place.is_dir() else place.name}
        raise exc
    return about


def _own(workspace: Workspace, match: re.Match[str]) -> Model | None:
    if not str(match["version"]).isdigit():
        return None
    try:
        return Model(workspace, name=match["name"], version=int(match["version"]))
    except ModelNotFoundException:
        return None


def _missing(model_uri: str, error: Exception) -> UserErrorException:
    """Which part of the URI is not there."""
    import mlflow

    run = _RUN.fullmatch(model_uri)
    asked = f"Asked was the tracking server {mlflow.get_tracking_uri()}."
    if run is None:
        return user_error(
            f"{model_uri} cannot be fetched: {error}",
            code="ModelVersionNotFound" if model_uri.startswith("models:") else "ArtifactNotFound",
            hint=f"{asked} models:/<name>/<version>, models:/<name>@<alias> or runs:/<run id>/<path> name a model.",
        )
    client = mlflow.MlflowClient()
    try:
        found = client.get_run(run["run_id"])
    except mlflow.exceptions.MlflowException as unknown:
        return user_error(
            f"The run {run['run_id']!r} cannot be found: {unknown}",
            code="RunNotFound",
            hint=f"{asked} Take the id from run.info.run_id.",
        )
    paths = [file.path for file in client.list_artifacts(run["run_id"])]
    outputs = getattr(getattr(found, "outputs", None), "model_outputs", [])
    models = [client.get_logged_model(output.model_id).name for output in outputs]
    return user_error(
        f"The run {run['run_id']} has no artifact {run['path']!r}.",
        code="ArtifactNotFound",
        hint=f"It has {', '.join(sorted({*paths, *models})) or 'none'}. {asked}",
        evidence={"error": str(error)},
    )
