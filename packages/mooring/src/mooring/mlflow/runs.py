"""Runs of a workspace through MLflow's client, for `mooring.sdk.run`."""

from __future__ import annotations

import time
from typing import Any

from mooring.mlflow.address import external, tracking_uri
from mooring.mlflow.required import check_mlflow
from mooring.sdk.errors import user_error
from mooring.sdk.exceptions import UserErrorException

_INTERNAL = "mlflow."


class RunStore:
    """MLflow's client with the tracking URI of one workspace; the one that scripts have set stays as it is.

    Raises:
        UserErrorException: MlflowNotInstalled, MlflowTooOld.
        WorkspaceException: the server has no tracking server.
    """

    def __init__(self, workspace: Any) -> None:
        check_mlflow("A run")
        import mlflow

        self._uri = tracking_uri(workspace)
        external(self._uri)
        self._client = mlflow.MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)

    def experiment_id(self, name: str) -> str:
        """Of an experiment, which is made if there is none.

        Raises:
            UserErrorException: ExperimentDeleted.
        """
        from mooring.mlflow.experiment import experiment_id

        return experiment_id(self._client, name)

    def begin(self, experiment: str, name: str | None) -> str:
        """Begin a run; its id."""
        made = self._client.create_run(self.experiment_id(experiment), run_name=name)
        return str(made.info.run_id)

    def runs_of(self, experiment: str) -> list[str]:
        """Ids of an experiment's runs, newest first."""
        found = self._client.get_experiment_by_name(experiment)
        ids, token = [], None
        while found is not None:
            page = self._client.search_runs(
                [found.experiment_id], order_by=["attributes.start_time DESC"], page_token=token
            )
            ids += [run.info.run_id for run in page]
            token = page.token
            if not token:
                break
        return ids

    def experiment_of(self, run_id: str) -> str:
        """Name of a run's experiment.

        Raises:
            UserErrorException: RunNotFound.
        """
        from mlflow.exceptions import MlflowException

        try:
            run = self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                raise
            raise self._not_found(run_id) from error
        return str(self._client.get_experiment(run.info.experiment_id).name)

    def log(self, run_id: str, name: str, values: list[float], step: int | None = None) -> None:
        """Append to a metric; without a step, after what it has."""
        from mlflow.entities import Metric

        if step is None:
            step = len(self._client.get_metric_history(run_id, name))
        now = int(time.time() * 1000)
        # MLflow takes at most 1000 in one request.
        for begin in range(0, len(values), 1000):
            part = values[begin : begin + 1000]
            metrics = [Metric(name, value, now, step + begin + i) for i, value in enumerate(part)]
            self._client.log_batch(run_id, metrics=metrics)

    def metrics(self, run_id: str) -> dict[str, Any]:
        """All metrics: a number each, or the list of them where there are several."""
        found: dict[str, Any] = {}
        for name in self._client.get_run(run_id).data.metrics:
            history = sorted(
                self._client.get_metric_history(run_id, name), key=lambda m: (m.step, m.timestamp)
            )
            values = [metric.value for metric in history]
            found[name] = values[0] if len(values) == 1 else values
        return found

    def tag(self, run_id: str, tags: dict[str, Any]) -> None:
        """Set tags."""
        for key, value in tags.items():
            self._client.set_tag(run_id, key, value)

    def tags(self, run_id: str) -> dict[str, str]:
        """Tags without MLflow's own."""
        found = self._client.get_run(run_id).data.tags
        return {key: value for key, value in found.items() if not key.startswith(_INTERNAL)}

    def end(self, run_id: str, status: str) -> None:
        """End a run: ``FINISHED``, ``FAILED`` or ``KILLED``."""
        self._client.set_terminated(run_id, status)

    def status(self, run_id: str) -> str:
        """MLflow's status."""
        return str(self._client.get_run(run_id).info.status)

    def files(self, run_id: str) -> Any:
        """MLflow's artifact repository of a run."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        from mooring.mlflow.artifacts import repository

        uri = str(self._client.get_run(run_id).info.artifact_uri)
        if uri.startswith("mlflow-artifacts:"):
            return repository(uri, self._uri)
        return get_artifact_repository(uri)

    def file_names(self, run_id: str) -> list[str]:
        """Paths of all files of a run."""
        repository = self.files(run_id)
        names: list[str] = []
        folders = [""]
        while folders:
            for file in repository.list_artifacts(folders.pop() or None):
                (folders if file.is_dir else names).append(file.path)
        return sorted(names)

    def _not_found(self, run_id: str) -> UserErrorException:
        return user_error(
            f"There is no run {run_id!r} in the workspace.",
            code="RunNotFound",
            hint="run.id, or run.info.run_id of MLflow's, is its id.",
        )
