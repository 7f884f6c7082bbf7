"""MLflow's signatures on requests."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from mooring_runtime.nocode import description
from mooring_runtime.nocode.errors import Refused
from mooring_runtime.nocode.payload import read
from mooring_runtime.nocode.signature import Columns, Tensor


def columns(**types: str) -> Columns:
    return Columns([{"name": name, "type": kind} for name, kind in types.items()])


def matrix(signature: Any, **body: Any) -> Any:
    return signature.matrix(read(json.dumps(body)))


def refusal(signature: Any, **body: Any) -> str:
    with pytest.raises(Refused) as caught:
        matrix(signature, **body)
    return str(caught.value)


@pytest.mark.parametrize(
    ("types", "row", "dtype", "expected"),
    [
        ({"a": "double", "b": "double"}, [1, 2.5], "float64", [1.0, 2.5]),
        ({"a": "double", "b": "double"}, ["1.5", True], "float64", [1.5, 1.0]),
        ({"a": "float", "b": "float"}, [1, 0.1], "float32", [1.0, float(np.float32(0.1))]),
        ({"a": "float", "b": "double"}, [0.1, 0.1], "float64", [float(np.float32(0.1)), 0.1]),
        ({"a": "long", "b": "long"}, [1, 2.0], "int64", [1, 2]),
        ({"a": "integer", "b": "long"}, [1, 2**40], "int64", [1, 2**40]),
        ({"a": "long", "b": "double"}, [1, 2], "float64", [1.0, 2.0]),
        ({"a": "boolean", "b": "boolean"}, [True, 0], "bool", [True, False]),
    ],
)
def test_types(types: dict[str, str], row: list[Any], dtype: str, expected: list[Any]) -> None:
    array = matrix(columns(**types), dataframe_split={"columns": ["a", "b"], "data": [row]})
    assert (array.dtype.name, array.tolist()) == (dtype, [expected])


def test_nulls_are_missing_numbers() -> None:
    array = matrix(columns(a="double", b="float"), inputs=[[None, 1]])
    assert np.isnan(array[0, 0])
    assert "column 'a' has the type long, but row 0 has None" in refusal(columns(a="long"), inputs=[[None]])


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("double", "many", "The column 'b' has the type double, but row 1 has 'many'."),
        ("double", [1], "The column 'b' has the type double, but row 1 has [1]."),
        ("long", 1.5, "The column 'b' has the type long, but row 1 has 1.5."),
        ("integer", 2**40, "The column 'b' has the type integer, but 1099511627776 is outside its range."),
        ("boolean", "yes", "The column 'b' has the type boolean, but row 1 has 'yes'."),
    ],
)
def test_values_that_do_not_fit(kind: str, value: Any, message: str) -> None:
    assert refusal(columns(a="double", b=kind), inputs=[[1, 1], [1, value]]) == message


def test_columns_that_are_not_there() -> None:
    signature = columns(a="double", b="double")
    assert refusal(signature, inputs={"a": [1]}) == "The column b is missing; the model takes a, b."
    assert "Row 0 of 'inputs' must be a list of 2 values (a, b), but it has 1." in refusal(
        signature, inputs=[[1]]
    )
    assert "is a number" in refusal(signature, inputs=[1])
    assert refusal(signature, inputs=[]) == "There are no rows in 'inputs'."
    assert matrix(columns(a="double"), inputs=[1, 2]).tolist() == [[1.0], [2.0]]


def test_tensors() -> None:
    signature = Tensor({"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}})
    assert matrix(signature, inputs=[[1, 2]]).dtype == np.float32
    assert matrix(signature, inputs={"a": [1], "b": [2]}).tolist() == [[1, 2]]
    assert (
        refusal(signature, inputs=[[1]])
        == "The model takes an array of the shape [?, 2], but 'inputs' has [1, 1]."
    )
    assert "row 0, column 1 is 'x'" in refusal(signature, inputs=[[1, "x"]])
    whole = Tensor({"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}})
    assert "fractions" in refusal(whole, inputs=[1.5])


def test_the_description() -> None:
    plan: dict[str, Any] = {
        "inputs": [{"type": "double", "name": "a"}, {"type": "string", "name": "b", "required": False}],
        "outputs": [{"type": "long"}],
        "params": [{"name": "offset", "type": "long", "default": 3}],
    }
    described = description.contract(plan)
    record = described["input"]["properties"]["dataframe_records"]["items"]
    assert record["properties"] == {"a": {"type": "number", "format": "double"}, "b": {"type": "string"}}
    assert record["required"] == ["a"]
    params = described["input"]["properties"]["params"]["properties"]
    assert params == {"offset": {"type": "integer", "format": "int64", "default": 3}}
    predictions = {"type": "array", "items": {"type": "integer", "format": "int64"}}
    assert described["output"]["properties"] == {"predictions": predictions}
    assert described["input"]["example"] == {"dataframe_split": {"columns": ["a", "b"], "data": [[0.0, ""]]}}
    assert described["routes"] == ["/invocations"]
