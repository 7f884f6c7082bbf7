"""Requests as entry scripts see them."""

import base64
import io
import json
from urllib.parse import quote

from . import form
from .containers import Headers, MultiDict, RequestHeaders

NOT_JSON = "Did not attempt to load JSON data because the request Content-Type was not 'application/json'."
NO_JSON = "Failed to decode JSON object: {}"


def query_object(query):
    """What ``run`` gets for GET: ``a=1&b=x&b=2&c=[3]`` becomes ``{"a": 1, "b": ["x", 2], "c": [3]}``."""
    return {
        key: json_or_text(values[0]) if len(values) == 1 else [json_or_text(value) for value in values]
        for key, values in MultiDict(form.fields(query)).lists()
    }


def json_or_text(value):
    """A query value: what is JSON as its value, everything else as text."""
    try:
        return json.loads(value)
    except ValueError:
        return value


class HTTPError(ValueError):
    """Something of the request is not as the script expected; uncaught it fails ``run`` like any exception.

    Attributes:
        code: the HTTP status it stands for.
        description: the same as its text.
    """

    def __init__(self, code, description):
        super().__init__(description)
        self.code = code
        self.description = description


class Authorization:
    """The ``Authorization`` header: ``type`` in lower case, ``token``, or ``username`` and ``password``."""

    def __init__(self, header):
        kind, _, self.token = header.partition(" ")
        self.type = kind.lower()
        self.username = self.password = None
        if self.type == "basic":
            try:
                text = base64.b64decode(self.token).decode("utf-8")
            except ValueError:
                return
            self.username, _, self.password = text.partition(":")


