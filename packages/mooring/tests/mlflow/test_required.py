from __future__ import annotations

import importlib.metadata
import importlib.util
from typing import Any

import pytest

from mooring.mlflow.required import check_mlflow
from mooring.sdk.exceptions import UserErrorException


@pytest.mark.parametrize(
    ("version", "code", "message"),
    [
        (None, "MlflowNotInstalled", "A run needs MLflow"),
        ("1.30.0", "MlflowTooOld", "1.30.0 is installed"),
        ("2.9.2", "MlflowTooOld", "needs MLflow 2.22 or newer"),
    ],
)
def test_a_missing_or_old_mlflow_is_named(
    monkeypatch: pytest.MonkeyPatch, version: str | None, code: str, message: str
) -> None:
    installed(monkeypatch, version)
    with pytest.raises(UserErrorException) as caught:
        check_mlflow("A run")
    assert caught.value.code == code
    assert message in caught.value.message
    assert "pip install" in caught.value.hint


@pytest.mark.parametrize("version", ["2.22.0", "2.22.5", "3.0.0rc1", "3.17.2", "10.1"])
def test_those_that_are_new_enough_pass(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    installed(monkeypatch, version)
    check_mlflow("A run")


def installed(monkeypatch: pytest.MonkeyPatch, version: str | None) -> None:
    def found(_name: str) -> str:
        if version is None:
            raise importlib.metadata.PackageNotFoundError
        return version

    def spec(_name: str, *_rest: Any) -> object | None:
        return object() if version else None

    monkeypatch.setattr(importlib.metadata, "version", found)
    monkeypatch.setattr(importlib.util, "find_spec", spec)
