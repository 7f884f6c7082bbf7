"""Query strings, cookies, and the bodies of HTML forms."""

import codecs
import io
import re
import shutil
from urllib.parse import parse_qsl, unquote

from .containers import Headers, MultiDict

URLENCODED = ("application/x-www-form-urlencoded", "application/x-url-encoded")
MULTIPART = "multipart/form-data"
MAX_PARTS = 1000
_PARAMETER = re.compile(r';\s*([\w!#$%&\'*+.^`|~-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')


def _keep_quoted(error):
    """What is no UTF-8 in a query stays percent-encoded, as with Flask."""
    wrong = error.object[error.start : error.end]
    return "".join("%{:02X}".format(byte) for byte in bytearray(wrong)), error.end


codecs.register_error("_mooring_quote", _keep_quoted)


def fields(text):
    """The pairs of a query string or of a urlencoded form."""
    return parse_qsl(text, keep_blank_values=True, errors="_mooring_quote")


def readable(text, reserved):
    """A part of a URL with what is percent-encoded decoded, but for what has a meaning there, as Flask shows it."""
    kept = [*range(0x21), 0x25, 0x7F, *map(ord, reserved)]
    pattern = "((?:%(?:{}))+)".format("|".join("{:02X}".format(code) for code in kept))
    pieces = re.split(pattern, text, flags=re.IGNORECASE)
    pieces[::2] = [unquote(piece, errors="_mooring_quote") for piece in pieces[::2]]
    return "".join(pieces)


def options(value):
    """``text/html; charset=utf-8`` as ``("text/html", {"charset": "utf-8"})``."""
    main, semicolon, rest = value.partition(";")
    found = {}
    for name, quoted in _PARAMETER.findall(semicolon + rest):
        text = quoted.strip()
        if text[:1] == '"' and text[-1:] == '"' and len(text) > 1:
            text = re.sub(r"\\(.)", r"\1", text[1:-1])
        found[name.lower()] = text
    for name in [name for name in found if name.endswith("*")]:
        charset, _, encoded = found.pop(name).partition("''")
        found[name[:-1]] = unquote(encoded, encoding=charset or "utf-8", errors="replace")
    return main.strip(), found


def cookies(header):
    """The cookies of a ``Cookie`` header."""
    pairs = []
    for item in header.split(";"):
        name, _, value = item.strip().partition("=")
        if name:
            value = value.strip()
            if len(value) > 1 and value[0] == value[-1] == '"':
                value = value[1:-1]
            pairs.append((name.strip(), value))
    return MultiDict(pairs)


class FileStorage:
    """An uploaded file."""

    def __init__(self, content, filename, name, headers):
        self.stream = io.BytesIO(content)
        self.filename = filename
        self.name = name
        self.headers = headers
        self.content_type = headers.get("content-type")
        self.mimetype, self.mimetype_params = options(self.content_type or "")
        self.content_length = int(headers.get("content-length", 0, type=int) or 0)

    def __bool__(self):
        return bool(self.filename)

    def __getattr__(self, name):
        return getattr(self.stream, name)  # read, seek, readline, ...

    def __iter__(self):
        return iter(self.stream)

    def __repr__(self):
        return "<FileStorage: {!r} ({!r})>".format(self.filename, self.content_type)

    def save(self, dst, buffer_size=16384):
        """Writes the file to a path or to a file that is open."""
        if hasattr(dst, "write"):
            shutil.copyfileobj(self.stream, dst, buffer_size)
            return
        with open(dst, "wb") as file:
            shutil.copyfileobj(self.stream, file, buffer_size)


def multipart(body, boundary):
    """The fields and files of a ``multipart/form-data`` body, as two lists of pairs.

    Raises:
        ValueError: the body has no such form.
    """
    # The first delimiter may lack its line break; with one it is as all others.
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1"))
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise ValueError("the multipart body has no end")
    if len(pieces) > MAX_PARTS + 2:
        raise ValueError("the multipart body has more than {} parts".format(MAX_PARTS))
    values, files = [], []
    for piece in pieces[1:-1]:
        head, blank, content = piece.partition(b"\r\n\r\n")
        if not blank:
            raise ValueError("a part of the multipart body has no headers")
        lines = [line.partition(":") for line in head.decode("utf-8", "replace").split("\r\n") if line]
        headers = Headers((name.strip(), value.strip()) for name, _, value in lines)
        _, said = options(headers.get("content-disposition", ""))
        name = said.get("name")
        if "filename" in said:
            files.append((name, FileStorage(content, said["filename"], name, headers)))
        else:
            charset = options(headers.get("content-type", ""))[1].get("charset", "utf-8")
            values.append((name, content.decode(charset, "replace")))
    return values, files
