"""The format of a backup: what was written is read, and nothing else is."""

import hashlib
import io
import tarfile
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring_server.domain.errors import MooringError
from mooring_server.store.archive import (
    END,
    SUMMARY,
    Entry,
    archive_size,
    blob_name,
    entries_of,
    pieces,
    read_small,
)

BLOBS = [b"", b"x", b"y" * 511, b"z" * 512, b"w" * 2_000_000]


def entry(name: str, data: bytes) -> Entry:
    return Entry(name, len(data), lambda: io.BytesIO(data))


def blob(data: bytes) -> Entry:
    return entry(blob_name("sha256:" + hashlib.sha256(data).hexdigest()), data)


def written(*entries: Entry) -> bytes:
    return b"".join(pieces(entries))


def read(data: bytes) -> dict[str, bytes]:
    return {name: b"".join(content) for name, _, content in entries_of(io.BytesIO(data))}


def small() -> bytes:
    return written(entry(SUMMARY, b"{}"), entry("settings.json", b"settings"), blob(b"content"))


def tar(*members: tarfile.TarInfo) -> bytes:
    return b"".join(m.tobuf(tarfile.GNU_FORMAT) + b"\0" * (-(-m.size // 512) * 512) for m in members)


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.size, made.linkname = kind, size, link
    return made


def test_what_was_written_is_read_and_its_size_was_known() -> None:
    entries = [entry(SUMMARY, b"{}"), entry("mooring.db", b"d" * 1000), *map(blob, BLOBS)]
    data = written(*entries)
    assert len(data) == archive_size(entries)
    assert list(read(data).values()) == [b"{}", b"d" * 1000, *BLOBS]
    with tarfile.open(fileobj=io.BytesIO(data)) as ordinary:  # any tar can list and unpack it
        assert ordinary.getnames()[-1] == END
        assert len(ordinary.getnames()) == len(entries) + 1


def test_pieces_are_small() -> None:
    assert max(map(len, pieces([blob(b"w" * 5_000_000)]))) <= 1 << 20


def test_a_size_above_8_gib_is_written_and_read() -> None:
    class Endless(io.RawIOBase):
        pass

    big = Entry("mooring.db", 9 * 2**30, lambda: io.BufferedReader(Endless()))
    header = next(pieces([big]))
    found = entries_of(io.BytesIO(b"".join(pieces([entry(SUMMARY, b"{}")]))[:1024] + header))
    next(found)
    assert next(found)[:2] == ("mooring.db", 9 * 2**30)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_one_wrong_byte_is_noticed(data: st.DataObject) -> None:
    whole = bytearray(small())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(MooringError) as caught:
        read(bytes(whole))
    assert caught.value.code in {"BackupDamaged", "BackupInvalid"}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(small()) - 1))
def test_a_part_of_it_is_noticed(length: int) -> None:
    with pytest.raises(MooringError) as caught:
        read(small()[:length])
    assert caught.value.code in {"BackupDamaged", "BackupInvalid"}


def test_what_follows_the_end_is_noticed() -> None:
    with pytest.raises(MooringError, match="follows its end"):
        read(small() + b"x")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=3000))
def test_anything_else_is_no_backup(data: bytes) -> None:
    with pytest.raises(MooringError):
        read(data)


@pytest.mark.parametrize(
    "bad",
    [
        member("../settings.json"),
        member("/etc/passwd"),
        member("blobs/sha256/../../../x"),
        member(f"blobs/sha256/aa/{'b' * 64}"),
        member("settings.json/"),
        member("settings.json", tarfile.SYMTYPE, link="/etc/passwd"),
        member("mooring.db", tarfile.LNKTYPE, link="settings.json"),
        member("mooring.db", tarfile.DIRTYPE),
        member("mooring.db", tarfile.CHRTYPE),
        member("mooring.db", tarfile.FIFOTYPE),
        member("mooring.db", tarfile.XHDTYPE, size=2**33),
        member("mooring.db", tarfile.GNUTYPE_LONGNAME, size=2**33),
        member("mooring.db", tarfile.GNUTYPE_SPARSE),
        member(SUMMARY, size=2),
    ],
    ids=lambda m: f"{m.name[:24]}-{m.type!r}",
)
def test_entries_that_backups_do_not_have_are_refused(bad: tarfile.TarInfo) -> None:
    with pytest.raises(MooringError) as caught:
        read(small()[:1024] + bad.tobuf(tarfile.GNU_FORMAT) + b"\0" * 4096)
    assert caught.value.code == "BackupDamaged"


def test_another_tar_is_told_from_a_damaged_backup() -> None:
    with pytest.raises(MooringError) as caught:
        read(tar(member("home/me/file", size=5)) + b"\0" * 1024)
    assert caught.value.code == "BackupInvalid"


def test_a_blob_must_have_the_content_of_its_name() -> None:
    lying = entry(blob_name("sha256:" + "a" * 64), b"other")
    with pytest.raises(MooringError, match="other content"):
        read(written(entry(SUMMARY, b"{}"), lying))


def test_an_entry_twice_is_refused() -> None:
    with pytest.raises(MooringError, match="not where it can be"):
        read(written(entry(SUMMARY, b"{}"), blob(b"x"), blob(b"x")))


def test_what_is_read_whole_is_small() -> None:
    def never() -> Iterator[bytes]:
        raise AssertionError("it is not read")
        yield b""

    with pytest.raises(MooringError, match="too many"):
        read_small("settings.json", 2**40, never())


def test_a_file_that_became_shorter_ends_the_backup() -> None:
    with pytest.raises(MooringError) as caught:
        written(Entry("mooring.db", 10, lambda: io.BytesIO(b"short")))
    assert caught.value.code == "BackupIncomplete"
