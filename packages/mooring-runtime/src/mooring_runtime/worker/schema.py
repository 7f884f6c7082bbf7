"""Functions decorated with the ``inference_schema`` package.

The package is the user's; it is looked at only when the entry script has imported it.
"""

import inspect
import json
import sys

from . import http

HEADERS = "request_headers"


def of(run):
    """The `Schema` of a decorated function, or None."""
    util = sys.modules.get("inference_schema.schema_util")
    if util is None or not util.is_schema_decorated(run):
        return None
    described = util.get_input_schema(run)
    if "properties" not in described:
        return None  # only the output is described: the input is as without decorators
    return Schema(run, described, util.get_output_schema(run))


class Schema:
    """The parameters of a decorated ``run``."""

    def __init__(self, run, described_input, described_output):
        self._input = described_input
        self._output = described_output
        parameters = inspect.signature(run).parameters
        self._wants_headers = HEADERS in parameters
        self._names = [name for name in parameters if name != HEADERS]
        self._required = [name for name in self._names if parameters[name].default is inspect.Parameter.empty]

    def description(self):
        """Input and output as the package describes them (JSON schema with examples)."""
        return json.loads(json.dumps({"input": self._input, "output": self._output}, default=str))

    def arguments(self, request, headers, body):
        """The keyword arguments for a request.

        Raises:
            BadRequest: the request is not a JSON object with a value for each parameter.
        """
        from .scoring import BadRequest

        if request["method"] == "GET":
            values = http.query_object(request["query"])
        else:
            kind = headers.get("Content-Type", "").split(";")[0].strip().lower()
            if kind != "application/json":
                raise BadRequest(415, "Expects Content-Type to be application/json")
            if not body:
                raise BadRequest(400, "Input request does not include a body.")
            try:
                values = json.loads(body.decode("utf-8"))
            except ValueError as exc:
                raise BadRequest(400, "The request body is not valid JSON: {}".format(exc)) from exc
            if not isinstance(values, dict):
                raise BadRequest(400, "The request body must be a JSON object with the parameters' names.")
        for name in self._required:
            if name not in values:
                raise BadRequest(400, "A value is not provided for the '{}' parameter.".format(name))
        arguments = {name: values[name] for name in self._names if name in values}
        if self._wants_headers:
            arguments[HEADERS] = headers
        return arguments
