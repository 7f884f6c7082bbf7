"""Calls ``run`` and turns what it returns into a frame.

A script takes its input in one of four modes, found once when it is loaded:

* ``text``: ``run(data)`` gets the body as text;
* ``headers``: ``run(data, request_headers)`` gets the headers as well;
* ``schema``: ``run`` is decorated with ``inference_schema``; a JSON object becomes keyword arguments;
* ``raw``: ``@rawhttp`` was used; ``run`` gets the request.

In the mode ``text`` it may be ``@batched`` as well: ``run`` gets a list of inputs and returns a list of results.
"""

import inspect
import json
import traceback
from time import perf_counter

from . import frames, log, schema
from .answers import Body, block, dumps, milliseconds, reply, unserialisable_hint
from .containers import RequestHeaders
from .entry import EntryError, user_traceback
from .form import MULTIPART, URLENCODED
from .request import Request, query_object
from .schema import HEADERS, BadRequest

RAW_MARK = "_mooring_rawhttp"
# See fallback/mooring/scoring.py. The second counts on a class only: an exception may answer for any attribute.
BATCHED_MARK = "_mooring_batched"
BAD_REQUEST_MARK = "mooring_status"
BAD_REQUEST = 400
FAILED = "An unexpected error occurred in scoring script. Check the logs for more info."
UNSERIALISABLE = (
    "The scoring script returned a value that is not JSON serializable. Check the logs for more info."
)
TOO_LONG = "The scoring script returned {} bytes. An answer that is not streamed may have {}."
NOT_AS_MANY = "a batched run() must return a list with one result for each input: it got {} and returned {}"
NO_STREAM = "a batched run() cannot stream: the message of an AMLResponse was a generator"
FORM = (
    "mooring: request {}: a body with the content type {} is a form, and as in Azure run() gets '' for it; "
    "send JSON as application/json, or use @rawhttp and request.form\n"
)

_loads = json.loads  # what user code puts in its place is none of ours
# Written as JSON they must fit into the head of a frame, where a character may take six bytes.
MAX_HEADERS = 128 << 10
_HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "te", "trailer", "transfer-encoding", "upgrade")
)
# The front's own; what a script says under these names is not passed on.
_OURS = frozenset(("x-request-id", "x-ms-request-id"))
# Whether the entry script has used @rawhttp, on whatever function, as in Azure: run() may be wrapped further.
_raw = []


def rawhttp(function):
    """Makes ``run`` get the HTTP request itself instead of its body."""
    setattr(function, RAW_MARK, True)
    _raw.append(function)
    return function


