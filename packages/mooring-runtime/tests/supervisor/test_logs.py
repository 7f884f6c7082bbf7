from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mooring_runtime.supervisor.logs import MAX_LINE, TAIL_BYTES, Output, RotatingLog


def test_a_timestamp_and_nothing_else(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "a.log")
    log.write([b"one", b"", b"\xff two"])
    log.close()
    lines = (tmp_path / "a.log").read_bytes().splitlines()
    stamp = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert [re.sub(stamp, b"T", line) for line in lines] == [b"T one", b"T ", b"T \xff two"]


def test_rotation(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "a.log", max_bytes=100, backups=3)
    for number in range(20):
        log.write([b"x" * 40 + b" %d" % number])
    log.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["a.log", "a.log.1", "a.log.2", "a.log.3"]
    assert all(path.stat().st_size <= 100 for path in tmp_path.iterdir())
    assert b" 19\n" in (tmp_path / "a.log").read_bytes()


def test_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    for text in (b"first", b"second"):
        log = RotatingLog(tmp_path / "a.log")
        log.write([text])
        log.close()
    assert len((tmp_path / "a.log").read_bytes().splitlines()) == 2


@given(st.lists(st.binary(max_size=30)))
def test_lines_however_they_come(pieces: list[bytes]) -> None:
    lines: list[bytes] = []
    output = Output(lines.extend)
    for piece in pieces:
        output.feed(piece)
    output.finish()
    whole = b"".join(pieces)
    expected = whole.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    assert lines == expected


def test_long_lines_are_cut_and_the_tail_is_bounded() -> None:
    lines: list[bytes] = []
    output = Output(lines.extend)
    output.feed(b"x" * (MAX_LINE * 2 + 10))
    assert [len(line) for line in lines] == [MAX_LINE, MAX_LINE]
    for number in range(10000):
        output.feed(b"line %d\n" % number)
    assert len(output.tail()) <= TAIL_BYTES
    assert output.tail().endswith("line 9999\n")
