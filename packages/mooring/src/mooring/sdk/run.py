"""Run: what one training logs and keeps. It is a run of MLflow's: its id is good in ``runs:/<id>/<path>``."""

# ruff: noqa: ARG002 - Azure's signatures have arguments that have no meaning here
from __future__ import annotations

import numbers
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mooring.sdk.errors import invalid, user_error
from mooring.sdk.model import Model
from mooring.sdk.resource_configuration import ResourceConfiguration
from mooring.sdk.types import Tags

if TYPE_CHECKING:
    from mooring.sdk.experiment import Experiment

STATES = {
    "RUNNING": "Running",
    "SCHEDULED": "Queued",
    "FINISHED": "Completed",
    "FAILED": "Failed",
    "KILLED": "Canceled",
}


class Run:
    """A run; as a context manager it is completed at the end, and failed by an exception.

    Args:
        experiment: its experiment.
        run_id: its id.

    Attributes:
        id: MLflow's run id.
        experiment: its `Experiment`.
    """

    def __init__(self, experiment: Experiment, run_id: str, outputs: Any = None, **kwargs: Any) -> None:
        self.experiment = experiment
        self.id = run_id
        self._store = experiment._store  # noqa: SLF001 - shared by the two classes

    @staticmethod
    def get(workspace: Any, run_id: str) -> Run:
        """A run by its id.

        Raises:
            UserErrorException: RunNotFound.
        """
        from mooring.mlflow.runs import RunStore
        from mooring.sdk.experiment import Experiment

        store = RunStore(workspace)
        return Run(Experiment(workspace, store.experiment_of(run_id), _store=store), run_id)

    # Logging

    def log(self, name: str, value: Any, description: str = "", step: int | None = None) -> None:
        """Log a number; logged again under the same name, the metric becomes a list.

        Raises:
            WebserviceException: MetricNotNumber.
        """
        self._store.log(self.id, name, [_number(name, value)], step)

    def log_list(self, name: str, value: Sequence[Any], description: str = "") -> None:
        """Log numbers as one metric, in their order.

        Raises:
            WebserviceException: MetricNotNumber.
        """
        self._store.log(self.id, name, [_number(name, item) for item in value])

    def log_row(self, name: str, description: str | None = None, **kwargs: Any) -> None:
        """Log a row of numbers by column: metric ``<name>.<column>`` each.

        Raises:
            WebserviceException: MetricNotNumber.
        """
        for column, value in kwargs.items():
            self.log(f"{name}.{column}", value)

    def get_metrics(
        self, name: str | None = None, recursive: bool = False, run_type: Any = None, populate: bool = False
    ) -> dict[str, Any]:
        """``{name: number}``, or a list where several were logged.

        Args:
            name: only this metric.
            recursive: accepted: there are no child runs.
            run_type: accepted.
            populate: accepted.
        """
        found = self._store.metrics(self.id)
        return {key: value for key, value in found.items() if name in {None, key}}

    def tag(self, key: str, value: str | None = None) -> None:
        """Set a tag."""
        self.set_tags({key: "" if value is None else value})

    def set_tags(self, tags: Tags) -> None:
        """Set tags; others stay."""
        self._store.tag(self.id, tags)

    def get_tags(self) -> Tags:
        """Its tags, without those that MLflow keeps for itself."""
        return self._store.tags(self.id)

    @property
    def tags(self) -> Tags:
        """As `get_tags`."""
        return self.get_tags()

    # Files

    def upload_file(self, name: str, path_or_stream: Any, datastore_name: str | None = None) -> None:
        """Keep a file with the run.

        Args:
            name: its path in the run, such as ``outputs/model.pkl``.
            path_or_stream: a file's path, or a binary stream.
            datastore_name: accepted.

        Raises:
            UserErrorException: ArtifactPathNotFound.
        """
        with tempfile.TemporaryDirectory(prefix="mooring-run-") as folder:
            staged = Path(folder) / "files" / name
            if not staged.resolve().is_relative_to(Path(folder).resolve() / "files"):
                raise invalid(f"{name!r} leads out of the run's files.", code="InvalidPath")
            staged.parent.mkdir(parents=True)
            if hasattr(path_or_stream, "read"):
                with staged.open("wb") as file:
                    while piece := path_or_stream.read(1 << 20):
                        file.write(piece)
            else:
                staged.symlink_to(_existing(path_or_stream, file=True).resolve())
            self._store.files(self.id).log_artifacts(str(Path(folder) / "files"))

    def upload_folder(self, name: str, path: str, datastore_name: str | None = None) -> None:
        """Keep a folder's files with the run, below ``name``.

        Raises:
            UserErrorException: ArtifactPathNotFound.
        """
        self._store.files(self.id).log_artifacts(str(_existing(path, file=False)), name)

    def get_file_names(self) -> list[str]:
        """The paths of all its files."""
        return self._store.file_names(self.id)

    def download_file(
        self, name: str, output_file_path: str | None = None, _validate_checksum: bool = False
    ) -> None:
        """Fetch one file.

        Args:
            name: its path in the run.
            output_file_path: a file or an existing folder; the file's own name in the current one if None.

        Raises:
            UserErrorException: ArtifactNotFound, with those there are.
        """
        self._check_file(name)
        target = Path(output_file_path or Path(name).name)
        if target.is_dir():
            target /= Path(name).name
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".mooring-run-", dir=target.parent) as folder:
            Path(self._store.files(self.id).download_artifacts(name, folder)).replace(target)

    def register_model(  # noqa: D417 - most are `Model.register`'s
        self,
        model_name: str,
        model_path: str | None = None,
        tags: Tags | None = None,
        properties: Tags | None = None,
        model_framework: str | None = None,
        model_framework_version: str | None = None,
        description: str | None = None,
        datasets: Any = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: ResourceConfiguration | None = None,
        **kwargs: Any,
    ) -> Model:
        """Register a file or folder of the run; the model's ``run_id`` names it.

        Args:
            model_name: as for `Model.register`, as are those not named here.
            model_path: its path in the run; ``model_name`` if None.

        Raises:
            UserErrorException: ArtifactNotFound, with the files there are.
        """
        path = (model_path or model_name).strip("/")
        self._check_file(path)
        with tempfile.TemporaryDirectory(prefix="mooring-run-") as folder:
            fetched = self._store.files(self.id).download_artifacts(path, folder)
            return Model.register(
                self.experiment.workspace,
                fetched,
                model_name,
                tags=tags,
                properties=properties,
                description=description,
                datasets=datasets,
                model_framework=model_framework,
                model_framework_version=model_framework_version,
                sample_input_dataset=sample_input_dataset,
                sample_output_dataset=sample_output_dataset,
                resource_configuration=resource_configuration,
                _run={"runId": self.id, "experimentName": self.experiment.name},
            )

    # Its end

    def complete(self, _set_status: bool = True) -> None:
        """End it well."""
        self._store.end(self.id, "FINISHED")

    def fail(self, error_details: Any = None, error_code: Any = None, _set_status: bool = True) -> None:
        """End it as failed.

        Args:
            error_details: a text or exception, kept as the tag ``error``.
            error_code: accepted.
        """
        if error_details is not None:
            self.tag("error", str(error_details))
        self._store.end(self.id, "FAILED")

    def cancel(self) -> None:
        """End it as canceled."""
        self._store.end(self.id, "KILLED")

    def flush(self, timeout_seconds: float = 300) -> None:
        """Does nothing: what is logged has been sent."""

    def get_status(self) -> str:
        """``Running``, ``Completed``, ``Failed`` or ``Canceled``."""
        return STATES[self._store.status(self.id)]

    @property
    def status(self) -> str:
        """As `get_status`."""
        return self.get_status()

    def __enter__(self) -> Run:  # noqa: PYI034 - nobody derives from it
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.complete()
        else:
            self.fail(error)

    def __repr__(self) -> str:
        return f"Run(experiment={self.experiment.name!r}, id={self.id!r})"

    def _check_file(self, path: str) -> None:
        names = self.get_file_names()
        if path in names or any(name.startswith(f"{path}/") for name in names):
            return
        raise user_error(
            f"The run {self.id} has no file or folder {path!r}.",
            code="ArtifactNotFound",
            hint="upload_file(name, path) keeps one.",
            evidence={"files": "\n".join(names) or "(none)"},
        )


def _number(name: str, value: Any) -> float:
    if isinstance(value, numbers.Real) or hasattr(value, "__float__"):
        return float(value)
    raise invalid(
        f"The metric {name!r} is {value!r}; a number was expected.",
        code="MetricNotNumber",
        hint="Texts are tags: run.tag(name, value).",
    )


def _existing(path: Any, *, file: bool) -> Path:
    found = Path(path)
    if not (found.is_file() if file else found.is_dir()):
        raise user_error(
            f"There is no {'file' if file else 'folder'} {str(path)!r} to upload.",
            code="ArtifactPathNotFound",
            hint=f"The path is relative to {Path.cwd()}.",
        )
    return found
