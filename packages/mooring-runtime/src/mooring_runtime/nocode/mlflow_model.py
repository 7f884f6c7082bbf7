"""MLflow model folders: by their native flavour where that gives what MLflow gives, else by ``mlflow.pyfunc``."""

import os
import sys

import numpy

from . import description, signature
from .arrays import plain
from .batches import Job
from .errors import Refused
from .payload import read
from .scikit_learn import ScikitLearn
from .scikit_learn import load as load_estimator


def load(path, plan):
    """The model in a folder.

    Args:
        path: the folder with the file ``MLmodel``.
        plan: what the server has read from that file, see `mooring_server.images.mlmodel`.
    """
    if plan["code"]:
        sys.path.insert(0, os.path.join(path, plan["code"]))
    if plan["flavor"] == "sklearn":
        trusted = plan["trusted"] if plan["format"] == "skops" else None
        if plan["format"] == "skops":
            import skops.io

            model = skops.io.load(os.path.join(path, plan["data"]), trusted=trusted)
        else:
            model = load_estimator(os.path.join(path, plan["data"]))
        return Native(model, plan)
    from .pyfunc import PyFunc

    return PyFunc(path, plan)


class Native:
    """A scikit-learn model with MLflow's requests and answers.

    Args:
        model: the estimator.
        plan: see `load`.
    """

    def __init__(self, model, plan):
        self._plan = plan
        self._method = plan["predict_fn"]
        self._scorer = ScikitLearn(model)
        self._signature = signature.of(plan)
        names = self._scorer.names
        wanted = getattr(self._signature, "names", None)
        # With its columns in another order the model itself has to say so.
        misplaced = wanted is not None and names is not None and names != wanted
        texts = isinstance(self._signature, signature.Columns) and self._signature.numbers is None
        self._framed = wanted is not None and (self._scorer.framed or misplaced or texts)

    def read(self, text):
        """The `Job` of a request.

        Raises:
            Refused: the request does not fit the signature.
        """
        payload = read(text)
        if payload.method is not None:
            raise Refused("An MLflow model has no methods to choose from; leave out 'method'.")
        if self._signature is None:
            return self._scorer.job(payload, self._method, predictions)
        call = self._scorer.caller(self._method)
        if self._framed:
            return Job(call, self._signature.table(payload), predictions)
        data = self._signature.matrix(payload)
        group = None
        if self._scorer.row_wise and data.ndim == 2 and len(data):
            group = (data.shape[1], data.dtype.str)
        return Job(call, data, predictions, group)

    def contract(self):
        """What the front must know: see the worker's ``contract``."""
        return description.contract(self._plan)


def predictions(result):
    """MLflow's answer for a result."""
    if isinstance(result, numpy.ndarray):
        return {"predictions": plain(result)}
    if hasattr(result, "to_frame"):
        result = result.to_frame()
    if hasattr(result, "to_dict"):
        return {"predictions": plain(result.to_dict(orient="records"))}
    return {"predictions": plain(result)}
