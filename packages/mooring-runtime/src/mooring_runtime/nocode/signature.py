"""MLflow's signature of a model, enforced on a request's rows without pandas where all is numbers."""

import numpy

from . import arrays
from .errors import Refused, listed, shown
from .payload import kind

# The types of columns; their NumPy types are those that MLflow gives them.
NUMBERS = {
    "boolean": numpy.bool_,
    "integer": numpy.int32,
    "long": numpy.int64,
    "float": numpy.float32,
    "double": numpy.float64,
}


class Columns:
    """A signature with named columns of simple types.

    Args:
        inputs: the entries of the signature: ``name`` and ``type``.

    Attributes:
        names: in the signature's order.
        types: NumPy's; None for a text.
        numbers: NumPy's type that all columns have in common; None if there are texts.
    """

    def __init__(self, inputs):
        self.names = [item["name"] for item in inputs]
        self.kinds = [item["type"] for item in inputs]
        self.types = [NUMBERS.get(kind) for kind in self.kinds]
        whole = None not in self.types and ("boolean" not in self.kinds or len(set(self.kinds)) == 1)
        self.numbers = numpy.result_type(*self.types) if whole else None
        self._uniform = self.kinds[0] if len(set(self.kinds)) == 1 else None

    def rows(self, payload):
        """The rows with the signature's columns in its order.

        Raises:
            Refused: a column is missing, or a row has another number of values.
        """
        rows = arrays.in_order(payload, self.names)
        if not rows:
            raise Refused("There are no rows in {!r}.".format(payload.key))
        if not isinstance(rows[0], list) and len(self.names) == 1:
            rows = [[value] for value in rows]
        for number, row in enumerate(rows):
            if not isinstance(row, list) or len(row) != len(self.names):
                raise Refused(
                    "Row {} of {!r} must be a list of {} values ({}), but it {}.".format(
                        number,
                        payload.key,
                        len(self.names),
                        listed(self.names),
                        "has {}".format(len(row)) if isinstance(row, list) else "is " + kind(row),
                    )
                )
        return rows

    def matrix(self, payload):
        """The rows as an array of the type `numbers`.

        Raises:
            Refused: a value does not have its column's type.
        """
        rows = self.rows(payload)
        array = arrays.matrix(rows, payload.key)
        if self._uniform in ("double", "float") and array.dtype.kind in "iufb":
            return array.astype(self.numbers, copy=False)
        if self._uniform in ("long", "integer") and array.dtype.kind == "i":
            self.check_range(0, array)
            return array.astype(self.numbers, copy=False)
        typed = [self.column(place, [row[place] for row in rows]) for place in range(len(self.names))]
        return numpy.stack([column.astype(self.numbers, copy=False) for column in typed], 1)

    def table(self, payload):
        """The rows as a pandas table.

        Raises:
            Refused: a value does not have its column's type.
        """
        import pandas

        rows = self.rows(payload)
        columns = {}
        for place, name in enumerate(self.names):
            columns[name] = self.column(place, [row[place] for row in rows])
        return pandas.DataFrame(columns)

    def column(self, place, values):
        """One column's values as an array of its type.

        Raises:
            Refused: the first value that does not have it.
        """
        wanted = self.types[place]
        if wanted is None:
            for number, value in enumerate(values):
                if isinstance(value, (list, dict)):
                    raise self.mismatch(place, number, value)
            return numpy.array(values, dtype=object)
        array = numpy.array(values, dtype=object)
        if array.ndim != 1:
            number = next(i for i, value in enumerate(values) if isinstance(value, (list, dict)))
            raise self.mismatch(place, number, values[number])
        whole = self.kinds[place] in ("integer", "long")
        for number, value in enumerate(values):
            if not self.fits(place, value, whole):
                raise self.mismatch(place, number, value)
        if whole:
            array = numpy.array([int(value) for value in values], dtype=object)
            self.check_range(place, array)
        return array.astype(wanted)

    def fits(self, place, value, whole):
        """Whether a value can be one of the column's without a loss."""
        if isinstance(value, (list, dict)):
            return False
        if self.kinds[place] == "boolean":
            return value is True or value is False or (value in (0, 1) and isinstance(value, (int, float)))
        if value is None:
            return not whole
        try:
            number = float(value)
        except (ValueError, OverflowError):
            return False
        return not whole or number.is_integer()

    def check_range(self, place, array):
        """Looks at the size of integers.

        Raises:
            Refused: an integer is too large for 32 bits, or for 64.
        """
        limits = numpy.iinfo(self.types[place])
        low, high = array.min(), array.max()
        if low < limits.min or high > limits.max:
            raise Refused(
                "The column {!r} has the type {}, but {} is outside its range.".format(
                    self.names[place], self.kinds[place], low if low < limits.min else high
                )
            )

    def mismatch(self, place, number, value):
        """The error for a value that is not of its column's type."""
        return Refused(
            "The column {!r} has the type {}, but row {} has {}.".format(
                self.names[place], self.kinds[place], number, shown(value)
            )
        )


class Tensor:
    """A signature with one array without a name.

    Args:
        item: the entry of the signature: ``tensor-spec`` with ``dtype`` and ``shape``.
    """

    names = None

    def __init__(self, item):
        self.type = numpy.dtype(item["tensor-spec"]["dtype"])
        self.shape = item["tensor-spec"]["shape"]

    def matrix(self, payload):
        """The rows as an array of the signature's type and shape.

        Raises:
            Refused: they have another one.
        """
        rows = payload.rows
        if rows is None:
            names = list(payload.named)
            rows = arrays.column_matrix(payload.named, names, payload.key)
        array = arrays.matrix(rows, payload.key)
        fits = array.ndim == len(self.shape) and all(
            wanted in (-1, came) for wanted, came in zip(self.shape, array.shape)
        )
        if not fits:
            raise Refused(
                "The model takes an array of the shape {}, but {!r} has {}.".format(
                    self.dimensions(self.shape), payload.key, self.dimensions(array.shape)
                )
            )
        if array.dtype.kind == "O" and self.type.kind in "iufb":
            try:
                return array.astype(self.type)
            except (TypeError, ValueError):
                place = arrays.first_text(array, None) or "not all values are numbers"
                raise Refused("The model takes {} values, but {}.".format(self.type.name, place)) from None
        if self.type.kind in "iu" and array.dtype.kind == "f" and not (array == numpy.floor(array)).all():
            raise Refused(
                "The model takes {} values, but numbers with fractions came.".format(self.type.name)
            )
        return array.astype(self.type, copy=False)

    @staticmethod
    def dimensions(shape):
        """``[?, 4]``."""
        return "[{}]".format(", ".join("?" if size == -1 else str(size) for size in shape))


def of(plan):
    """The signature of a plan that asks for a native flavour; None without one."""
    inputs = plan["inputs"]
    if not inputs:
        return None
    return Tensor(inputs[0]) if inputs[0]["type"] == "tensor" else Columns(inputs)
