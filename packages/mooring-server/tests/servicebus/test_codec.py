from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_server.servicebus.codec import (
    Array,
    Described,
    Int,
    Malformed,
    Symbol,
    Timestamp,
    UInt,
    decode,
    encode,
    items_of,
    skip,
)

ASCII = st.text(st.characters(max_codepoint=127))
SIMPLE = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.integers(0, 2**32 - 1).map(UInt)
    | st.integers(-(2**31), 2**31 - 1).map(Int)
    | st.integers(0, 2**50).map(Timestamp)
    | st.floats(allow_nan=False)
    | st.text(max_size=300)
    | ASCII.map(Symbol)
    | st.binary(max_size=300)
    | st.uuids()
)
VALUES = st.recursive(
    SIMPLE,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(ASCII, inner, max_size=4)
        | st.builds(Described, st.integers(0, 200), inner)
    ),
    max_leaves=10,
)


def plain(value: Any) -> Any:
    """Types and values, since a Symbol is a str and an UInt an int."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {(type(k), k): plain(v) for k, v in value.items()}
    if isinstance(value, Described):
        return plain(value.descriptor), plain(value.value)
    return type(value), value


@given(VALUES)
def test_what_is_encoded_is_decoded(value: Any) -> None:
    data = encode(value)
    found, end = decode(data)
    assert plain(found) == plain(value)
    assert end == len(data) == skip(data, 0)


@given(st.lists(st.uuids(), min_size=1) | st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1))
def test_arrays(items: list[Any]) -> None:
    assert decode(encode(Array(tuple(items))))[0] == Array(tuple(items))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_malformed(data: bytes) -> None:
    try:
        _, end = decode(data)
    except Malformed:
        return
    assert end <= len(data)


@given(VALUES, st.data())
def test_what_is_damaged_is_a_value_or_malformed(value: Any, data: st.DataObject) -> None:
    raw = bytearray(encode(value))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] = data.draw(st.integers(0, 255))
    try:
        decode(bytes(raw))
    except Malformed:
        return


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 100,
        b"\xc1\x02\x01\x40",  # a key without a value
        b"\xd0\x00\x00\x00\x08\xff\xff\xff\xff\x40\x40\x40\x40",  # fewer items than it says
        b"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x40",  # four thousand million nulls
        b"\xb0\xff\xff\xff\xff",
        b"\xa1\x01\xff",
        b"\x3f",
    ],
)
def test_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data)


def test_lists_in_lists_have_an_end() -> None:
    data = b"\x45"
    for _ in range(100):
        data = b"\xd0" + (len(data) + 4).to_bytes(4, "big") + b"\0\0\0\1" + data
    with pytest.raises(Malformed):
        decode(data)


def test_items_as_they_stand() -> None:
    assert items_of(encode([1, "two", None]), 0) == [encode(1), encode("two"), encode(None)]
    assert items_of(encode({"a": UUID(int=1)}), 0) == [encode("a"), encode(UUID(int=1))]
    with pytest.raises(Malformed):
        items_of(encode("no list"), 0)
