"""The forms of a request: Azure's ``data``, MLflow's and TensorFlow Serving's, and CSV."""

import csv
import io
import json

from .errors import Refused, listed, nearest

try:
    from orjson import loads as fast_loads
except ImportError:
    fast_loads = json.loads

# Which key holds the data; the value may have the same forms for all but the DataFrame's own.
DATA_KEYS = ("data", "inputs", "instances", "dataframe_split", "dataframe_records", "input_data")
OTHER_KEYS = ("method", "params")


class Payload:
    """A request's data.

    Attributes:
        key: one of `DATA_KEYS`; ``csv``; or ``list`` for a body that is a list.
        columns: the columns' names as the request gives them; None if it gives none.
        rows: a list of rows (lists, or values); None if the request gives columns.
        named: a dictionary of columns; None if the request gives rows.
        method: the method asked for, or None.
        params: of the prediction, or None.
        whole: the JSON object; None for another body.
    """

    __slots__ = ("columns", "key", "method", "named", "params", "rows", "whole")

    def __init__(self, key, rows=None, columns=None, named=None, whole=None):
        self.key = key
        self.rows = rows
        self.columns = columns
        self.named = named
        self.whole = whole
        self.method = whole.get("method") if whole else None
        self.params = whole.get("params") if whole else None


def read(text, names=()):
    """The payload in a body.

    A body that begins with neither ``{`` nor ``[`` is CSV: every JSON form begins so.

    Args:
        text: the body.
        names: of inputs; a JSON object with only these as keys is a dictionary of columns.

    Raises:
        Refused: there is none.
    """
    start = text.lstrip()[:1]
    if not start:
        raise Refused('The body is empty; expected {"data": [[...], ...]}.')
    if start not in "{[":
        return from_csv(text)
    body = loads(text)
    if isinstance(body, list):
        return from_value("list", body, None)
    keys = [key for key in DATA_KEYS if key in body]
    if names and not (keys and keys[0] not in names) and set(body) <= {*names, "method"}:
        return Payload("inputs", named={k: v for k, v in body.items() if k != "method"}, whole=body)
    if len(keys) != 1:
        found = "it has {}".format(listed(sorted(body))) if body else "it is empty"
        hint = nearest(next(iter(body)), DATA_KEYS) if len(body) == 1 and not keys else ""
        raise Refused(
            "The JSON object must have exactly one of the keys {}; {}.{}".format(
                listed(DATA_KEYS), found, hint
            )
        )
    for name in body:
        if name not in OTHER_KEYS and name != keys[0]:
            raise Refused("Unknown key {!r} in the request.{}".format(name, nearest(name, OTHER_KEYS)))
    return from_value(keys[0], body[keys[0]], body)


def loads(text):
    """JSON text as Python objects.

    Raises:
        Refused: it is not JSON.
    """
    try:
        return fast_loads(text)
    except ValueError:
        # orjson is stricter than what Python writes (NaN).
        try:
            return json.loads(text)
        except ValueError as exc:
            raise Refused("The body is not JSON: {}.".format(exc)) from exc
    except RecursionError:
        raise Refused("The body is nested too deeply.") from None


def from_value(key, value, whole):
    """The payload of the value below a key."""
    if key == "dataframe_split" or (key == "input_data" and isinstance(value, dict) and "data" in value):
        return from_split(key, value, whole)
    if isinstance(value, dict) and key != "dataframe_records":
        return Payload(key, named=value, whole=whole)
    if not isinstance(value, list):
        raise Refused(
            "{!r} must be a list of rows{}, but it is {}.".format(
                key, "" if key == "dataframe_records" else " or an object of columns", kind(value)
            )
        )
    if value and isinstance(value[0], dict):
        return from_records(key, value, whole)
    if key == "dataframe_records" and value:
        raise Refused("Row 0 of 'dataframe_records' must be an object, but it is {}.".format(kind(value[0])))
    return Payload(key, rows=value, whole=whole)


def from_split(key, value, whole):
    """A DataFrame in pandas' orientation ``split``."""
    if not isinstance(value, dict) or not isinstance(value.get("data"), list):
        raise Refused('{!r} must be {{"columns": [...], "data": [[...], ...]}}.'.format(key))
    unknown = [name for name in value if name not in ("columns", "data", "index")]
    if unknown:
        raise Refused(
            "Unknown key {!r} in {!r}.{}".format(
                unknown[0], key, nearest(unknown[0], ("columns", "data", "index"))
            )
        )
    columns = value.get("columns")
    if columns is not None:
        if not isinstance(columns, list) or len(set(map(str, columns))) != len(columns):
            raise Refused("'columns' in {!r} must be a list of different names.".format(key))
        columns = [name if isinstance(name, str) else str(name) for name in columns]
        for number, row in enumerate(value["data"]):
            if not isinstance(row, list) or len(row) != len(columns):
                raise Refused(
                    "Row {} of {!r} must be a list of {} values, one a column{}.".format(
                        number,
                        key,
                        len(columns),
                        ", but it has {}".format(len(row)) if isinstance(row, list) else "",
                    )
                )
    return Payload(key, rows=value["data"], columns=columns, whole=whole)


def from_records(key, records, whole):
    """Rows that are objects; a value that a row does not have is null, as in pandas."""
    columns = {}
    for number, record in enumerate(records):
        if not isinstance(record, dict):
            raise Refused(
                "Row {} of {!r} must be an object like the rows before it, but it is {}.".format(
                    number, key, kind(record)
                )
            )
        for name in record:
            if name not in columns:
                columns[name] = None
    return Payload(
        key, rows=[[r.get(c) for c in columns] for r in records], columns=list(columns), whole=whole
    )


def from_csv(text):
    """A table with the columns' names in its first line; an empty field is null."""
    try:
        lines = [line for line in csv.reader(io.StringIO(text.lstrip("\r\n"), newline="")) if line]
    except csv.Error as exc:
        raise Refused("The body is neither a JSON object or list, nor CSV: {}.".format(exc)) from exc
    columns = lines[0] if lines else []
    rows = []
    for number, line in enumerate(lines[1:]):
        if len(line) != len(columns):
            raise Refused(
                "The body begins like neither a JSON object nor a list, and as CSV it has {} names in its first "
                "line but {} values in row {}.".format(len(columns), len(line), number)
            )
        rows.append([value_of(field) for field in line])
    if not rows:
        raise Refused("The body is neither a JSON object or list, nor CSV with a line of names and rows.")
    return Payload("csv", rows=rows, columns=columns)


def value_of(field):
    """A field of a CSV file as the value that pandas would read."""
    if not field:
        return None
    for convert in (int, float):
        try:
            return convert(field)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(field.lower(), field)


def kind(value):
    """A caller's word for the JSON type of a value."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
