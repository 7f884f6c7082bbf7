"""The content store on a real disk."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring_server.domain.errors import InvalidRequest, NotFound
from mooring_server.store.content import Blob, ContentStore, digest_of, parse_digest

ABSENT = "sha256:" + "0" * 64


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "content")


def uploads(store: ContentStore) -> list[Path]:
    return list(store.uploads.iterdir())


@given(data=st.binary(max_size=4096))
@settings(max_examples=30)
def test_a_blob_comes_back_under_its_sha256(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    store = ContentStore(tmp_path_factory.mktemp("content"))
    digest = store.put_bytes(data)
    assert digest == "sha256:" + hashlib.sha256(data).hexdigest() == digest_of(data)
    assert store.has(digest)
    assert store.read(digest) == data
    assert store.size(digest) == len(data)
    assert store.path(digest).read_bytes() == data
    assert list(store.digests()) == [digest]
    assert not uploads(store)


@given(st.text(max_size=90))
def test_no_text_becomes_a_path_outside(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_digest(text)
    assert caught.value.code == "DigestInvalid"


@pytest.mark.parametrize(
    "digest",
    [
        "sha256:../../../../etc/passwd",
        "sha256:" + "A" * 64,
        "sha256:" + "0" * 64 + "\n",
        "sha256:" + "0" * 64 + "/..",
        "md5:" + "0" * 64,
        "0" * 64,
    ],
)
def test_digests_that_are_none(store: ContentStore, digest: str) -> None:
    for call in (store.has, store.path, store.size, store.open, store.delete):
        with pytest.raises(InvalidRequest):
            call(digest)


def test_missing_blobs(store: ContentStore) -> None:
    assert not store.has(ABSENT)
    assert not store.delete(ABSENT)
    for call in (store.path, store.size, store.open):
        with pytest.raises(NotFound) as caught:
            call(ABSENT)
        assert caught.value.code == "BlobNotFound"
        assert caught.value.http_status == 404


def test_written_in_pieces_with_the_right_announcement(store: ContentStore) -> None:
    with store.writer() as writer:
        writer.write(b"half ")
        assert not list(store.digests())
        writer.write(memoryview(b"whole"))
        blob = writer.commit(expected=digest_of(b"half whole"))
    assert blob == Blob(digest_of(b"half whole"), 10)
    assert store.read(blob.digest) == b"half whole"


def test_a_wrong_announcement_stores_nothing(store: ContentStore) -> None:
    with store.writer() as writer:
        writer.write(b"changed on the way")
        with pytest.raises(InvalidRequest) as caught:
            writer.commit(expected=ABSENT)
    assert caught.value.code == "DigestMismatch"
    assert digest_of(b"changed on the way") in caught.value.message
    assert not list(store.digests())
    assert not uploads(store)


def test_leaving_without_commit_removes_the_upload(store: ContentStore) -> None:
    with store.writer() as writer:
        writer.write(b"abc")
        assert uploads(store)
    assert not uploads(store)
    assert not list(store.digests())


def test_the_same_blob_written_by_many_at_once(store: ContentStore) -> None:
    data = os.urandom(1 << 18)

    def write(_: int) -> str:
        with store.writer() as writer:
            for offset in range(0, len(data), 1000):
                writer.write(data[offset : offset + 1000])
            return writer.commit().digest

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(write, range(24))) == {digest_of(data)}
    assert store.read(digest_of(data)) == data
    assert not uploads(store)


def test_files_are_copied_and_blobs_deleted(store: ContentStore, tmp_path: Path) -> None:
    source = tmp_path / "model.pkl"
    source.write_bytes(b"weights" * 1000)
    blob = store.put_file(source)
    source.write_bytes(b"other")
    assert store.size(blob.digest) == blob.size == 7000
    assert store.delete(blob.digest)
    assert not store.has(blob.digest)


def test_stale_uploads_go_and_fresh_ones_stay(store: ContentStore) -> None:
    stale, fresh = store.writer(), store.writer()
    stale.write(b"from a killed process")
    os.utime(stale._path, (1, 1))
    assert store.remove_stale_uploads(3600) == 1
    assert uploads(store) == [fresh._path]
    stale.abort()
    fresh.abort()


SCRIPT = """
import sys
from pathlib import Path
from mooring_server.domain.errors import MooringError
from mooring_server.store.content import ContentStore
store = ContentStore(Path(sys.argv[1]))
try:
    with store.writer() as writer:
        for _ in range(100):
            writer.write(bytes(65536))
except MooringError as error:
    print(error.code, error.http_status, error.evidence["needed"], len(list(store.uploads.iterdir())))
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_a_full_disk_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    mount = [
        "unshare",
        "-Urm",
        "sh",
        "-c",
        'mount -t tmpfs -o size=256k none "$1" && exec "$2" -c "$3" "$1"',
        "sh",
    ]
    run = subprocess.run(
        [*mount, str(tmp_path), sys.executable, SCRIPT], capture_output=True, text=True, check=False
    )
    if run.returncode and ("mount" in run.stderr or "unshare" in run.stderr):
        pytest.skip(f"no user name spaces here: {run.stderr}")
    code, status, needed, left = run.stdout.split()
    assert (code, status, left) == ("DiskFull", "507", "0")
    assert int(needed) > 200_000
