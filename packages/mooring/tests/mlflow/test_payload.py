from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mooring.mlflow.payload import body_of

ROWS = pd.DataFrame({"a": [1, 2], "b": [0.5, float("nan")], "c": ["x", "ü"]}, index=[7, 9])


@pytest.mark.parametrize(
    ("inputs", "request_"),
    [
        (ROWS, {"dataframe_split": {"columns": ["a", "b", "c"], "data": [[1, 0.5, "x"], [2, None, "ü"]]}}),
        (ROWS["a"], {"dataframe_split": {"columns": ["a"], "data": [[1], [2]]}}),
        (np.array([[1.5, 2]]), {"inputs": [[1.5, 2.0]]}),
        ([[1, 2]], {"inputs": [[1, 2]]}),
        ([{"a": np.int64(1)}], {"dataframe_records": [{"a": 1}]}),
        ({"a": np.array([1, 2])}, {"inputs": {"a": [1, 2]}}),
        ({"instances": [[1]], "params": {"n": 1}}, {"instances": [[1]], "params": {"n": 1}}),
        ({"data": [[1]]}, {"data": [[1]]}),
        ('{"inputs": [1]}', {"inputs": [1]}),
        (b'{"inputs": [1]}', {"inputs": [1]}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_kind_of_input_becomes_a_form_of_mlflows(inputs: Any, request_: dict[str, Any]) -> None:
    assert json.loads(body_of(inputs)) == request_


def test_numbers_keep_their_digits_and_dates_are_iso() -> None:
    rows = pd.DataFrame({"x": [0.1 + 0.2], "t": pd.to_datetime(["2026-01-02T03:04:05"])})
    ((number, date),) = json.loads(body_of(rows))["dataframe_split"]["data"]
    assert number == pytest.approx(0.1 + 0.2, abs=1e-15)
    assert date.startswith("2026-01-02T03:04:05")


def test_what_json_has_not_is_refused() -> None:
    with pytest.raises(TypeError, match="set cannot be sent as JSON"):
        body_of({"inputs": {1, 2}})
