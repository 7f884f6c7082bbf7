"""scikit-learn models: pickle, joblib and skops."""

import sys
import traceback
import warnings

import numpy

from . import arrays, estimators
from .batches import Job
from .errors import Refused, listed, nearest
from .payload import read

METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function", "transform", "score_samples")
ADVICE = 'Write {"data": [[...], ...]} with one list a row'


def load(path, trusted=None):
    """The estimator in a file.

    Args:
        path: a file of joblib or pickle, or of skops.
        trusted: the types that skops may load besides the known ones; None for all that are in the file, as a
            pickle may load everything.
    """
    if path.lower().endswith(".skops"):
        import skops.io

        if trusted is None:
            trusted = skops.io.get_untrusted_types(file=path)
        return skops.io.load(path, trusted=trusted)
    import joblib

    return joblib.load(path)


class ScikitLearn:
    """A fitted estimator as a service.

    Args:
        model: the estimator.

    Attributes:
        model: the estimator.
        names: of its columns; None if it was fitted without.
        width: how many features a row has, or None.
        framed: whether rows are given to it as a pandas table.
        row_wise: whether requests may share a call.
        refusals: what its methods raise for data that they do not accept.
        methods: those of `METHODS` that it has; the first is the one for requests that name none.
    """

    def __init__(self, model):
        self.model = model
        self.names = estimators.names_of(model)
        self.width = estimators.width_of(model)
        self.framed = self.names is not None and not estimators.takes_arrays(model)
        if self.names is None and not self.framed:
            # Before scikit-learn 1.0 no names were kept, but columns could be selected by name.
            self.framed = any(
                type(part).__name__ == "ColumnTransformer" and estimators.selects_by_name(part)
                for part in estimators.parts(model)
            )
        self.row_wise = not self.framed and estimators.is_row_wise(model)
        # Those that take texts look for the methods of texts.
        self.refusals = (TypeError, ValueError) if self.width else (TypeError, ValueError, AttributeError)
        self.methods = [name for name in METHODS if callable(getattr(model, name, None))]
        if "predict_proba" in self.methods:
            # Azure's choice.
            self.methods.remove("predict_proba")
            self.methods.insert(0, "predict_proba")
        # The columns are put in the order of the names here.
        warnings.filterwarnings("ignore", message="X does not have valid feature names")

    def read(self, text):
        """The `Job` of a request.

        Raises:
            Refused: the request does not fit the model.
        """
        payload = read(text)
        method = payload.method
        if method is None:
            method = self.methods[0]
        elif method not in self.methods:
            raise Refused(
                "The model has no method {!r}; it has {}.{}".format(
                    method, listed(sorted(self.methods)), nearest(method, self.methods)
                )
            )
        return self.job(payload, method, arrays.plain)

    def job(self, payload, method, wrap):
        """The `Job` for a payload.

        Raises:
            Refused: the data do not fit the model.
        """
        data = self.table(payload) if self.framed else self.matrix(payload)
        group = None
        if self.row_wise and isinstance(data, numpy.ndarray) and data.ndim == 2 and len(data):
            group = (method, data.shape[1], data.dtype.str)
        return Job(self.caller(method), data, wrap, group)

    def caller(self, method):
        """Calls a method; what it says about the data is for the caller."""
        function = getattr(self.model, method)

        def call(data):
            try:
                return function(data)
            except self.refusals as exc:
                sys.stderr.write("mooring: {}() refused its data\n{}".format(method, traceback.format_exc()))
                raise Refused(self.complaint(method, data, exc)) from exc

        return call

    def complaint(self, method, data, exc):
        """The sentence for what a method does not accept."""
        reason = (str(exc).strip().splitlines() or [type(exc).__name__])[0]
        text = "The model's {}() does not accept the data: {}".format(method, reason)
        place = arrays.first_text(data, self.names) if isinstance(data, numpy.ndarray) else None
        return text if place is None else "{}; {}".format(text.rstrip("."), place)

    def rows(self, payload):
        """The payload's rows in the model's order, and their columns' names if there are any."""
        if self.names is not None:
            return arrays.in_order(payload, self.names), self.names
        if payload.named is not None:
            names = list(payload.named)
            return arrays.column_matrix(payload.named, names, payload.key), names
        return payload.rows, payload.columns

    def matrix(self, payload):
        """The rows as an array, or as the list of texts that they are.

        Raises:
            Refused: they have another number of features than the model.
        """
        rows, _ = self.rows(payload)
        if not rows:
            raise Refused("There are no rows in {!r}. {}.".format(payload.key, ADVICE))
        if self.width is None and all(isinstance(row, str) for row in rows):
            return rows
        array = arrays.matrix(rows, payload.key)
        if self.width is not None:
            self.check_width(array, payload.key)
        return array

    def check_width(self, array, key):
        """Compares an array's shape with the model's.

        Raises:
            Refused: the array has not the model's number of columns.
        """
        features = "{} feature{}".format(self.width, "" if self.width == 1 else "s")
        if array.ndim == 2 and array.shape[1] == self.width:
            return
        if array.ndim == 1:
            raise Refused(
                "The model takes rows of {}, but {!r} is a list of {} values. {}.".format(
                    features, key, len(array), ADVICE
                )
            )
        if array.ndim > 2:
            raise Refused(
                "The model takes rows of {}, but {!r} is nested {} deep. {}.".format(
                    features, key, array.ndim, ADVICE
                )
            )
        names = " ({})".format(listed(self.names)) if self.names else ""
        raise Refused(
            "The model takes {}{} a row, but the rows in {!r} have {}.".format(
                features, names, key, array.shape[1]
            )
        )

    def table(self, payload):
        """The rows as a pandas table.

        Raises:
            Refused: they have another number of columns than the model.
        """
        import pandas

        rows, names = self.rows(payload)
        if not rows:
            raise Refused("There are no rows in {!r}. {}.".format(payload.key, ADVICE))
        if self.width is not None or names is not None:
            wanted = len(names) if names is not None else self.width
            for number, row in enumerate(rows):
                if not isinstance(row, list) or len(row) != wanted:
                    raise Refused(
                        "The model takes {} features a row ({}), but row {} of {!r} {}.".format(
                            wanted,
                            listed(names or []),
                            number,
                            payload.key,
                            "has {}".format(len(row)) if isinstance(row, list) else "is no list",
                        )
                    )
        return pandas.DataFrame(rows, columns=names)

    def contract(self):
        """What the front must know: see the worker's ``contract``."""
        width = self.width
        item = {"type": "number"} if not self.framed else {}
        row = {"type": "array", "items": item}
        example = [[0] * width] if width and not self.framed else None
        data = {"type": "array", "items": row if width else {}}
        if width:
            row.update(minItems=width, maxItems=width)
        described = {
            "type": "object",
            "required": ["data"],
            "properties": {"data": data, "method": {"type": "string", "enum": self.methods}},
        }
        if self.names:
            data["description"] = "Columns: " + ", ".join(self.names)
        if example:
            described["example"] = {"data": example, "method": self.methods[0]}
        return {"input": described, "output": {"type": "array", "items": {}}}
