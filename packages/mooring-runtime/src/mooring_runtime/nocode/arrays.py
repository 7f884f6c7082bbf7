"""From a request's rows to arrays, and from results to what JSON knows."""

import numpy

from .errors import Refused, listed, shown
from .payload import kind


def matrix(rows, key):
    """Rows as an array; texts and numbers that are mixed stay what they are (``object``).

    A null becomes NaN where all else are numbers.

    Raises:
        Refused: the rows have different lengths, which is said of the first such row.
    """
    try:
        array = numpy.asarray(rows)
    except (ValueError, OverflowError):
        array = None
    if array is not None and array.dtype.kind in "iufb":
        return array
    check_lengths(rows, key)
    array = numpy.array(rows, dtype=object)
    numbers = all(value is None or isinstance(value, (int, float)) for value in array.flat)
    return array.astype(numpy.float64) if numbers else array


def check_lengths(rows, key):
    """Looks whether all rows are alike.

    Raises:
        Refused: a row is not like the first one.
    """
    if not rows or not isinstance(rows[0], list):
        for number, row in enumerate(rows):
            if isinstance(row, list):
                raise Refused("Row {} of {!r} is a list, but row 0 is {}.".format(number, key, kind(rows[0])))
        return
    for number, row in enumerate(rows):
        if not isinstance(row, list):
            raise Refused(
                "Row {} of {!r} must be a list like row 0, but it is {}.".format(number, key, kind(row))
            )
        if len(row) != len(rows[0]):
            raise Refused(
                "Row {} of {!r} has {} values, but row 0 has {}.".format(number, key, len(row), len(rows[0]))
            )


def column_matrix(named, names, key):
    """The columns ``names`` of a dictionary of columns as rows.

    Raises:
        Refused: a column is missing, or their lengths differ.
    """
    missing = [name for name in names if name not in named]
    if missing:
        raise Refused(missing_columns(missing, names))
    columns = [named[name] if isinstance(named[name], list) else [named[name]] for name in names]
    for name, column in zip(names, columns):
        if len(column) != len(columns[0]):
            raise Refused(
                "Column {!r} of {!r} has {} values, but column {!r} has {}.".format(
                    name, key, len(column), names[0], len(columns[0])
                )
            )
    return [list(row) for row in zip(*columns)]


def missing_columns(missing, names):
    """The sentence for columns that are not there."""
    if len(missing) == 1:
        return "The column {} is missing; the model takes {}.".format(missing[0], listed(names))
    return "The columns {} are missing; the model takes {}.".format(listed(missing), listed(names))


def in_order(payload, names):
    """The payload's rows with the columns ``names`` in that order; columns that are not asked for are left out.

    Raises:
        Refused: a column is missing.
    """
    if payload.named is not None:
        return column_matrix(payload.named, names, payload.key)
    if payload.columns is None or payload.columns == names:
        return payload.rows
    missing = [name for name in names if name not in payload.columns]
    if missing:
        raise Refused(missing_columns(missing, names))
    places = [payload.columns.index(name) for name in names]
    return [[row[place] for place in places] for row in payload.rows]


def first_text(array, names):
    """Where the first value stands that is no number, for a sentence; None if all are numbers."""
    if array.dtype.kind != "O" or array.ndim != 2:
        return None
    for row, values in enumerate(array):
        for column, value in enumerate(values):
            if not isinstance(value, (int, float)) and value is not None:
                where = "column {!r}".format(names[column]) if names else "column {}".format(column)
                return "row {}, {} is {}".format(row, where, shown(value))
    return None


def plain(value):
    """What JSON knows of arrays, NumPy's numbers, sparse matrices and pandas' tables, in any nesting."""
    if isinstance(value, numpy.ndarray):
        return value.tolist() if value.dtype.kind in "biufUM" else [plain(item) for item in value.tolist()]
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    for method in ("toarray", "to_numpy"):
        if hasattr(value, method):
            return plain(getattr(value, method)())
    return value.item() if isinstance(value, numpy.generic) else value
