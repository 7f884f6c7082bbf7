"""Functions decorated with the ``inference_schema`` package.

The package is the user's; it is looked at only when the entry script has imported it.
"""

import inspect
import json
import sys

from .request import is_json, query_object

HEADERS = "request_headers"
EMPTY = inspect.Parameter.empty


class BadRequest(Exception):
    """The request cannot be given to ``run``: a status and a message for the caller."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def of(run):
    """The `Schema` of a decorated function, or None."""
    util = sys.modules.get("inference_schema.schema_util")
    if util is None or not util.is_schema_decorated(run):
        return None
    return Schema(run, util)


class Schema:
    """The parameters of a decorated ``run``.

    Args:
        run: the function.
        util: the module ``inference_schema.schema_util``.
    """

    def __init__(self, run, util):
        self._run = run
        self._util = util
        parameters = inspect.signature(run).parameters
        self._wants_headers = HEADERS in parameters
        self._defaults = [(name, p.default) for name, p in parameters.items() if name != HEADERS]

    def description(self):
        """Input and output as the package describes them (JSON schema with examples).

        ``versions`` are those of OpenAPI in which the package can say it.
        """
        supported = getattr(self._util, "get_supported_versions", None)  # releases before 1.6 have none
        return {
            "input": self._util.get_input_schema(self._run),
            "output": self._util.get_output_schema(self._run),
            "versions": ["2.0", "3.0", "3.1"] if supported is None else supported(self._run),
        }

    def arguments(self, request, headers, body):
        """The keyword arguments for a request.

        Raises:
            BadRequest: the request is not a JSON object with a value for each parameter.
        """
        if request["method"] == "GET":
            values = query_object(request["query"])
        else:
            values = json_object(headers.get("Content-Type", ""), body)
        arguments = {HEADERS: headers} if self._wants_headers else {}
        for name, default in self._defaults:
            # Defaults are passed on: the decorators convert them like values of the request.
            arguments[name] = value = values.get(name, default)
            if value is EMPTY:
                raise BadRequest(400, "A value is not provided for the {!r} parameter.".format(name))
        return arguments


def json_object(content_type, body):
    """The JSON object in a body; the texts of refusals are Azure's.

    Raises:
        BadRequest: there is none.
    """
    if not is_json(content_type.split(";")[0].strip().lower()):
        raise BadRequest(415, "Expects Content-Type to be application/json")
    if not body:
        raise BadRequest(400, "POST body is empty. Expecting a JSON dictionary.")
    try:
        values = json.loads(body)
    except ValueError as exc:
        raise BadRequest(400, "POST body could not be decoded as JSON: {}".format(exc)) from exc
    if not isinstance(values, dict):
        raise BadRequest(400, "POST body should be a JSON dictionary.")
    return values
