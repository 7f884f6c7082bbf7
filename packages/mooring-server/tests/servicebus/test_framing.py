import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_server.servicebus.codec import Malformed
from mooring_server.servicebus.framing import MAX_FRAME, Frames
from mooring_server.servicebus.sections import BATCH_FORMAT


def frame(body: bytes, kind: int = 0) -> bytes:
    return struct.pack(">IBBH", len(body) + 8, 2, kind, 0) + body


def transfer(message_format: int, payload: bytes = b"payload") -> bytes:
    fields = b"\x43\x43\xa0\x10" + b"t" * 16 + b"\x70" + struct.pack(">I", message_format) + b"\x42"
    return frame(b"\x00\x53\x14\xc0" + bytes((len(fields) + 1, 5)) + fields + payload)


STREAM = [
    b"AMQP\x03\x01\x00\x00",
    frame(b"x", 1),
    b"AMQP\x00\x01\x00\x00",
    frame(b""),
    transfer(0),
    transfer(BATCH_FORMAT),
]


@given(st.lists(st.integers(1, 40)))
def test_frames_are_found_however_they_arrive(sizes: list[int]) -> None:
    frames, data, found = Frames(), b"".join(STREAM), []
    for size in [*sizes, len(data)]:
        found += list(frames.feed(data[:size]))
        data = data[size:]
    assert [f for f, _ in found] == STREAM
    assert [m for _, m in found] == [0, 0, 0, 0, 0, BATCH_FORMAT]


@pytest.mark.parametrize(
    "head", [b"\x00\x00\x00\x07....", struct.pack(">I", MAX_FRAME + 1) + b"....", b"GET / HT"]
)
def test_what_is_no_frame(head: bytes) -> None:
    with pytest.raises(Malformed):
        list(Frames().feed(head))


@given(st.binary(max_size=60))
def test_a_transfer_that_cannot_be_read_has_no_format(body: bytes) -> None:
    for start in (b"", b"\x00\x53\x14", b"\x00\x53\x14\xc0\xff\x05"):
        ((found, message_format),) = Frames().feed(frame(start + body))
        assert found == frame(start + body)
        assert isinstance(message_format, int)
