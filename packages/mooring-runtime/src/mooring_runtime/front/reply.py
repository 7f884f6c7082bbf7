"""What comes of a request that a worker gets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mooring_runtime.front.exchange import Headers
from mooring_runtime.front.http_head import FRAMING

if TYPE_CHECKING:
    from mooring_runtime.front.stream import BodyStream

JSON_HEADERS: Headers = [("content-type", "application/json")]


@dataclass(slots=True)
class Reply:
    """A worker's answer.

    Attributes:
        milliseconds: how long ``run`` took, three decimals; None when it failed.
        failed: whether ``run`` failed.
        stream: the body, if the worker sends it in parts.
    """

    status: int
    headers: Headers
    body: bytes
    milliseconds: str | None
    failed: bool
    stream: BodyStream | None = None


class ScoringFailed(Exception):
    """A request that got no answer from a worker.

    Attributes:
        status: of the answer to the caller.
        failed: whether ``run`` is to blame.
        retry_after: seconds; None if trying again is no use.
    """

    def __init__(
        self, status: int, message: str, *, failed: bool = False, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.failed = failed
        self.retry_after = retry_after


def result(head: bytes, body: bytes) -> Reply:
    """A RESULT frame's answer.

    Raises:
        ValueError: its head is no duration.
    """
    return Reply(200, JSON_HEADERS, body, _milliseconds(head.decode("ascii")), failed=False)


def reply(head: bytes, body: bytes) -> tuple[Reply, bool]:
    """A REPLY frame's answer, and whether more of its body follows.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, RecursionError: its head is none.
    """
    said = json.loads(head)
    streamed = bool(said.get("stream"))
    headers = [(_name(name, streamed=streamed), _text(value)) for name, value in said["headers"]]
    ms = said["ms"]
    spent = None if ms is None else _milliseconds(_text(ms))
    return Reply(_status(said["status"]), headers, body, spent, said["failed"] is True), streamed


def _text(value: object) -> str:
    """Text that can be sent.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")  # noqa: TRY004 - of what the worker says, as other mistakes
    value.encode()
    return value


def _name(value: object, *, streamed: bool) -> str:
    """The name of a header that leaves it to us to say where the answer ends, but for a streamed one's length.

    Raises:
        ValueError: it is none.
    """
    name = _text(value)
    if name.lower() in FRAMING or (name.lower() == "content-length" and not streamed):
        raise ValueError(f"{name} is not for a worker to say")
    return name


def _milliseconds(text: str) -> str:
    """A duration as workers say it: digits, with or without a point.

    Raises:
        ValueError: it is none.
    """
    if not text.replace(".", "", 1).isdigit():
        raise ValueError(f"{text!r} are no milliseconds")
    return text


def _status(value: object) -> int:
    """An HTTP status.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, int) or not 200 <= value <= 999:
        raise ValueError(f"{value!r} is no status")
    return value
