"""Unpacking: nothing leaves the image, nothing is done twice, nothing that is used is removed."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isal import igzip

from mooring_server.domain.errors import MooringError, PhaseFailed
from mooring_server.images import oci
from mooring_server.images.extract import Extractor, Limits
from mooring_server.images.layers import Entry, write_layer
from mooring_server.images.scratch import Scratch, _started

from .conftest import Recorder, Workshop


def archive(*members: tarfile.TarInfo) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for member in members:
            member.size = 4 if member.isreg() else 0
            tar.addfile(member, io.BytesIO(b"data") if member.isreg() else None)
    packed: bytes = igzip.compress(raw.getvalue())
    return packed


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, 0o6755
    return info


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    (tmp_path / "outside").mkdir()
    return tmp_path / "root"


def extract(place: Path, *members: tarfile.TarInfo, strip: str = "") -> None:
    blob = place.parent / "layer.tar.gz"
    blob.write_bytes(archive(*members))
    Extractor(place, strip).extract(blob)


@pytest.mark.parametrize(
    "members",
    [
        [member("../evil")],
        [member("a/../../evil")],
        [member("/etc/evil")],
        [member("link", tarfile.SYMTYPE, "/etc")],
        [member("link", tarfile.SYMTYPE, "../outside")],
        [member("a/link", tarfile.SYMTYPE, "../../outside")],
        [member("a/up", tarfile.SYMTYPE, ".."), member("link", tarfile.SYMTYPE, "a/up/..")],
        [member("link", tarfile.SYMTYPE, "a"), member("a", tarfile.DIRTYPE), member("link/evil")],
        [member("a", tarfile.DIRTYPE), member("link", tarfile.SYMTYPE, "a"), member("link", tarfile.DIRTYPE)],
        [member("hard", tarfile.LNKTYPE, "/etc/passwd")],
        [member("device", tarfile.CHRTYPE)],
        [member("pipe", tarfile.FIFOTYPE)],
        [member("a"), member("a/b")],
        [member("a/b"), member("a")],
    ],
)
def test_what_is_refused(place: Path, members: list[tarfile.TarInfo]) -> None:
    with pytest.raises(PhaseFailed) as caught:
        extract(place, *members)
    assert caught.value.code == "LayerUnsafe"
    assert not list((place.parent / "outside").iterdir())
    assert not (place.parent / "evil").exists()


def test_what_is_extracted(place: Path) -> None:
    extract(
        place,
        member("./a/file"),
        member("a/link", tarfile.SYMTYPE, "file"),
        member("b/up", tarfile.SYMTYPE, "../a/file"),
        member("a/file"),
        member("a/link"),
    )
    assert (place / "a/file").read_bytes() == b"data"
    assert not (place / "a/link").is_symlink()
    assert (place / "b/up").resolve() == place / "a/file"
    assert (place / "a/file").stat().st_mode & 0o7777 == 0o755


def test_a_prefix_is_taken_away_and_nothing_else_accepted(place: Path) -> None:
    extract(place, member("opt", tarfile.DIRTYPE), member("opt/x/file"), strip="/opt/x")
    assert (place / "file").is_file()
    for name in ("etc/file", "opt/x", "opt/y/file"):
        with pytest.raises(PhaseFailed):
            extract(place, member(name), strip="/opt/x")


@given(st.text("abc/.", max_size=10), st.text("ab/.", max_size=8))
def test_no_link_leads_outside(tmp_path_factory: pytest.TempPathFactory, name: str, link: str) -> None:
    place = tmp_path_factory.mktemp("x") / "r"
    place.mkdir()
    try:
        extract(place, member("a/b/c"), member(name, tarfile.SYMTYPE, link))
    except (PhaseFailed, OSError):
        return
    for path in place.rglob("*"):
        goal = Path(os.path.normpath(path.parent / os.readlink(path))) if path.is_symlink() else path  # noqa: PTH115
        assert goal.is_relative_to(place)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(ratio=10, floor=1 << 20), "more than"),
        (Limits(entries=3), "more than 3 entries"),
    ],
)
def test_bombs(place: Path, limits: Limits, words: str) -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for number in range(4):
            info = tarfile.TarInfo(f"zeros{number}")
            info.size = 4 << 20
            tar.addfile(info, io.BytesIO(bytes(info.size)))
    blob = place.parent / "bomb"
    blob.write_bytes(igzip.compress(raw.getvalue()))
    with pytest.raises(PhaseFailed) as caught:
        Extractor(place, limits=limits).extract(blob)
    assert caught.value.code == "LayerTooLarge"
    assert words in caught.value.message
    written = sum(path.stat().st_size for path in place.iterdir())
    assert written <= max(limits.size(blob.stat().st_size), 12 << 20)


def test_paths_that_are_too_long(place: Path) -> None:
    for name in ("a/" * 200 + "b", "/".join(["c" * 200] * 30)):
        with pytest.raises(PhaseFailed) as caught:
            extract(place, member(name))
        assert caught.value.code == "LayerUnsafe"


def test_sparse_files_are_refused(place: Path) -> None:
    """A sparse file's zeros are in no stream that could be counted."""
    blob = place.parent / "sparse"
    (place.parent / "hole").write_bytes(b"")
    os.truncate(place.parent / "hole", 1 << 30)
    tarball = place.parent / "sparse.tar"
    subprocess.run(["tar", "-S", "-cf", tarball, "-C", place.parent, "hole"], check=True)
    blob.write_bytes(igzip.compress(tarball.read_bytes()))
    with pytest.raises(PhaseFailed) as caught:
        Extractor(place).extract(blob)
    assert caught.value.code == "LayerUnsafe"


