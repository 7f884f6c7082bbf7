"""Answers as entry scripts make them."""

import json
import time
from email.utils import formatdate
from http import HTTPStatus

from .containers import Headers

TEXT = "text/html; charset=utf-8"


class Response:
    """``AMLResponse``: an answer with a status, headers and a body of one's own.

    Args:
        message: text or bytes as they are, or an iterable of them (a generator is sent as it yields); its JSON
            text with ``json_str``; None is ``{}``; a dict or a number is written as JSON in any case.
        status_code: the HTTP status; 500 and above count as a failed ``run``.
        response_headers: added to the answer; a value with commas becomes as many headers.
        json_str: write ``message`` as JSON even when it is text.
        run_function_failed: say so in ``x-ms-run-function-failed``.

    Attributes:
        chunks: the iterable of a streamed body; None if the body is known.
    """

    default_mimetype = "text/html"

    def __init__(
        self, message, status_code, response_headers=None, json_str=False, run_function_failed=False
    ):
        self.chunks = None
        self._body = b""
        self.headers = Headers()
        self.status = status_code
        self.run_function_failed = run_function_failed
        kind = "application/json"
        if message is None:
            self._body = b"{}"
        elif json_str or isinstance(message, (dict, int, float)):
            self._body = json.dumps(message).encode("utf-8")
        else:
            kind = TEXT
            self._take(message)
        given = Headers()
        for name, value in (response_headers or {}).items():
            for part in str(value).split(","):
                given.add(name, part.strip())
        if "content-type" not in given:
            self.headers.add("Content-Type", kind)
        self.headers.extend(given)

    def _take(self, message):
        if isinstance(message, str):
            self._body = message.encode("utf-8")
        elif isinstance(message, (bytes, bytearray)):
            self._body = bytes(message)
        elif isinstance(message, (list, tuple)):
            self._body = b"".join(encoded(message))
        else:
            self.chunks = iter(message)

    @property
    def status_code(self):
        """The HTTP status."""
        return self._status

    @status_code.setter
    def status_code(self, code):
        self._status = int(code)

    @property
    def status(self):
        """The HTTP status with its name: ``404 NOT FOUND``; set from that, or from a number."""
        known = {item.value: item.phrase.upper() for item in HTTPStatus}
        return "{} {}".format(self._status, known.get(self._status, "UNKNOWN"))

    @status.setter
    def status(self, status):
        self._status = int(status.split(None, 1)[0]) if isinstance(status, str) else int(status)

    @property
    def is_streamed(self):
        """Whether the body comes from a generator."""
        return self.chunks is not None

    @property
    def data(self):
        """The body; set as text or bytes."""
        return self.get_data()

    @data.setter
    def data(self, message):
        self.set_data(message)

    def get_data(self, as_text=False):
        """The body; a generator is read to its end."""
        if self.chunks is not None:
            self._body = b"".join(self.iter_encoded())
            self.chunks = None
        return self._body.decode("utf-8") if as_text else self._body

    def set_data(self, message):
        """Replaces the body by text or bytes."""
        self.chunks = None
        self._take(message)

    def get_json(self, force=False, silent=False):
        """The body parsed as JSON; None if the content type is another."""
        if not force and not self.is_json:
            return None
        try:
            return json.loads(self.get_data(as_text=True))
        except ValueError:
            if silent:
                return None
            raise

    json = property(get_json)

    def iter_encoded(self):
        """The body's parts as bytes."""
        return encoded(self.chunks if self.chunks is not None else [self._body])

    @property
    def content_type(self):
        """The ``Content-Type`` header, or None."""
        return self.headers.get("Content-Type")

    @content_type.setter
    def content_type(self, value):
        self.headers["Content-Type"] = value

    @property
    def mimetype(self):
        """The content type without its parameters."""
        return (self.content_type or "").split(";")[0].strip().lower() or None

    @mimetype.setter
    def mimetype(self, value):
        self.content_type = value + "; charset=utf-8" if value.startswith("text/") else value

    @property
    def is_json(self):
        """Whether the content type says JSON."""
        kind = self.mimetype or ""
        return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))

    def set_cookie(
        self,
        key,
        value="",
        max_age=None,
        expires=None,
        path="/",
        domain=None,
        secure=False,
        httponly=False,
        samesite=None,
    ):
        """Adds a ``Set-Cookie`` header."""
        if max_age is not None and expires is None:
            expires = formatdate(time.time() + max_age, usegmt=True)
        parts = ["{}={}".format(key, value)]
        named = (("Domain", domain), ("Expires", expires), ("Max-Age", max_age))
        parts += ["{}={}".format(name, given) for name, given in named if given is not None]
        parts += [name for name, given in (("Secure", secure), ("HttpOnly", httponly)) if given]
        parts += [
            "{}={}".format(name, given) for name, given in (("Path", path), ("SameSite", samesite)) if given
        ]
        self.headers.add("Set-Cookie", "; ".join(parts))

    def delete_cookie(self, key, path="/", domain=None):
        """Tells the caller to forget a cookie."""
        self.set_cookie(key, expires="Thu, 01 Jan 1970 00:00:00 GMT", max_age=0, path=path, domain=domain)

    def close(self):
        """Closes the generator of a streamed body."""
        if hasattr(self.chunks, "close"):
            self.chunks.close()


def encoded(parts):
    """Text and bytes as bytes."""
    for part in parts:
        yield part.encode("utf-8") if isinstance(part, str) else bytes(memoryview(part))
