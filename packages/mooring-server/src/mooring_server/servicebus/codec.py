"""AMQP 1.0's type system in bytes (OASIS amqp-core-types-v1.0, section 1.6): what message heads and requests need.

Python's own types where they say enough; `Symbol`, `UInt`, `Int`, `Timestamp`, `Array` and `Described` where AMQP tells
apart what Python does not. A plain int is an AMQP long.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

# Deeper nesting than anybody's; Python's own recursion limit is further away.
_DEEPEST = 32


class Symbol(str):
    """ASCII names of the protocol's own."""

    __slots__ = ()


class UInt(int):
    """32 bits without sign."""


class Int(int):
    """32 bits with sign."""


class Timestamp(int):
    """Milliseconds since 1970."""


@dataclass(frozen=True)
class Array:
    """Values of one type."""

    items: tuple[Any, ...]


@dataclass(frozen=True)
class Described:
    """A value with its descriptor."""

    descriptor: Any
    value: Any


class Malformed(ValueError):
    """These bytes are no AMQP."""


def _fixed(form: str, kind: Callable[[Any], Any] = lambda value: value) -> tuple[struct.Struct, Any]:
    return struct.Struct(form), kind


_FIXED: dict[int, tuple[struct.Struct, Callable[[Any], Any]]] = {
    0x50: _fixed(">B"),
    0x51: _fixed(">b"),
    0x52: _fixed(">B", UInt),
    0x53: _fixed(">B"),
    0x54: _fixed(">b", Int),
    0x55: _fixed(">b"),
    0x56: _fixed(">B", bool),
    0x60: _fixed(">H"),
    0x61: _fixed(">h"),
    0x70: _fixed(">I", UInt),
    0x71: _fixed(">i", Int),
    0x72: _fixed(">f"),
    0x73: _fixed(">I", chr),
    0x74: _fixed(">4s"),
    0x80: _fixed(">Q"),
    0x81: _fixed(">q"),
    0x82: _fixed(">d"),
    0x83: _fixed(">q", Timestamp),
    0x84: _fixed(">8s"),
    0x94: _fixed(">16s"),
    0x98: _fixed(">16s", lambda raw: UUID(bytes=raw)),
}
_VARIABLE: dict[int, Callable[[bytes], Any]] = {
    code + wide: kind
    for code, kind in (
        (0xA0, bytes),
        (0xA1, lambda raw: raw.decode("utf-8")),
        (0xA3, lambda raw: Symbol(raw.decode("ascii"))),
    )
    for wide in (0, 0x10)
}
_EMPTY: dict[int, Any] = {0x40: None, 0x41: True, 0x42: False, 0x43: UInt(0), 0x44: 0, 0x45: ()}


def skip(data: bytes, at: int) -> int:
    """Where the value that begins at ``at`` ends.

    Raises:
        Malformed
    """
    for _ in range(_DEEPEST):
        code = _byte(data, at)
        if code:
            break
        at = skip_descriptor(data, at + 1)
    width = code >> 4
    if width == 4:
        end = at + 1
    elif 5 <= width <= 9:
        end = at + 1 + (1, 2, 4, 8, 16)[width - 5]
    elif width in {0xA, 0xC, 0xE}:
        end = at + 2 + _byte(data, at + 1)
    elif width in {0xB, 0xD, 0xF}:
        end = at + 5 + _word(data, at + 1)
    else:
        raise Malformed(f"no type has the code {code:#x}")
    if end > len(data):
        raise Malformed("a value is longer than what holds it")
    return end


def skip_descriptor(data: bytes, at: int) -> int:
    """Where the descriptor that begins at ``at`` ends: a symbol or a number, nothing nested."""
    if not _byte(data, at):
        raise Malformed("a descriptor is described itself")
    return skip(data, at)


def decode(data: bytes, at: int = 0) -> tuple[Any, int]:
    """The value that begins at ``at``, and where it ends.

    Raises:
        Malformed
    """
    try:
        return _decode(data, at, 0)
    except (struct.error, UnicodeDecodeError, OverflowError, TypeError, ValueError) as error:
        if isinstance(error, Malformed):
            raise
        raise Malformed(str(error)) from error


def items_of(data: bytes, at: int) -> list[bytes]:
    """The items of the list or map that begins at ``at``, each as it stands there.

    Raises:
        Malformed: it is neither.
    """
    code = _byte(data, at)
    if code == 0x45:
        return []
    if code not in {0xC0, 0xC1, 0xD0, 0xD1}:
        raise Malformed("a list or map is needed here")
    end = skip(data, at)
    wide = code >= 0xD0
    count = _word(data, at + 5) if wide else _byte(data, at + 2)
    at += 9 if wide else 3
    found = []
    while at < end:
        after = skip(data, at)
        found.append(data[at:after])
        at = after
    if at != end or len(found) != count:
        raise Malformed("a list or map has not the items that it says")
    return found


