"""What ``predict`` sends: the forms that MLflow's own scoring server reads."""

from __future__ import annotations

import json
from typing import Any

# A dictionary with one of these is a request as it stands; any other is columns or named tensors.
_FORMS = {"dataframe_split", "dataframe_records", "instances", "inputs", "data", "input_data"}


def body_of(inputs: Any) -> str:
    """The JSON request for inputs: a DataFrame, Series, array, list, dictionary, or JSON text.

    Raises:
        TypeError: the inputs hold something that JSON has not.
    """
    if isinstance(inputs, (str, bytes)):
        return inputs if isinstance(inputs, str) else inputs.decode()
    if hasattr(inputs, "to_frame"):
        inputs = inputs.to_frame()
    if hasattr(inputs, "to_json") and hasattr(inputs, "columns"):
        split = json.loads(inputs.to_json(orient="split", date_format="iso", double_precision=15))
        del split["index"]
        return json.dumps({"dataframe_split": split})
    if isinstance(inputs, dict):
        return json.dumps(inputs if _FORMS & set(inputs) else {"inputs": inputs}, default=_plain)
    if isinstance(inputs, (list, tuple)) and inputs and all(isinstance(row, dict) for row in inputs):
        return json.dumps({"dataframe_records": inputs}, default=_plain)
    return json.dumps({"inputs": inputs}, default=_plain)


def _plain(value: Any) -> Any:
    """Arrays and numpy's numbers."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(
        f"{type(value).__name__} cannot be sent as JSON; make it a list, an array or a DataFrame."
    )