def parameters_of(run):
    """The parameter for the data, by its name, and whether ``run`` takes ``request_headers``.

    The name is None if the data is passed by position.

    Raises:
        EntryError: ``run`` cannot be called with one value.
    """
    try:
        signature = inspect.signature(run)
    except (TypeError, ValueError):
        return None, False  # a builtin or an extension's function: it will say itself what it does not like
    given = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    data = [p for p in given if p.name != HEADERS]
    required = [p for p in data if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    if len(required) > 1 or not data:
        raise EntryError(
            "import",
            "run{} must take exactly one data parameter (and may take request_headers).".format(signature),
        )
    first = (required or data)[0]
    by_position = first.kind in (first.POSITIONAL_ONLY, first.VAR_POSITIONAL)
    if len(data) < len(given) and not by_position:
        return first.name, True
    if first.kind is first.KEYWORD_ONLY or first is not data[0]:
        return first.name, False
    return None, len(data) < len(given)


class Scorer:
    """The entry script's ``run`` with its input mode.

    Args:
        run: the function.
        termination: tells the `SystemExit` of SIGTERM from one that user code raised.

    Attributes:
        mode: see the module.
        schema: the `schema.Schema` of a decorated function.
        batch: how many inputs a batched function takes at most; None if it is not batched.
        stream: the rest of the body of the last answer, as an iterator of bytes; None if that was all.
    """

    def __init__(self, run, termination):
        self._run = run
        self._termination = termination
        self.stream = None
        self.schema = schema.of(run)
        raw = bool(_raw) or getattr(run, RAW_MARK, False)
        if raw and self.schema is not None:
            raise EntryError("import", "run() cannot be decorated with both @rawhttp and @input_schema.")
        self.batch = getattr(run, BATCHED_MARK, None)
        if self.batch is not None and (raw or self.schema is not None):
            other = "@rawhttp" if raw else "@input_schema or @output_schema"
            raise EntryError("import", "run() cannot be decorated with both @batched and {}.".format(other))
        if self.schema is not None:
            self.mode = "schema"
            return
        self._name, self._wants_headers = parameters_of(run)
        self.mode = "raw" if raw else "headers" if self._wants_headers else "text"
        if self.batch is not None and self._wants_headers:
            raise EntryError(
                "import", "A batched run() cannot take request_headers: one call is for several requests."
            )

    def answer(self, kind, head, body):
        """The answering frame's kind, head and body; see `stream` for more of the body.

        Raises:
            FrameError: the frame is no request.
        """
        if self.batch is not None:
            return self.answers([(kind, head, body)])[0]
        if kind == frames.TEXT:
            request_id = head.decode("utf-8", "replace")
            if self._name is None:
                return self._guarded(lambda: self._run(text(body)), request_id)
            return self._guarded(lambda: self._run(**{self._name: text(body)}), request_id)
        request = request_of(head)
        return self._guarded(lambda: self._call(request, body), request["id"])

    def answers(self, requests):
        """The answers to requests that share one call of a batched function, in their order.

        Args:
            requests: kind, head and body of each; at most `batch`.
        """
        answers = [None] * len(requests)
        inputs = []
        for place, (kind, head, body) in enumerate(requests):
            request = {"id": head.decode("utf-8", "replace")} if kind == frames.TEXT else request_of(head)
            try:
                value = text(body) if kind == frames.TEXT else self._text_of(request, body)
            except BadRequest as exc:
                answers[place] = reply(exc.status, {"message": str(exc)})
            else:
                inputs.append((place, request["id"], value))
        if inputs:
            for (place, _, _), answer in zip(inputs, self._together(inputs)):  # noqa: B905 - CPython 3.6
                answers[place] = answer
        return answers

    def _together(self, inputs):
        begin = perf_counter()
        values = [value for _, _, value in inputs]
        try:
            results = self._run(values) if self._name is None else self._run(**{self._name: values})
            as_many(results, len(inputs))
        except BaseException as exc:  # noqa: BLE001 - user code, sys.exit() included
            failure = self._failed(exc, ", ".join(request_id for _, request_id, _ in inputs))
            return [failure] * len(inputs)
        spent = milliseconds(begin)
        return [
            self._element(result, request_id, spent)
            for (_, request_id, _), result in zip(inputs, results)  # noqa: B905 - CPython 3.6
        ]

    def _element(self, result, request_id, spent):
        if isinstance(result, BaseException):
            return self._refused(result, request_id)
        answer = self._encoded(result, request_id, spent)
        if self.stream is None:
            return answer
        parts, self.stream = self.stream, None
        parts.close()
        return self._refused(TypeError(NO_STREAM), request_id)

    def _call(self, request, body):
        if self.mode == "raw":
            return self._given(Request(request, body), RequestHeaders(request["headers"]))
        headers = RequestHeaders(request["headers"])
        if self.mode == "schema":
            return self._run(**self.schema.arguments(request, headers, body))
        return self._given(self._text_of(request, body), headers)

    @staticmethod
    def _text_of(request, body):
        """What a plain ``run`` gets of a request.

        Raises:
            BadRequest: see `text`.
        """
        if request["method"] == "GET":
            return dumps(query_object(request["query"]))
        headers = RequestHeaders(request["headers"])
        kind = headers.get("Content-Type", "").split(";")[0].strip().lower()
        if kind in URLENCODED or kind == MULTIPART:
            if body:
                log.write(FORM.format(request["id"], kind))
            body = b""
        return text(body)

    def _given(self, value, headers):
        named = {HEADERS: headers} if self._wants_headers else {}
        if self._name is None:
            return self._run(value, **named)
        return self._run(**dict(named, **{self._name: value}))

    def _guarded(self, call, request_id):
        begin = perf_counter()
        try:
            result = call()
        except BadRequest as exc:
            return reply(exc.status, {"message": str(exc)})
        except BaseException as exc:  # noqa: BLE001 - user code, sys.exit() included
            return self._failed(exc, request_id)
        return self._encoded(result, request_id, milliseconds(begin))

    def _encoded(self, result, request_id, spent):
        answer = self._framed(result, request_id, spent)
        size = len(answer[2])
        if size <= frames.MAX_ANSWER:
            return answer
        message = TOO_LONG.format(size, frames.MAX_ANSWER)
        log.write("mooring: request {}: {}\n".format(request_id, message))
        return reply(500, {"message": message}, failed=True)

    def _framed(self, result, request_id, spent):
        if hasattr(result, "status_code") and hasattr(result, "get_data"):
            try:
                return self._response(result, spent)
            except BaseException as exc:  # noqa: BLE001 - the same
                return self._failed(exc, request_id)
        try:
            body = dumps({} if result is None else result).encode("utf-8")
        except Exception as exc:  # noqa: BLE001 - objects may raise anything while they are written
            self.log(request_id, unserialisable_hint(result, exc), traceback.format_exc())
            return reply(500, {"message": UNSERIALISABLE})
        return frames.RESULT, spent.encode("ascii"), body

    log = staticmethod(block)

    def _failed(self, exc, request_id):
        if self._termination.requested:
            raise exc
        return self._refused(exc, request_id)

    def _refused(self, exc, request_id):
        if getattr(type(exc), BAD_REQUEST_MARK, None) == BAD_REQUEST:
            return reply(BAD_REQUEST, {"message": str(exc)})
        self.log(request_id, "run() raised an exception", user_traceback(exc))
        return reply(500, {"message": FAILED}, failed=True)

    def _response(self, response, spent):
        """A REPLY frame for an ``AMLResponse``, or for a Flask response."""
        streamed = bool(getattr(response, "is_streamed", False))
        pairs = [(str(name).lower(), str(value)) for name, value in response.headers.items()]
        failed = bool(getattr(response, "run_function_failed", False)) or response.status_code >= 500
        if "content-type" not in [name for name, _ in pairs] and response.content_type:
            pairs.append(("content-type", response.content_type))
        if not 200 <= response.status_code <= 999:
            raise ValueError("an answer's status is between 200 and 999, not {}".format(response.status_code))
        if sum(len((name + value).encode("utf-8")) for name, value in pairs) > MAX_HEADERS:
            raise ValueError("the headers of an answer may have {} bytes".format(MAX_HEADERS))
        left_out = _HOP_BY_HOP | _OURS
        if not streamed:
            left_out |= {"content-length"}
        if response.status_code == 304:
            left_out |= {"content-type", "content-length"}
        head = {
            "status": response.status_code,
            "headers": [pair for pair in pairs if pair[0] not in left_out],
            "ms": spent,
            "failed": failed,
        }
        body = b""
        if streamed:
            # The first part before the head: what fails before it has begun is an error, not half an answer.
            parts = Body(response)
            body = next(parts, None)
            if body is None:
                body = b""
            else:
                self.stream = parts
                head["stream"] = True
        else:
            body = response.get_data()
            if not isinstance(body, bytes):
                raise TypeError("get_data() of an answer must return bytes, not {!r}".format(type(body)))
        return frames.REPLY, dumps(head).encode("ascii"), body


def request_of(head):
    """The request that a frame's head describes.

    Raises:
        FrameError: it describes none.
    """
    try:
        request = _loads(head.decode("utf-8"))
        request["id"].encode("utf-8")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise frames.FrameError("not the head of a request: {}".format(exc)) from exc
    return request


def text(body):
    """A POST body as ``run(data)`` gets it.

    Raises:
        BadRequest: it is not UTF-8.
    """
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise BadRequest(400, "Input cannot be decoded as UTF-8: {}".format(exc)) from exc


def as_many(results, wanted):
    """Sees that a batched function has returned what it must.

    Raises:
        ValueError: it has not.
    """
    if isinstance(results, (list, tuple)) and len(results) == wanted:
        return
    many = " of {}".format(len(results)) if isinstance(results, (list, tuple)) else ""
    raise ValueError(NOT_AS_MANY.format(wanted, "a " + type(results).__name__ + many))
