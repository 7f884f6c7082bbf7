"""Calls ``run`` and turns what it returns into a frame.

A script takes its input in one of four modes, found once when it is loaded:

* ``text``: ``run(data)`` gets the body as text;
* ``headers``: ``run(data, request_headers)`` gets the headers as well;
* ``schema``: ``run`` is decorated with ``inference_schema``; a JSON object becomes keyword arguments;
* ``raw``: ``run`` is decorated with ``@rawhttp`` and gets the request.
"""

import inspect
import json
import sys
import traceback
from time import perf_counter

from . import frames, http, schema
from .entry import EntryError, user_traceback

RAW_MARK = "_mooring_rawhttp"
FAILED = "An unexpected error occurred in scoring script. Check the logs for more info."
UNSERIALISABLE = (
    "The scoring script returned a value that is not JSON serializable. Check the logs for more info."
)
NOT_TEXT = "The request body is not valid UTF-8 text."

_dumps = json.JSONEncoder().encode


class BadRequest(Exception):
    """The request cannot be given to ``run``: a status and a message for the caller."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def mode_of(run):
    """The input mode of ``run``.

    Raises:
        EntryError: its parameters fit none.
    """
    if getattr(run, RAW_MARK, False):
        return "raw"
    if schema.of(run) is not None:
        return "schema"
    try:
        parameters = list(inspect.signature(run).parameters.values())
    except (TypeError, ValueError):
        return "text"  # a builtin or an extension's function: it will say itself what it does not like
    if any(parameter.name == "request_headers" for parameter in parameters):
        return "headers"
    required = [
        parameter
        for parameter in parameters
        if parameter.default is parameter.empty and parameter.kind in (0, 1)  # positional
    ]
    takes_one = any(parameter.kind in (0, 1, 2) for parameter in parameters)
    if len(required) > 1 or not takes_one:
        raise EntryError(
            "import",
            "run{} must take exactly one data parameter (and may take request_headers).".format(
                inspect.signature(run)
            ),
        )
    return "text"


class Scorer:
    """The entry script's ``run`` with its input mode.

    Args:
        run: the function.
        termination: tells the `SystemExit` of SIGTERM from one that user code raised.
    """

    def __init__(self, run, termination):
        self._run = run
        self._termination = termination
        self.mode = mode_of(run)
        self._schema = schema.of(run) if self.mode == "schema" else None
        parameters = list(inspect.signature(run).parameters) if self.mode == "headers" else []
        self._data_name = next((name for name in parameters if name != "request_headers"), None)

    def description(self):
        """What the front must know: ``mode``, and ``schema`` for the OpenAPI description."""
        if self._schema is None:
            return {"mode": self.mode}
        return {"mode": self.mode, "schema": self._schema.description()}

    def answer(self, kind, head, body):
        """The answering frame's kind, head and body."""
        if kind == frames.TEXT:
            request_id = head.decode("utf-8", "replace")
            call = self._text_call(body)
        else:
            request = json.loads(head.decode("utf-8"))
            request_id = request["id"]
            call = lambda: self._call(request, body)  # noqa: E731
        return self._guarded(call, request_id)

    def _text_call(self, body):
        return lambda: self._run(text(body))

    def _call(self, request, body):
        if self.mode == "raw":
            return self._run(http.Request(request, body))
        headers = http.Headers(request["headers"])
        if self.mode == "schema":
            return self._run(**self._schema.arguments(request, headers, body))
        data = _dumps(http.query_object(request["query"])) if request["method"] == "GET" else text(body)
        if self.mode == "headers":
            arguments = {} if self._data_name is None else {self._data_name: data}
            return self._run(request_headers=headers, **arguments)
        return self._run(data)

    def _guarded(self, call, request_id):
        begin = perf_counter()
        try:
            result = call()
        except BadRequest as exc:
            return reply(exc.status, {"message": str(exc)})
        except BaseException as exc:
            if self._termination.requested:
                raise
            log(request_id, "run() raised an exception", user_traceback(exc))
            return reply(500, {"message": FAILED}, failed=True)
        spent = "%.3f" % ((perf_counter() - begin) * 1000.0)
        if hasattr(result, "status_code") and hasattr(result, "get_data"):
            return response_reply(result, spent)
        try:
            encoded = _dumps({} if result is None else result).encode("utf-8")
        except Exception as exc:  # noqa: BLE001 - objects may raise anything while they are written
            log(request_id, unserialisable_hint(result, exc), traceback.format_exc())
            return reply(500, {"message": UNSERIALISABLE})
        return frames.RESULT, spent.encode("ascii"), encoded


def text(body):
    """A POST body as ``run(data)`` gets it.

    Raises:
        BadRequest: it is not UTF-8.
    """
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise BadRequest(400, NOT_TEXT) from exc


def reply(status, message, failed=False):
    """A REPLY frame with a JSON body."""
    head = {"status": status, "headers": [["content-type", "application/json"]], "ms": None, "failed": failed}
    return frames.REPLY, _dumps(head).encode("ascii"), _dumps(message).encode("utf-8")


def response_reply(response, spent):
    """A REPLY frame for an ``AMLResponse``, or for a Flask response."""
    failed = bool(getattr(response, "run_function_failed", False)) or response.status_code >= 500
    headers = [[str(name).lower(), str(value)] for name, value in dict(response.headers).items()]
    names = [name for name, _ in headers]
    if "content-type" not in names:
        headers.append(["content-type", response.content_type])
    head = {
        "status": response.status_code,
        "headers": [pair for pair in headers if pair[0] != "content-length"],
        "ms": None if failed else spent,
        "failed": failed,
    }
    return frames.REPLY, _dumps(head).encode("ascii"), response.get_data()


def unserialisable_hint(result, exc):
    """What to do about a result that cannot be written as JSON."""
    hint = "the value returned by run() (a {}) cannot be written as JSON: {}".format(
        type(result).__name__, exc
    )
    if "numpy" in sys.modules and "ndarray" in str(exc):
        return hint + ". Return array.tolist() instead of the array"
    if "numpy" in sys.modules:
        return hint + ". NumPy values need .tolist() or .item()"
    return hint


def log(request_id, what, trace):
    """One block in the log, with the id that the caller got."""
    sys.stderr.write("mooring: request {}: {}\n{}\n".format(request_id, what, trace.rstrip()))
    sys.stderr.flush()
