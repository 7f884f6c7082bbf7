"""The forms of requests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_runtime.nocode.errors import Refused
from mooring_runtime.nocode.payload import read

ROWS = [[1, 2.5], [3, 4]]


@pytest.mark.parametrize(
    ("body", "columns"),
    [
        ({"data": ROWS}, None),
        ({"data": ROWS, "method": "predict"}, None),
        ({"inputs": ROWS}, None),
        ({"instances": ROWS}, None),
        (ROWS, None),
        ({"dataframe_split": {"columns": ["a", "b"], "data": ROWS}}, ["a", "b"]),
        ({"dataframe_split": {"columns": ["a", "b"], "index": [0, 1], "data": ROWS}}, ["a", "b"]),
        ({"dataframe_split": {"data": ROWS}}, None),
        ({"input_data": {"columns": [0, 1], "data": ROWS}}, ["0", "1"]),
        ({"dataframe_records": [{"a": 1, "b": 2.5}, {"b": 4, "a": 3}]}, ["a", "b"]),
        ({"data": [{"a": 1, "b": 2.5}, {"a": 3, "b": 4}]}, ["a", "b"]),
        ("a,b\n1,2.5\n3,4\n", ["a", "b"]),
        ('\r\n"a",b\r\n1,2.5\r\n\r\n3,4', ["a", "b"]),
    ],
)
def test_rows(body: Any, columns: list[str] | None) -> None:
    payload = read(body if isinstance(body, str) else json.dumps(body))
    assert (payload.rows, payload.columns, payload.named) == (ROWS, columns, None)


def test_columns_methods_and_parameters() -> None:
    payload = read('{"inputs": {"a": [1], "b": [2]}, "method": "predict", "params": {"x": 1}}')
    assert (payload.named, payload.rows) == ({"a": [1], "b": [2]}, None)
    assert (payload.method, payload.params) == ("predict", {"x": 1})
    assert read('{"x": [[1]]}', ("x",)).named == {"x": [[1]]}
    assert read('{"data": [[1]]}', ("x",)).rows == [[1]]
    assert read('{"data": [[1]]}', ("data", "other")).named == {"data": [[1]]}
    missing = read('{"dataframe_records": [{"a": 1}, {"b": true}]}')
    assert (missing.columns, missing.rows) == (["a", "b"], [[1, None], [None, True]])
    assert read("a,b,c\ntrue,,Oslo\n").rows == [[True, None, "Oslo"]]
    assert read('{"data": [[NaN, 1]]}').rows[0][1] == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "The body is empty"),
        ("[1,", "The body is not JSON: "),
        ('{"data": [1}', "The body is not JSON: "),
        ("hello", "neither a JSON object or list, nor CSV"),
        ("a,b\n1,2,3\n", "2 names in its first line but 3 values in row 0"),
        ("{}", "exactly one of the keys data, inputs, "),
        ('{"dta": []}', "it has dta. Did you mean 'data'?"),
        ('{"data": [], "inputs": []}', "it has data, inputs"),
        ('{"data": [[1]], "metod": "predict"}', "Unknown key 'metod' in the request. Did you mean 'method'?"),
        ('{"data": 3}', "'data' must be a list of rows or an object of columns, but it is a number"),
        ('{"dataframe_records": {}}', "'dataframe_records' must be a list of rows, but it is an object"),
        ('{"dataframe_records": [[1]]}', "Row 0 of 'dataframe_records' must be an object"),
        ('{"data": [{"a": 1}, [2]]}', "Row 1 of 'data' must be an object like the rows before it"),
        ('{"dataframe_split": [[1]]}', "'dataframe_split' must be {\"columns\""),
        ('{"dataframe_split": {"data": [], "column": []}}', "Did you mean 'columns'?"),
        ('{"dataframe_split": {"columns": ["a", "a"], "data": []}}', "different names"),
        (
            '{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [1]]}}',
            "Row 1 of 'dataframe_split' must be a list of 2 values, one a column, but it has 1",
        ),
    ],
)
def test_what_is_refused(body: str, message: str) -> None:
    with pytest.raises(Refused) as caught:
        read(body)
    assert message in str(caught.value)
    assert caught.value.mooring_status == 400


@given(st.one_of(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps)))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        payload = read(text)
    except Refused as exc:
        assert str(exc)
    else:
        assert payload.rows is not None or payload.named is not None