def compound(code: int, items: list[bytes]) -> bytes:
    """A list (0xD0) or map (0xD1) of items in bytes."""
    raw = b"".join(items)
    return struct.pack(">BII", code, len(raw) + 4, len(items)) + raw


def encode(value: Any) -> bytes:
    """The value in bytes.

    Raises:
        TypeError: AMQP has no such type here.
    """
    if value is None:
        return b"\x40"
    if isinstance(value, bool):
        return b"\x41" if value else b"\x42"
    for kind, function in _ENCODERS:
        if isinstance(value, kind):
            return function(value)
    raise TypeError(f"no AMQP type for {type(value).__name__}")


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise Malformed("a value ends too early")
    return data[at]


def _word(data: bytes, at: int) -> int:
    if at + 4 > len(data):
        raise Malformed("a value ends too early")
    return int.from_bytes(data[at : at + 4], "big")


def _decode(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if depth > _DEEPEST:
        raise Malformed("values are nested too deeply")
    code = _byte(data, at)
    if code == 0:
        descriptor, at = _decode(data, at + 1, depth + 1)
        value, at = _decode(data, at, depth + 1)
        return Described(descriptor, value), at
    if code in _EMPTY:
        return ([] if code == 0x45 else _EMPTY[code]), at + 1
    if code in _FIXED:
        return _decode_fixed(data, at + 1, code)
    end = skip(data, at)
    if code in _VARIABLE:
        return _VARIABLE[code](data[at + (5 if code & 0x10 else 2) : end]), end
    if code in {0xC0, 0xC1, 0xD0, 0xD1}:
        return _decode_compound(data, at, code, depth), end
    if code in {0xE0, 0xF0}:
        return _decode_array(data, at, code, depth), end
    raise Malformed(f"no type has the code {code:#x}")


def _decode_compound(data: bytes, at: int, code: int, depth: int) -> Any:
    items = [_decode(item, 0, depth + 1)[0] for item in items_of(data, at)]
    if code in {0xC0, 0xD0}:
        return items
    if len(items) % 2:
        raise Malformed("a map has a key without a value")
    return dict(zip(items[::2], items[1::2], strict=True))


def _decode_fixed(data: bytes, at: int, code: int) -> tuple[Any, int]:
    layout, kind = _FIXED[code]
    (value,) = layout.unpack_from(data, at)
    return kind(value), at + layout.size


def _decode_array(data: bytes, at: int, kind: int, depth: int) -> Array:
    end = skip(data, at)
    count = _word(data, at + 5) if kind == 0xF0 else _byte(data, at + 2)
    at += 9 if kind == 0xF0 else 3
    code = _byte(data, at)
    at += 1
    if code in _EMPTY:  # items without bytes: any count would be free
        if count > end:
            raise Malformed("an array has more items than bytes")
        return Array((_EMPTY[code],) * count)
    items = []
    for _ in range(count):
        if at >= end:
            raise Malformed("an array has fewer items than it says")
        if code in _FIXED:
            value, at = _decode_fixed(data, at, code)
        else:
            # An item of variable width is the value without its code.
            value, after = _decode(bytes((code,)) + data[at:end], 0, depth + 1)
            at += after - 1
        items.append(value)
    if at != end:
        raise Malformed("an array is longer than its items")
    return Array(tuple(items))


def _variable(short: int, long: int, raw: bytes) -> bytes:
    if len(raw) < 256:
        return bytes((short, len(raw))) + raw
    return struct.pack(">BI", long, len(raw)) + raw


def _encode_array(array: Array) -> bytes:
    encoded = [encode(item) for item in array.items]
    code = encoded[0][:1] if encoded else b"\x40"
    if any(item[:1] != code for item in encoded):
        raise TypeError("an array's items are of one type and width")
    raw = code + b"".join(item[1:] for item in encoded)
    return struct.pack(">BII", 0xF0, len(raw) + 4, len(encoded)) + raw


_ENCODERS: tuple[tuple[type, Callable[[Any], bytes]], ...] = (
    (Timestamp, lambda value: struct.pack(">Bq", 0x83, value)),
    (UInt, lambda value: struct.pack(">BI", 0x70, value)),
    (Int, lambda value: struct.pack(">Bi", 0x71, value)),
    (int, lambda value: struct.pack(">Bq", 0x81, value)),
    (float, lambda value: struct.pack(">Bd", 0x82, value)),
    (Symbol, lambda value: _variable(0xA3, 0xB3, value.encode("ascii"))),
    (str, lambda value: _variable(0xA1, 0xB1, value.encode("utf-8"))),
    (bytes, lambda value: _variable(0xA0, 0xB0, value)),
    (UUID, lambda value: b"\x98" + value.bytes),
    (list, lambda value: compound(0xD0, [encode(item) for item in value])),
    (dict, lambda value: compound(0xD1, [encode(part) for pair in value.items() for part in pair])),
    (Array, _encode_array),
    (Described, lambda value: b"\x00" + encode(value.descriptor) + encode(value.value)),
)
