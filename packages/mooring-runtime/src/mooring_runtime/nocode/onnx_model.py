"""ONNX models, by ONNX Runtime."""

import numpy
import onnxruntime

from . import arrays, batches
from .batches import Job
from .errors import Refused, listed, nearest, shown
from .payload import read

TYPES = {
    "tensor(float)": numpy.float32,
    "tensor(double)": numpy.float64,
    "tensor(float16)": numpy.float16,
    "tensor(int8)": numpy.int8,
    "tensor(int16)": numpy.int16,
    "tensor(int32)": numpy.int32,
    "tensor(int64)": numpy.int64,
    "tensor(uint8)": numpy.uint8,
    "tensor(uint16)": numpy.uint16,
    "tensor(uint32)": numpy.uint32,
    "tensor(uint64)": numpy.uint64,
    "tensor(bool)": numpy.bool_,
    "tensor(string)": numpy.object_,
}
FLOATS = (numpy.float32, numpy.float64, numpy.float16)
PROBE_VALUES = 1000000


class Onnx:
    """An ONNX model as a service.

    Args:
        path: the model's file.

    Attributes:
        session: ONNX Runtime's.
        inputs: by name.
        single: the input's name if there is only one that must be given.
        row_wise: whether requests may share a call; tried out, as no description says so.
    """

    def __init__(self, path):
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        given = {item.name for item in self.session.get_overridable_initializers()}
        self.inputs = {item.name: item for item in self.session.get_inputs() if item.name not in given}
        self.outputs = self.session.get_outputs()
        self.single = next(iter(self.inputs)) if len(self.inputs) == 1 else None
        self.row_wise = self.single is not None and self.scores_rows_alone(self.inputs[self.single])

    def scores_rows_alone(self, item):
        """Whether some random rows have the same results together as alone."""
        shape = item.shape
        if TYPES.get(item.type) not in FLOATS or not shape or isinstance(shape[0], int):
            return False
        if not all(isinstance(size, int) for size in shape[1:]) or numpy.prod(shape[1:]) > PROBE_VALUES:
            return False
        rows = numpy.random.RandomState(0).normal(size=[3, *shape[1:]]).astype(TYPES[item.type])
        try:
            together = batches.split(self.results({item.name: rows}), [1, 1, 1])
            alone = [self.results({item.name: row[None]}) for row in rows]
        except Exception:  # noqa: BLE001 - the runtime has no common class; such rows are simply not put together
            return False
        return together is not None and all(same(one, other) for one, other in zip(together, alone))

    def read(self, text):
        """The `Job` of a request: the inputs by name, or the only input's value.

        Raises:
            Refused: the request does not fit the model.
        """
        payload = read(text, tuple(self.inputs))
        if payload.method not in (None, "predict"):
            raise Refused(
                "An ONNX model has no methods, but {!r} was asked for.{}".format(
                    payload.method, nearest(payload.method, ("predict",))
                )
            )
        feed = self.feed(payload)
        if self.row_wise and len(feed[self.single]):
            array = feed[self.single]
            group = (array.shape[1:], array.dtype.str)
            return Job(lambda rows: self.results({self.single: rows}), array, arrays.plain, group)
        return Job(self.results, feed, arrays.plain)

    def results(self, feed):
        """The outputs by name.

        Raises:
            Refused: the runtime does not accept the inputs.
        """
        try:
            values = self.session.run(None, feed)
        except onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument as exc:
            raise Refused("The model does not accept the data: {}".format(str(exc).splitlines()[0])) from exc
        return {item.name: value for item, value in zip(self.outputs, values)}

    def feed(self, payload):
        """The inputs' arrays by name.

        Raises:
            Refused: an input is missing, unknown, or of another shape or type.
        """
        if payload.named is not None and self.single not in payload.named and self.wide(payload.named):
            return {self.single: self.array(self.single, self.beside(payload.named, payload.key))}
        named = payload.named
        if named is None:
            if self.single is not None:
                return {self.single: self.array(self.single, payload.rows)}
            if payload.columns is None:
                raise Refused("The model has the inputs {}; name each.".format(listed(self.inputs)))
            named = dict(zip(payload.columns, [list(column) for column in zip(*payload.rows)]))
        unknown = [name for name in named if name not in self.inputs]
        if unknown:
            raise Refused(
                "The model has no input {!r}; it has {}.{}".format(
                    unknown[0], listed(self.inputs), nearest(unknown[0], self.inputs)
                )
            )
        missing = [name for name in self.inputs if name not in named]
        if missing:
            raise Refused(
                "The input {!r} is missing; the model has {}.".format(missing[0], listed(self.inputs))
            )
        return {name: self.array(name, value) for name, value in named.items()}

    def wide(self, named):
        """Whether a dictionary is a table for the only input: as many columns as it has features."""
        if self.single is None:
            return False
        shape = self.inputs[self.single].shape
        return len(shape) == 2 and len(named) > 1 and shape[1] == len(named)

    @staticmethod
    def beside(named, key):
        """Columns as rows."""
        return arrays.column_matrix(named, list(named), key)

    def array(self, name, value):
        """One input's array.

        Raises:
            Refused: see `feed`.
        """
        item = self.inputs[name]
        wanted = TYPES.get(item.type)
        array = arrays.matrix(value if isinstance(value, list) else [value], name)
        if not isinstance(value, list):
            array = array.reshape(())
        if array.dtype.kind == "O" and wanted is not numpy.object_:
            place = arrays.first_text(array, None)
            raise Refused(
                "The input {!r} takes {}, but {}.".format(name, item.type, place or shown(value) + " came")
            )
        if wanted is not None and numpy.dtype(wanted).kind in "iub" and array.dtype.kind == "f":
            raise Refused(
                "The input {!r} takes {}, but numbers with fractions or nulls came.".format(name, item.type)
            )
        check_shape(name, item.shape, array.shape)
        # A call for several requests must not meet a request that has another type than the input.
        return array if wanted is None else array.astype(wanted, copy=False)

    def contract(self):
        """What the front must know: see the worker's ``contract``."""
        properties = {
            item.name: {
                "type": "array",
                "items": {},
                "description": "{} {}".format(item.type, dimensions(item.shape)),
            }
            for item in self.inputs.values()
        }
        results = {
            item.name: {
                "type": "array",
                "items": {},
                "description": "{} {}".format(item.type, dimensions(item.shape)),
            }
            for item in self.outputs
        }
        return {
            "input": {"type": "object", "required": list(properties), "properties": properties},
            "output": {"type": "object", "properties": results},
        }


