from __future__ import annotations

from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_runtime.worker import frames

FRAMES = st.lists(
    st.tuples(
        st.integers(0, 0xFFFFFFFF), st.sampled_from(sorted(frames.KINDS)), st.binary(max_size=40), st.binary()
    ),
    max_size=6,
)


@given(FRAMES, st.lists(st.integers(1, 50), max_size=20), st.sampled_from([0, 3, frames.LONG]))
def test_round_trip_however_the_stream_is_cut(
    sent: list[tuple[int, int, bytes, bytes]], cuts: list[int], long: int
) -> None:
    with mock.patch.object(frames, "LONG", long):
        _round_trip(sent, cuts)


def _round_trip(sent: list[tuple[int, int, bytes, bytes]], cuts: list[int]) -> None:
    stream = b"".join(frames.encode(*frame) for frame in sent)
    decoder = frames.Decoder()
    received = []
    for cut in cuts:
        piece, stream = stream[:cut], stream[cut:]
        if piece:
            received += decoder.feed(piece)
    if stream:
        received += decoder.feed(stream)
    assert received == sent
    assert decoder.pending == 0


@given(st.binary(min_size=frames.HEADER_SIZE, max_size=200))
def test_garbage_is_refused_or_waited_for(data: bytes) -> None:
    decoder = frames.Decoder(max_body=100)
    try:
        decoder.feed(data)
    except frames.FrameError:
        return
    assert data[0] == frames.MAGIC
    assert data[1] in frames.KINDS


def test_a_body_that_is_too_long_is_refused_by_its_header() -> None:
    frame = frames.encode(1, frames.TEXT, b"", b"x" * 11)
    with pytest.raises(frames.FrameError, match="not a frame"):
        frames.Decoder(max_body=10).feed(frame[: frames.HEADER_SIZE])
    assert frames.Decoder(max_body=11).feed(frame) == [(1, frames.TEXT, b"", b"x" * 11)]


def test_a_head_that_is_too_long_is_not_said() -> None:
    with pytest.raises(frames.FrameError):
        frames.encode(1, frames.FULL, b"x" * (frames.MAX_HEAD + 1), b"")


def test_an_incomplete_frame_waits() -> None:
    decoder = frames.Decoder()
    frame = frames.encode(7, frames.RESULT, b"1.0", b"[]")
    assert decoder.feed(frame[:-1]) == []
    assert decoder.pending == len(frame) - 1
    assert decoder.feed(frame[-1:] + frame[:3]) == [(7, frames.RESULT, b"1.0", b"[]")]
    assert decoder.pending == 3
