"""Requests and answers as entry scripts see them."""

import io
import json
from urllib.parse import parse_qs, parse_qsl


class Headers(dict):
    """Header names in Azure's spelling (``Content-Type``), found in any case."""

    def __init__(self, pairs):
        super().__init__()
        for name, value in pairs:
            key = name.title()
            self[key] = self[key] + "," + value if key in self else value

    def __getitem__(self, name):
        return super().__getitem__(name.title())

    def __contains__(self, name):
        return super().__contains__(name.title())

    def get(self, name, default=None):
        """The value of ``name``, or ``default``."""
        return super().get(name.title(), default)


class MultiDict(dict):
    """The first value of each key; `getlist` gives all, as Flask's."""

    def __init__(self, pairs):
        self._lists = {}
        for key, value in pairs:
            self._lists.setdefault(key, []).append(value)
        super().__init__((key, values[0]) for key, values in self._lists.items())

    def getlist(self, key):
        """All values of ``key``."""
        return list(self._lists.get(key, ()))


def number_or_text(value):
    """A query value as Azure passes it: what JSON calls a number as a number, everything else as text."""
    if value[:1] not in "-0123456789":
        return value  # also keeps NaN and Infinity text
    try:
        return json.loads(value)
    except ValueError:
        return value


def query_object(query):
    """What ``run`` gets for GET: ``a=1&b=x&b=2`` becomes ``{"a": 1, "b": ["x", 2]}``."""
    return {
        key: number_or_text(values[0]) if len(values) == 1 else [number_or_text(value) for value in values]
        for key, values in parse_qs(query, keep_blank_values=True).items()
    }


class Request:
    """What ``run(request)`` gets below ``@rawhttp``; the part of Flask's request that entry scripts use."""

    def __init__(self, head, body):
        self.method = head["method"]
        self.path = head["path"]
        self.full_path = head["path"] + "?" + head["query"]
        self.host = head["host"]
        self.scheme = head["scheme"]
        self.query_string = head["query"].encode("utf-8")
        self.headers = Headers(head["headers"])
        self.args = MultiDict(parse_qsl(head["query"], keep_blank_values=True))
        self.data = body
        self.stream = io.BytesIO(body)
        self._form = None

    @property
    def url(self):
        """The whole URL."""
        return self.base_url + ("?" + self.query_string.decode("utf-8") if self.query_string else "")

    @property
    def base_url(self):
        """The URL without the query."""
        return "{}://{}{}".format(self.scheme, self.host, self.path)

    @property
    def content_type(self):
        """The ``Content-Type`` header, or None."""
        return self.headers.get("Content-Type")

    @property
    def mimetype(self):
        """The content type without its parameters, in lower case."""
        return (self.content_type or "").split(";")[0].strip().lower()

    @property
    def content_length(self):
        """The body's length in bytes."""
        return len(self.data)

    @property
    def is_json(self):
        """Whether the content type says JSON."""
        return self.mimetype == "application/json" or self.mimetype.endswith("+json")

    @property
    def form(self):
        """The fields of a urlencoded form."""
        if self._form is None:
            urlencoded = self.mimetype == "application/x-www-form-urlencoded"
            text = self.data.decode("utf-8", "replace") if urlencoded else ""
            self._form = MultiDict(parse_qsl(text, keep_blank_values=True))
        return self._form

    @property
    def values(self):
        """Query and form together, the query first."""
        return MultiDict([*self.args.items(), *self.form.items()])

    @property
    def json(self):
        """The body parsed as JSON, or None when the content type is another."""
        return self.get_json()

    def get_json(self, force=False, silent=False, cache=True):  # noqa: ARG002 - Flask's signature
        """The body parsed as JSON.

        Raises:
            ValueError: the body is not JSON, unless ``silent``.
        """
        if not force and not self.is_json:
            return None
        try:
            return json.loads(self.data.decode("utf-8"))
        except ValueError:
            if silent:
                return None
            raise

    def get_data(self, cache=True, as_text=False, parse_form_data=False):  # noqa: ARG002 - Flask's signature
        """The body as bytes, or as text."""
        return self.data.decode("utf-8", "replace") if as_text else self.data


class Response:
    """``AMLResponse``: an answer with a status, headers and a body of one's own.

    Args:
        message: text or bytes as they are (their JSON text with ``json_str``); None is ``{}``; anything
            else is written as JSON.
        status_code: the HTTP status; 500 and above count as a failed ``run``.
        response_headers: added to the answer.
        json_str: write ``message`` as JSON even when it is text.
        run_function_failed: say so in ``x-ms-run-function-failed``.
    """

    def __init__(
        self, message, status_code, response_headers=None, json_str=False, run_function_failed=False
    ):
        self.status_code = int(status_code)
        self.headers = dict(response_headers or {})
        self.run_function_failed = bool(run_function_failed)
        if message is None:
            message = {}
        plain = isinstance(message, (str, bytes, bytearray))
        if plain and not json_str:
            self.content_type = "text/html; charset=utf-8"
            self.data = message.encode("utf-8") if isinstance(message, str) else bytes(message)
        else:
            if isinstance(message, (bytes, bytearray)):
                message = bytes(message).decode("utf-8")
            self.content_type = "application/json"
            self.data = json.dumps(message).encode("utf-8")

    def get_data(self, as_text=False):
        """The body."""
        return self.data.decode("utf-8") if as_text else self.data
