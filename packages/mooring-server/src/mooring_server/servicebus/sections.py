"""Messages as AMQP 1.0 lays them out (amqp-core-messaging-v1.0, section 3.2), read and changed section by section.

What a sender wrote is kept byte for byte: a delivery gets another head (header, message annotations), a dead-lettered
one two application properties more; nothing else is decoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from mooring_server.servicebus.codec import (
    Array,
    Int,
    Malformed,
    Symbol,
    Timestamp,
    UInt,
    compound,
    decode,
    encode,
    items_of,
    skip,
)
from mooring_server.servicebus.queue import FOREVER, SCHEDULED, Message

# Transfers of this message format hold a message in each data section (Azure's batches).
BATCH_FORMAT = 0x80013700
_HEADER, _DELIVERY, _ANNOTATIONS, _PROPERTIES, _APPLICATION = 0x70, 0x71, 0x72, 0x73, 0x74
_DATA, _VALUE = 0x75, 0x77


class Section(NamedTuple):
    """Where a section lies: its descriptor begins at ``begin``, its value goes from ``body`` to ``end``."""

    code: int
    begin: int
    body: int
    end: int


@dataclass(frozen=True)
class Head:
    """What the broker needs to know of a message.

    Attributes:
        ttl: seconds; infinite if the sender did not say.
        scheduled: when it is to be enqueued, seconds since 1970; None for at once.
    """

    ttl: float
    scheduled: float | None


def split(raw: bytes) -> list[Section]:
    """The sections of a message.

    Raises:
        Malformed: these are no sections, or not in the order that AMQP asks for.
    """
    found: list[Section] = []
    at, last = 0, 0
    while at < len(raw):
        if raw[at] != 0 or raw[at + 1 : at + 2] not in {b"\x53", b"\x80"}:
            raise Malformed("a section of a message has to begin with its descriptor")
        code, body = decode(raw, at + 1)
        if not _HEADER <= code <= 0x78 or (code <= last and code not in {_DATA, 0x76}) or code < last:
            raise Malformed(f"a message has no section {code:#x} at this place")
        end = skip(raw, body)
        found.append(Section(code, at, body, end))
        at, last = end, code
    if last < _DATA:
        raise Malformed("a message has to have a body")
    return found


def messages_of(raw: bytes, message_format: int) -> list[bytes]:
    """The messages in a transfer: one, or those of a batch.

    Raises:
        Malformed: one of them is none.
    """
    if message_format != BATCH_FORMAT:
        split(raw)
        return [raw]
    found = [decode(raw, section.body)[0] for section in split(raw) if section.code == _DATA]
    for inner in found:
        if not isinstance(inner, bytes):
            raise Malformed("a batch holds bytes")
        split(inner)
    if not found:
        raise Malformed("a batch holds messages")
    return found


def read_head(raw: bytes) -> Head:
    """Time to live and schedule of a message.

    Raises:
        Malformed: they are not what AMQP and Azure say they are.
    """
    ttl, scheduled = FOREVER, None
    for code, _, body, _ in split(raw):
        if code == _HEADER:
            header, _ = decode(raw, body)
            if not isinstance(header, list):
                raise Malformed("a header has to be a list")
            if len(header) > 2 and isinstance(header[2], int):
                ttl = header[2] / 1000
        elif code == _ANNOTATIONS:
            annotations, _ = decode(raw, body)
            if not isinstance(annotations, dict):
                raise Malformed("message annotations have to be a map")
            at = annotations.get("x-opt-scheduled-enqueue-time")
            if isinstance(at, int):
                scheduled = at / 1000
    return Head(ttl, scheduled)


def render(raw: bytes, message: Message, *, locked: bool, source: str) -> bytes:
    """The message as receivers get it.

    Args:
        raw: as its sender wrote it.
        message: what the broker knows of it.
        locked: whether to say until when it is locked.
        source: name of the queue, told of a dead-lettered message.
    """
    header: list[bytes] = []
    annotations: list[bytes] = []
    application: list[bytes] = []
    head_end, before, after = 0, None, None
    for code, begin, value, end in split(raw):
        if code in {_HEADER, _DELIVERY, _ANNOTATIONS}:
            head_end = end
        if code == _HEADER:
            header = items_of(raw, value)
        elif code == _ANNOTATIONS:
            annotations = items_of(raw, value)
        elif code == _APPLICATION:
            application, before, after = items_of(raw, value), begin, end
        elif code > _APPLICATION and before is None:
            before = after = begin
    header = (header + [encode(None)] * 5)[:5]
    # It is durable; and how often it was given out before.
    header[0], header[4] = encode(True), encode(UInt(message.deliveries))
    told: dict[str, Any] = {
        "x-opt-sequence-number": message.seq,
        "x-opt-enqueued-time": _milliseconds(message.enqueued),
        "x-opt-enqueue-sequence-number": message.seq,
        "x-opt-message-state": Int(1 if message.deferred else 2 if message.place == SCHEDULED else 0),
    }
    if locked:
        told["x-opt-locked-until"] = _milliseconds(message.until)
    if message.reason is None:
        body = raw[head_end:]
    else:
        told["x-opt-deadletter-source"] = source
        why = {
            "DeadLetterReason": message.reason,
            "DeadLetterErrorDescription": message.description,
        }
        section = _section(_APPLICATION, _merged(application, dict(why.items())))
        body = raw[head_end:before] + section + raw[after:]
    return (
        _section(_HEADER, compound(0xD0, header))
        + _section(_ANNOTATIONS, _merged(annotations, {Symbol(name): told[name] for name in told}))
        + body
    )


def _merged(items: list[bytes], more: dict[Any, Any]) -> bytes:
    """A map of the keys and values there are, each as it was, but for those that are given anew."""
    pairs = zip(items[::2], items[1::2], strict=True)
    kept = [part for key, value in pairs if decode(key)[0] not in more for part in (key, value)]
    return compound(0xD1, kept + [encode(part) for pair in more.items() for part in pair])


@dataclass(frozen=True)
class Request:
    """A request to the broker itself: a message with a value, and a name for what to do in its properties."""

    message_id: Any
    reply_to: str | None
    properties: dict[Any, Any]
    value: Any


def read_request(raw: bytes) -> Request:
    """A request.

    Raises:
        Malformed
    """
    identity, value = None, None
    properties: dict[Any, Any] = {}
    reply_to: str | None = None
    for code, _, body, _ in split(raw):
        if code == _PROPERTIES:
            fields, _ = decode(raw, body)
            if not isinstance(fields, list):
                raise Malformed("properties have to be a list")
            identity = fields[0] if fields else None
            reply_to = fields[4] if len(fields) > 4 and isinstance(fields[4], str) else None
        elif code == _APPLICATION:
            properties, _ = decode(raw, body)
            if not isinstance(properties, dict):
                raise Malformed("application properties have to be a map")
        elif code == _VALUE:
            value, _ = decode(raw, body)
    return Request(identity, reply_to, properties, value)


def write_reply(request: Request, properties: dict[Any, Any], value: Any) -> bytes:
    """The answer to a request."""
    correlation: list[Any] = [None] * 5 + [request.message_id]
    parts = ((_PROPERTIES, correlation), (_APPLICATION, properties), (_VALUE, value))
    return b"".join(_section(code, encode(part)) for code, part in parts)


def elements(value: Any) -> list[Any]:
    """The items of an array or list.

    Raises:
        Malformed: it is neither.
    """
    if isinstance(value, Array):
        return list(value.items)
    if isinstance(value, list):
        return value
    raise Malformed("an array is needed here")


def _section(code: int, value: bytes) -> bytes:
    return bytes((0x00, 0x53, code)) + value


def _milliseconds(seconds: float) -> Timestamp:
    return Timestamp(int(seconds * 1000))
