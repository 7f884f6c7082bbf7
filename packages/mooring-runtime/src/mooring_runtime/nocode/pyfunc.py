"""Models that need MLflow itself: its own parsing, signature and prediction."""

import inspect
import io
import json

from mlflow import pyfunc
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server

from . import description
from .batches import Job
from .errors import Refused
from .payload import DATA_KEYS, loads

# What MLflow's own server calls (2.22 and 3.17).
parse = scoring_server._parse_json_data  # noqa: SLF001 - there is no public name for it
OWN_KEYS = ("data", "input_data")


class PyFunc:
    """A model loaded by ``mlflow.pyfunc``.

    Requests do not share calls: what such a model does with its rows is its own affair.

    Args:
        path: the folder with the file ``MLmodel``.
        plan: see `mlflow_model.load`.
    """

    def __init__(self, path, plan):
        self._plan = plan
        self._model = pyfunc.load_model(path)
        self._schema = self._model.metadata.get_input_schema()
        self._takes_params = "params" in inspect.signature(self._model.predict).parameters
        named = (
            self._schema is not None and not self._schema.is_tensor_spec() and self._schema.has_input_names()
        )
        self._names = self._schema.input_names() if named else None

    def read(self, text):
        """The `Job` of a request.

        Raises:
            Refused: MLflow does not take the request.
        """
        try:
            data, params = self._parsed(text)
        except MlflowException as exc:
            raise Refused(sentence(exc)) from exc
        return Job(lambda _: self._predict(data, params), None, lambda result: result)

    def _parsed(self, text):
        start = text.lstrip()[:1]
        if not start:
            raise Refused("The body is empty; expected a JSON object or CSV.")
        if start not in "{[":
            return scoring_server.parse_csv_input(io.StringIO(text), schema=self._schema), None
        body = loads(text)
        if isinstance(body, list):
            body = {"data": body}
        body = self._mlflow_form(body)
        parsed = parse(body, self._model.metadata, self._schema)
        return parsed.data, parsed.params

    def _mlflow_form(self, body):
        """Azure's keys, and rows without names, as MLflow's keys."""
        keys = [key for key in DATA_KEYS if key in body]
        if len(keys) != 1 or keys[0].startswith("dataframe_"):
            return body
        key, value = keys[0], body[keys[0]]
        others = {name: item for name, item in body.items() if name != key}
        if isinstance(value, dict) and "data" in value and key in OWN_KEYS:
            return dict(others, dataframe_split=value)
        rows = isinstance(value, list) and bool(value)
        if (
            rows
            and self._names is not None
            and all(isinstance(row, list) and len(row) == len(self._names) for row in value)
        ):
            return dict(others, dataframe_split={"columns": self._names, "data": value})
        if rows and isinstance(value[0], dict) and key in OWN_KEYS:
            return dict(others, dataframe_records=value)
        return dict(others, inputs=value) if key in OWN_KEYS else body

    def _predict(self, data, params):
        try:
            result = (
                self._model.predict(data, params=params) if self._takes_params else self._model.predict(data)
            )
        except MlflowException as exc:
            raise Refused(sentence(exc)) from exc
        written = io.StringIO()
        scoring_server.predictions_to_json(result, written)
        return json.loads(written.getvalue())

    def contract(self):
        """What the front must know: see the worker's ``contract``."""
        return description.contract(self._plan)


def sentence(exc):
    """What MLflow says, without its changes of protocol and the data once more."""
    return str(exc.message).partition(" IMPORTANT:")[0].strip()
