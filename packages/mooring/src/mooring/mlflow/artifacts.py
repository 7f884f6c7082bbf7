"""Artifacts with a tracking URI of ours. MLflow loads this while it is being imported."""

from __future__ import annotations

import inspect
from typing import Any

from mooring.mlflow.address import external, is_ours
from mooring.mlflow.problems import as_mlflow


def repository(artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> Any:
    """The repository for ``mlflow-artifacts:/...``; MLflow's own unless the tracking URI is one of ours.

    MLflow's refuses schemes other than http(s), and sends no token but that of its variables.
    """
    import mlflow
    from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository
    from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository

    uri = tracking_uri or mlflow.get_tracking_uri()
    uris = {"tracking_uri": tracking_uri, "registry_uri": registry_uri}
    if not is_ours(uri):
        return MlflowArtifactsRepository(artifact_uri, **_known(MlflowArtifactsRepository, uris))
    with as_mlflow():
        elsewhere = external(uri)
    if elsewhere is not None:
        resolved = MlflowArtifactsRepository.resolve_uri(artifact_uri, elsewhere)
        return HttpArtifactRepository(resolved, **_known(HttpArtifactRepository, uris))
    from mooring.mlflow.artifact_repository import MooringArtifactRepository

    return MooringArtifactRepository(artifact_uri, uri)


def _known(kind: type, arguments: dict[str, Any]) -> dict[str, Any]:
    """Those of the arguments that MLflow's class takes: 2.x has fewer."""
    names = inspect.signature(kind).parameters
    return {name: value for name, value in arguments.items() if name in names}
