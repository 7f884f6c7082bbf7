from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mooring_runtime.testing import running
from mooring_runtime.worker import model_data
from mooring_runtime.worker.model_data import ADDED, CORRELATION, ModelDataCollector

Logged = Callable[[], str]


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AML_APP_ROOT", str(tmp_path))
    monkeypatch.setenv("AML_MODEL_DC_STORAGE_ENABLED", "true")
    return tmp_path / "modeldata"


def rows(folder: Path) -> list[dict[str, str]]:
    (path,) = folder.rglob("data.csv")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


class Frame:
    """Stands in for a pandas DataFrame: what is asked of it."""

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self.columns = list(columns)
        self._data = columns

    @property
    def values(self) -> Frame:
        return self

    def tolist(self) -> list[list[Any]]:
        return [list(row) for row in zip(*self._data.values(), strict=True)]

    def assign(self, **more: list[Any]) -> Frame:
        return Frame({**self._data, **more})


def test_the_path_and_the_columns(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_NAME", "svc")
    inputs = ModelDataCollector("m/../x", "inputs", ["a", "b"], model_version="3")
    ids = inputs.collect([[1, "two, quoted"], [3, None]])
    assert ids is not None
    (path,) = kept.rglob("data.csv")
    pattern = r"default/default/default/svc/m_.._x/3/inputs/\d{4}/\d\d/\d\d/data.csv"
    assert re.fullmatch(pattern, str(path.relative_to(kept)))
    first, second = rows(kept)
    assert list(first) == ["a", "b", *ADDED]
    assert (first["a"], first["b"], second["a"], second["b"]) == ("1", "two, quoted", "3", "")
    assert [first[CORRELATION], second[CORRELATION]] == ids
    assert (first["$aml_service_name"], first["$aml_model_version"]) == ("svc", "3")


def test_predictions_carry_the_ids_of_their_inputs(kept: Path) -> None:
    numpy = pytest.importorskip("numpy")
    inputs, predictions = ModelDataCollector("m", "inputs"), ModelDataCollector("m", "predictions")
    ids = inputs.collect(numpy.arange(6).reshape(3, 2))
    assert predictions.collect(predictions.add_correlations(numpy.array([0.5, 1.5, 2.5]), ids)) is None
    seen = rows(kept / "default/default/default/default/m/default/predictions")
    assert [(row["0"], row[CORRELATION]) for row in seen] == list(
        zip(["0.5", "1.5", "2.5"], ids, strict=True)
    )


def test_frames(kept: Path) -> None:
    labels = ModelDataCollector("m", "labels")
    labels.collect(labels.add_correlations(Frame({"x": [1, 2], "y": ["a", "b"]}), ["id1", "id2"]))
    assert [(row["x"], row["y"], row[CORRELATION]) for row in rows(kept)] == [
        ("1", "a", "id1"),
        ("2", "b", "id2"),
    ]


def test_plain_values_are_one_row_and_the_default_designation_is_general(kept: Path) -> None:
    collector = ModelDataCollector("m")
    collector.collect([1, 2.5], user_correlation_id="mine")
    collector.collect([3, 4])
    seen = rows(kept / "default/default/default/default/m/default/general")
    assert [(row["0"], row["1"]) for row in seen] == [("1", "2.5"), ("3", "4")]
    assert seen[0][CORRELATION] == "mine"


def test_nothing_is_kept_unless_it_is_enabled(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AML_MODEL_DC_STORAGE_ENABLED")
    assert ModelDataCollector("m", "inputs").collect([1]) is not None
    assert not kept.exists()


def test_debug_prints(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AML_MODEL_DC_DEBUG", "true")
    ModelDataCollector("m", feature_names=["a"]).collect([[17]])
    assert "a,$aml_dc_correlation_id" in capsys.readouterr().out


@pytest.mark.parametrize("data", [5, object(), None, "text", [[1] * 200000], [["x" * (2 << 20)]]])
def test_what_cannot_be_kept_is_told_and_fails_nothing(data: object, logged: Logged, kept: Path) -> None:
    collector = ModelDataCollector("m", "inputs")
    for _ in range(2):
        assert collector.collect(data) is None
    assert logged().count("model data was not kept") == 1
    assert not list(kept.rglob("data.csv"))
    assert collector.add_correlations([1], None) == [1]


def test_it_is_bounded(kept: Path, logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_data, "MAX_FILE", 1000)
    collector = ModelDataCollector("m")
    for _ in range(20):
        collector.collect(["x" * 100])
    (path,) = kept.rglob("data.csv")
    assert path.stat().st_size <= 1000
    assert "the rest of the day is left out" in logged()


def test_old_days_go(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_data, "DAYS", 3)
    base = kept / "default/default/default/default/m/default/general"
    for day in range(1, 6):
        old = base / "2020" / "01" / f"{day:02}" / "data.csv"
        old.parent.mkdir(parents=True)
        old.touch()
    ModelDataCollector("m").collect([1])
    left = sorted(path.parent.relative_to(base).as_posix() for path in base.rglob("data.csv"))
    assert left[:2] == ["2020/01/04", "2020/01/05"]
    assert len(left) == 3
    assert not (base / "2020" / "01" / "01").exists()


def test_a_script_imports_it_and_a_full_disk_fails_no_request(tmp_path: Path) -> None:
    score = """
from azureml.monitoring import ModelDataCollector
def init():
    global inputs, predictions
    inputs = ModelDataCollector("best_model", designation="inputs", feature_names=["feat1"])
    predictions = ModelDataCollector("best_model", designation="predictions", feature_names=["prediction1"])
def run(data):
    ids = inputs.collect([[data]])
    predictions.collect(predictions.add_correlations([[data + "!"]], ids))
    return data
"""
    env = {"AML_MODEL_DC_STORAGE_ENABLED": "true", "AML_MODEL_DC_STORAGE": str(tmp_path / "kept")}
    with running(tmp_path) as service:
        service.apply(score, env=env, workers=2)
        service.ready()
        assert [service.post(b"a").json() for _ in range(4)] == ["a"] * 4
        predictions = rows(
            tmp_path / "kept" / "default/default/default/default/best_model/default/predictions"
        )
        assert [row["prediction1"] for row in predictions] == ["a!"] * 4
        (tmp_path / "file").touch()
        service.apply(score, env={**env, "AML_MODEL_DC_STORAGE": str(tmp_path / "file")})
        service.ready()
        assert service.post(b"a").json() == "a"
        service.logged("model data was not kept: NotADirectoryError")