class Request:
    """What ``run(request)`` gets below ``@rawhttp``; the part of Flask's request that entry scripts use.

    Args:
        head: a FULL frame's.
        body: the request's.
    """

    root_path = script_root = ""
    is_multithread = is_multiprocess = is_run_once = False
    max_content_length = None
    remote_user = None

    def __init__(self, head, body):
        self.method = head["method"]
        self.path = head["path"]
        self.host = head["host"]
        self.scheme = head["scheme"]
        self.remote_addr = head.get("client")
        self.query_string = head["query"].encode("utf-8")
        self.headers = Headers(RequestHeaders(head["headers"]).items())
        self.args = MultiDict(form.fields(head["query"]))
        self.stream = io.BytesIO(body)
        self._body = None
        self._json = {}
        self._form = None
        self._files = None

    @property
    def full_path(self):
        """Path and query."""
        return "{}?{}".format(self.path, self.query_string.decode("utf-8"))

    @property
    def url(self):
        """The whole URL."""
        query = form.readable(self.query_string.decode("utf-8"), "&=+#")
        return self.base_url + ("?" + query if query else "")

    @property
    def base_url(self):
        """The URL without the query."""
        path = form.readable(quote(self.path, safe="/!$&'()*+,;=:@%"), "/?#")
        return "{}://{}{}".format(self.scheme, self.host, path)

    @property
    def url_root(self):
        """The URL up to the path."""
        return "{}://{}/".format(self.scheme, self.host)

    root_url = host_url = url_root

    @property
    def is_secure(self):
        """Whether the caller used HTTPS."""
        return self.scheme == "https"

    @property
    def content_type(self):
        """The ``Content-Type`` header, or None."""
        return self.headers.get("Content-Type")

    @property
    def mimetype(self):
        """The content type without its parameters, in lower case."""
        return form.options(self.content_type or "")[0].lower()

    @property
    def mimetype_params(self):
        """The parameters of the content type."""
        return form.options(self.content_type or "")[1]

    @property
    def content_length(self):
        """The ``Content-Length`` header as a number, or None."""
        return self.headers.get("Content-Length", type=int)

    @property
    def content_encoding(self):
        """The ``Content-Encoding`` header, or None."""
        return self.headers.get("Content-Encoding")

    @property
    def referrer(self):
        """The ``Referer`` header, or None."""
        return self.headers.get("Referer")

    @property
    def origin(self):
        """The ``Origin`` header, or None."""
        return self.headers.get("Origin")

    @property
    def user_agent(self):
        """The ``User-Agent`` header; text that also has ``string``."""
        return UserAgent(self.headers.get("User-Agent", ""))

    @property
    def authorization(self):
        """The ``Authorization`` header taken apart, or None."""
        header = self.headers.get("Authorization")
        return None if header is None else Authorization(header)

    @property
    def access_route(self):
        """The caller's address behind its proxies."""
        forwarded = self.headers.get("X-Forwarded-For")
        if forwarded:
            return [address.strip() for address in forwarded.split(",")]
        return [self.remote_addr] if self.remote_addr else []

    @property
    def cookies(self):
        """The cookies."""
        return form.cookies(self.headers.get("Cookie", ""))

    @property
    def is_json(self):
        """Whether the content type says JSON."""
        return is_json(self.mimetype)

    @property
    def form(self):
        """The fields of a form, urlencoded or multipart."""
        self._parse_form()
        return self._form

    @property
    def files(self):
        """The files of a multipart form."""
        self._parse_form()
        return self._files

    @property
    def values(self):
        """Query and, unless the method is GET, form together; the query first."""
        pairs = self.args.items(multi=True)
        return MultiDict(pairs if self.method == "GET" else pairs + self.form.items(multi=True))

    def _parse_form(self):
        """Reads a form's body; it is consumed then, as with Flask, unless `get_data` has kept it."""
        if self._form is not None:
            return
        self._form, self._files = MultiDict(), MultiDict()
        kind = self.mimetype
        boundary = self.mimetype_params.get("boundary", "")
        if kind not in form.URLENCODED and not (kind == form.MULTIPART and boundary):
            return
        body = self.stream.read() if self._body is None else self._body
        try:
            if kind == form.MULTIPART:
                values, files = form.multipart(body, boundary)
                self._form, self._files = MultiDict(values), MultiDict(files)
            else:
                self._form = MultiDict(form.fields(body.decode("utf-8")))
        except ValueError:
            return  # Flask too shows a form that cannot be read as an empty one

    @property
    def data(self):
        """The body as bytes; empty if it is a form."""
        return self.get_data(parse_form_data=True)

    def get_data(self, cache=True, as_text=False, parse_form_data=False):
        """The body as bytes, or as text."""
        body = self._body
        if body is None:
            if parse_form_data:
                self._parse_form()
            body = self.stream.read()
            if cache:
                self._body = body
        return body.decode("utf-8", "replace") if as_text else body

    @property
    def json(self):
        """The body parsed as JSON; see `get_json`."""
        return self.get_json()

    def get_json(self, force=False, silent=False, cache=True):
        """The body parsed as JSON.

        Raises:
            HTTPError: the content type is another (415), or the body is not JSON (400); not if ``silent``.
        """
        if cache and silent in self._json:
            return self._json[silent]
        try:
            if not force and not self.is_json:
                raise HTTPError(415, NOT_JSON)
            value = json.loads(self.get_data(cache=cache).decode("utf-8-sig"))
        except ValueError as exc:
            if not silent:
                raise exc if isinstance(exc, HTTPError) else HTTPError(400, NO_JSON.format(exc)) from exc
            value = None
            kept = (True,) if force or self.is_json else ()
        else:
            kept = (True, False)
        if cache:
            self._json.update((key, value) for key in kept)
        return value

    def close(self):
        """Does nothing; files are in memory."""


class UserAgent(str):
    """The name of the caller's program."""

    __slots__ = ()

    @property
    def string(self):
        """Itself."""
        return str(self)


def is_json(mimetype):
    """Whether a content type without its parameters stands for JSON."""
    return mimetype == "application/json" or (
        mimetype.startswith("application/") and mimetype.endswith("+json")
    )
