"""Experiment: a name that runs are logged under. It is an experiment of MLflow's."""

from __future__ import annotations

import re
from typing import Any

from mooring.sdk.errors import invalid
from mooring.sdk.run import Run
from mooring.sdk.types import Tags

_NAME = re.compile(r"[a-zA-Z0-9][\w\-]{0,254}", re.ASCII)


class Experiment:
    """An experiment; made when the first run begins.

    Args:
        workspace: where.
        name: letters, digits, ``_`` and ``-``, beginning with a letter or digit.

    Raises:
        WebserviceException: InvalidName.
        UserErrorException: MlflowNotInstalled, MlflowTooOld: runs are kept by MLflow's client.
    """

    def __init__(self, workspace: Any, name: str, **kwargs: Any) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise invalid(
                f"{name!r} is not a valid experiment name.",
                code="InvalidName",
                hint="An experiment name has 1 to 255 letters, digits, '_' or '-', beginning with a letter or digit.",
            )
        from mooring.mlflow.runs import RunStore

        self._workspace = workspace
        self._name = name
        self._store: RunStore = kwargs.get("_store") or RunStore(workspace)

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def workspace(self) -> Any:
        """Its workspace."""
        return self._workspace

    @property
    def id(self) -> str:
        """MLflow's id of it; it is made if it does not exist."""
        return self._store.experiment_id(self._name)

    def start_logging(self, *args: Any, **kwargs: Any) -> Run:  # noqa: ARG002 - Azure's signature
        """Begin a run.

        Args:
            args: accepted.
            kwargs: ``display_name`` names the run; ``outputs`` and ``snapshot_directory`` are accepted: files are kept
                when they are uploaded.
        """
        return Run(self, self._store.begin(self._name, kwargs.get("display_name")))

    def get_runs(
        self,
        type: str | None = None,  # noqa: A002, ARG002 - Azure's name
        tags: Any = None,
        properties: Any = None,  # noqa: ARG002 - Azure's signature
        include_children: bool = False,  # noqa: ARG002 - Azure's signature
    ) -> list[Run]:
        """Its runs, newest first.

        Args:
            type: accepted.
            tags: only runs with these, ``{"key": "value"}`` or the name of one.
            properties: accepted.
            include_children: accepted: there are none.
        """
        wanted: Tags = tags if isinstance(tags, dict) else {}
        runs = [Run(self, run_id) for run_id in self._store.runs_of(self._name)]
        return [
            run
            for run in runs
            if (not isinstance(tags, str) or tags in run.get_tags())
            and all(run.get_tags().get(key) == value for key, value in wanted.items())
        ]

    def __repr__(self) -> str:
        return f"Experiment(name={self._name!r}, workspace={self._workspace!r})"