def test_damaged_layers(place: Path) -> None:
    blob = place.parent / "layer"
    whole = archive(member("a"))
    for damaged in (b"no gzip", whole[: len(whole) // 2], igzip.compress(b"no tar" * 200)):
        blob.write_bytes(damaged)
        with pytest.raises(PhaseFailed) as caught:
            Extractor(place).extract(blob)
        assert caught.value.code == "LayerDamaged"


def test_prune_keeps_what_is_used(workshop: Workshop) -> None:
    old, new, other = (
        workshop.builder.build(request, Recorder()).digest
        for request in (
            workshop.request(["six"], model=b"1"),
            workshop.request(["six"], model=b"2"),
            workshop.request([], model=b"2"),
        )
    )
    gone, kept, third = (workshop.unpacker.materialise(digest) for digest in (old, new, other))
    assert workshop.unpacker.prune(lambda: [new]) == 4  # two images, one model, one environment
    assert not gone.root.exists()
    assert not third.python.exists()
    assert workshop.unpacker.materialise(new) == kept
    assert (kept.app_root / "azureml-models/m/1/model.pkl").read_bytes() == b"2"
    assert workshop.unpacker.prune(lambda: [new]) == 0
    assert workshop.unpacker.materialise(old).root.is_dir()


def test_a_killed_unpacking_leaves_nothing_that_counts(workshop: Workshop) -> None:
    digest = workshop.builder.build(workshop.request(), Recorder()).digest
    half = workshop.root / "unpacked" / "tmp" / "4194305-left" / "made"
    half.mkdir(parents=True)
    workshop.reopen()
    assert workshop.unpacker.clean_stale() == 1
    assert workshop.unpacker.materialise(digest).python.exists()


def test_an_image_of_another_python(workshop: Workshop) -> None:
    digest = workshop.builder.build(workshop.request(), Recorder()).digest
    image = workshop.store.read(digest)
    config_digest = __import__("json").loads(image)["config"]["digest"]
    config = workshop.store.read(config_digest).replace(
        b'"dev.mooring.python":"3.', b'"dev.mooring.python":"3.99'
    )
    foreign = workshop.store.put_bytes(
        image.replace(config_digest.encode(), workshop.store.put_bytes(config).encode())
    )
    with pytest.raises(PhaseFailed) as caught:
        workshop.unpacker.materialise(foreign)
    assert caught.value.code == "PythonNotAvailable"
    assert caught.value.phase == "Unpack"


@pytest.mark.parametrize("content", [b"no json", b"[]", b"{}"])
def test_what_is_no_manifest(workshop: Workshop, content: bytes) -> None:
    with pytest.raises(MooringError) as caught:
        workshop.unpacker.materialise(workshop.store.put_bytes(content))
    assert caught.value.code == "ImageInvalid"


def test_variables_that_name_paths_of_the_image(workshop: Workshop) -> None:
    variables = {"A": "/var/azureml-app/x:/opt/mooring/env/bin:/usr/bin", "B": "see /var/azureml-apple"}
    request = workshop.request(environment={"environmentVariables": variables})
    image = workshop.unpacker.materialise(workshop.builder.build(request, Recorder()).digest)
    assert image.env["A"] == f"{image.app_root}/x:{image.python.parent}:/usr/bin"
    assert image.env["B"] == "see /var/azureml-apple"


def test_links_of_the_app_do_not_move_the_models(workshop: Workshop) -> None:
    """An image from elsewhere whose app makes azureml-models a link."""
    built = workshop.builder.build(workshop.request(), Recorder())
    evil = workshop.store.put_bytes(
        archive(member("var/azureml-app/azureml-models", tarfile.SYMTYPE, "../.."))
    )
    text = workshop.store.read(built.digest).decode()
    app = next(
        layer for layer in __import__("json").loads(text)["layers"] if layer["annotations"][oci.KIND] == "app"
    )
    foreign = workshop.store.put_bytes(text.replace(app["digest"], evil).encode())
    with pytest.raises(PhaseFailed) as caught:
        workshop.unpacker.materialise(foreign)
    assert caught.value.code == "LayerUnsafe"


def test_scratch_directories_of_the_living_stay(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    other = tmp_path / f"{os.getppid()}.{_started(os.getppid())}-other"
    other.mkdir()
    (tmp_path / f"{os.getpid()}.{_started(os.getpid())}-recycled").mkdir()
    (tmp_path / f"{os.getppid()}.1-before-the-reboot").mkdir()
    with scratch.directory() as mine:
        assert scratch.clean_stale() == 2
        assert mine.is_dir()
    assert not mine.exists()
    assert other.is_dir()


def test_long_and_foreign_names_survive(workshop: Workshop, place: Path) -> None:
    names = ["ü" * 60 + "/" + "x" * 150 + ".py", "plain"]
    layer = write_layer(workshop.store, [Entry(name, b"1") for name in names], "app", "app")
    Extractor(place).extract(workshop.store.path(layer.digest))
    assert all((place / name).read_bytes() == b"1" for name in names)
