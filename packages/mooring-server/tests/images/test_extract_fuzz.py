"""The archive reader against archives made to do harm: nothing is written outside, and errors are words."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from isal import igzip

from mooring_server.domain.errors import PhaseFailed
from mooring_server.images.extract import Extractor

KINDS = [
    *(tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE),
    *(tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE, b"Z"),
]
# Few parts, so that entries meet: a link where a directory is expected, a file below a file.
PARTS = st.sampled_from(["a", "b", "a", "b", "..", ".", "", "ä", "c\n", "..b", "\\..", "x" * 130])
PATHS = st.lists(PARTS, min_size=1, max_size=4).map("/".join) | st.sampled_from(
    ["/", "/etc/x", "../x", "a/../../x"]
)
TARGETS = PATHS | st.sampled_from([".", "..", "a", "b", "../outside", "/outside"])
# Files are written: the time an example takes is the machine's.
QUICK = settings(deadline=None, max_examples=60)
CONTENTS = st.binary(max_size=600)


@st.composite
def members(draw: st.DrawFn) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(draw(PATHS))
    info.type = draw(st.sampled_from(KINDS))
    info.linkname = draw(TARGETS)
    info.mode = draw(st.integers(0, 0o7777))
    info.mtime = draw(st.sampled_from([0, 1, 2**31, 2**33, -1, 10**17]))
    content = draw(CONTENTS) if info.isreg() else b""
    info.size = len(content)
    return info, content


def packed(entries: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return raw.getvalue()


@contextmanager
def guarded_root() -> Iterator[Path]:
    """A directory to extract into; afterwards what lies beside it has to be as before."""
    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch)
        root = base / "root"
        root.mkdir()
        (base / "outside").mkdir()
        (base / "outside" / "x").write_text("untouched")
        yield root
        assert {p.name for p in base.iterdir()} <= {"root", "outside", "layer"}
        assert [p.read_text() for p in (base / "outside").iterdir()] == ["untouched"]
        for folder, directories, files in os.walk(root):
            for name in [*directories, *files]:
                path = Path(folder, name)
                status = path.lstat()
                assert stat.S_IFMT(status.st_mode) in {stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK}
                if stat.S_ISLNK(status.st_mode):
                    assert Path(os.path.realpath(path)).is_relative_to(root), path
                else:
                    assert not status.st_mode & 0o7022, path
                assert stat.S_ISDIR(status.st_mode) or status.st_nlink == 1


def extract(root: Path, blob: bytes, strip: str = "") -> None:
    layer = root.parent / "layer"
    layer.write_bytes(blob)
    try:
        Extractor(root, strip).extract(layer)
    except PhaseFailed as error:
        assert error.code in {"LayerUnsafe", "LayerDamaged"}, error.code


@QUICK
@given(st.lists(members(), max_size=8), st.sampled_from(["", "a", "a/b"]))
def test_nothing_is_written_outside_whatever_the_entries_are(
    entries: list[tuple[tarfile.TarInfo, bytes]], strip: str
) -> None:
    with guarded_root() as root:
        extract(root, igzip.compress(packed(entries)), strip)


@QUICK
@given(st.lists(members(), min_size=1, max_size=4), st.data())
def test_damaged_archives_are_told_as_such(
    entries: list[tuple[tarfile.TarInfo, bytes]], data: st.DataObject
) -> None:
    raw = bytearray(packed(entries))
    for _ in range(data.draw(st.integers(0, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    blob = bytearray(igzip.compress(bytes(raw[: data.draw(st.integers(0, len(raw)))])))
    for _ in range(data.draw(st.integers(0, 2))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    with guarded_root() as root:
        extract(root, bytes(blob[: data.draw(st.integers(0, len(blob)))]))


@QUICK
@given(st.binary(max_size=2000))
@example(b"")
@example(b"\x1f\x8b")
@example(igzip.compress(b"\0" * 511))
def test_garbage_is_no_archive(garbage: bytes) -> None:
    with guarded_root() as root:
        extract(root, garbage)
        extract(root, igzip.compress(garbage))


@pytest.mark.parametrize("way", ["a/b", "a/./b", "a//b"])
def test_no_file_is_written_through_a_link_of_the_same_image(way: str) -> None:
    link, file = tarfile.TarInfo("a"), tarfile.TarInfo(way)
    link.type, link.linkname, file.size = tarfile.SYMTYPE, ".", 1
    with guarded_root() as root, pytest.raises(PhaseFailed, match="below a symbolic link"):
        layer = root.parent / "layer"
        layer.write_bytes(igzip.compress(packed([(link, b""), (file, b"x")])))
        Extractor(root).extract(layer)
