from __future__ import annotations

import mlflow
import pytest

from mooring.mlflow.experiment import DefaultExperiment


@pytest.mark.parametrize(
    ("uri", "ours"),
    [
        ("mooring", True),
        ("mooring+http://h:1/mooring/v1/subscriptions/s/resourceGroups/g/workspaces/w/mlflow", True),
        ("http://h:1/mooring/v1/subscriptions/s/resourceGroups/g/workspaces/w/mlflow", True),
        ("azureml://eastus.api.azureml.ms/mlflow/v1.0/subscriptions/s", True),
        ("http://mlflow.example", False),
        ("databricks", False),
    ],
)
def test_it_speaks_for_workspaces_only(uri: str, ours: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: uri)
    assert DefaultExperiment().in_context() is ours