def same(one, other):
    """Whether two results by output name are equal but for rounding."""
    for name, value in one.items():
        if not isinstance(value, numpy.ndarray) or value.dtype.kind not in "iufb":
            if arrays.plain(value) != arrays.plain(other[name]) and not near(value, other[name]):
                return False
        elif value.shape != other[name].shape or not numpy.allclose(value, other[name], 1e-4, 1e-6, True):
            return False
    return True


def near(one, other):
    """The same for lists of objects with numbers."""
    if not batches.is_records(one) or len(one) != len(other):
        return False
    return all(
        set(a) == set(b) and all(abs(a[key] - b[key]) <= 1e-4 for key in a) for a, b in zip(one, other)
    )


def check_shape(name, expected, came):
    """Compares an input's shape with the model's.

    Raises:
        Refused: the shapes differ in a dimension that is fixed.
    """
    fits = len(expected) == len(came) and all(
        not isinstance(size, int) or size == given for size, given in zip(expected, came)
    )
    # A model without shapes says nothing.
    if expected and not fits:
        raise Refused(
            "The input {!r} has the shape {}, but {} came.".format(
                name, dimensions(expected), dimensions(came)
            )
        )


def dimensions(shape):
    """``[batch, 4]``; a dimension of any size is ``?``."""
    return "[{}]".format(", ".join("?" if size is None else str(size) for size in shape))
