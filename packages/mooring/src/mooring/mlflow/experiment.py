"""Experiments by name, and the one of runs that name none."""

from __future__ import annotations

from typing import Any

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking.default_experiment.abstract_context import DefaultExperimentProvider

from mooring.mlflow.address import is_ours
from mooring.sdk.errors import user_error

# MLflow's name for it.
DEFAULT = "Default"


class DefaultExperiment(DefaultExperimentProvider):  # type: ignore[misc]  # MLflow has no types
    """The workspace's experiment ``Default``: MLflow's client means number 0, which is one workspace's only."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def in_context(self) -> bool:
        """Whether MLflow's client tracks in a workspace."""
        uri = mlflow.get_tracking_uri()
        return is_ours(uri) or "/mooring/v1/" in uri

    def get_experiment_id(self) -> str:
        """Of the workspace's experiment; asked once for each URI."""
        uri = mlflow.get_tracking_uri()
        if uri not in self._known:
            self._known[uri] = experiment_id(mlflow.MlflowClient(uri), DEFAULT)
        return self._known[uri]


def experiment_id(client: Any, name: str) -> str:
    """Of an experiment, which is made if there is none.

    Args:
        client: MLflow's.
        name: of the experiment.

    Raises:
        UserErrorException: ExperimentDeleted.
    """
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = client.get_experiment_by_name(name)  # somebody else was quicker
    if found.lifecycle_stage != "active":
        raise user_error(
            f"The experiment {name!r} was deleted.",
            code="ExperimentDeleted",
            hint=f"Choose another name, or mlflow.MlflowClient().restore_experiment({found.experiment_id!r}).",
        )
    return str(found.experiment_id)
