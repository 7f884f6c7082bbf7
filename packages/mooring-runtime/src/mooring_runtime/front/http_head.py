"""The head of an HTTP message."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import unquote_to_bytes

import httptools

from mooring_runtime.front.exchange import Headers

STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
FRAMING = frozenset(("transfer-encoding", "connection"))


def status_line(status: int) -> str:
    """The first line of an answer."""
    return STATUS_LINES.get(status) or f"HTTP/1.1 {status} Unknown\r\n"


def header_lines(headers: Headers) -> str:
    """The lines of an answer's headers, without those that cannot be said."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if not lines.isascii() or lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        # What a script says must not become headers of its own, nor change where the answer ends.
        return "".join([f"{name}: {value}\r\n" for name, value in headers if _sayable(name, value)])
    return lines


def _sayable(name: str, value: str) -> bool:
    text = name + value
    return text.isascii() and text.isprintable() and bool(name) and name not in FRAMING


def target_of(target: bytes) -> tuple[str, str]:
    """Path, decoded, and query of a request's target.

    Raises:
        UnicodeDecodeError: the path is not UTF-8.
        HttpParserError: the target is no URL.
    """
    if not target.startswith(b"/") and target != b"*":
        url = httptools.parse_url(target)
        path, query = url.path or b"/", url.query or b""
    else:
        path, _, query = target.partition(b"#")[0].partition(b"?")
    if b"%" in path:
        path = unquote_to_bytes(path)
    return path.decode(), query.decode()
