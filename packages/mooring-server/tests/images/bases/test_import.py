"""Bases from files: every form, and what is wrong with them."""

from __future__ import annotations

import gzip
import json
import sys
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mooring_server.domain.errors import PhaseFailed
from mooring_server.images.bases.archive import import_archive
from mooring_server.images.bases.base import Base, BaseContent
from mooring_server.images.docker_archive import docker_archive
from mooring_server.store.content import ContentStore

from .roots import FILES, PYTHON, digest, image, layout, saved, tar, written

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "content")


def take(store: ContentStore, data: bytes) -> Base:
    return import_archive(store, written(store.root / "archive", data), "mine", lambda _: None)


def refused(store: ContentStore, data: bytes, code: str) -> PhaseFailed:
    with pytest.raises(PhaseFailed) as caught:
        take(store, data)
    assert caught.value.code == code
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    "data",
    [layout(image()), saved(image()), tar(FILES), gzip.compress(tar(FILES))],
    ids=["layout", "docker save", "root", "packed root"],
)
def test_the_forms_of_an_image(store: ContentStore, data: bytes) -> None:
    base = take(store, data)
    assert base.facts.pythons == {PYTHON: f"/usr/bin/python{PYTHON}"}
    assert (base.facts.glibc, base.facts.shell, base.facts.certificates) == ("2.36", "", True)
    content = BaseContent.load(store, base)
    assert content.diff_ids == [digest(tar(FILES))]
    assert content.layers[0]["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
    assert base.size == content.layers[0]["size"]
    assert take(store, data) == base


PACKED = {"gzip": gzip.compress, "zstd": zstd.compress}


@pytest.mark.parametrize("packing", PACKED)
def test_an_archive_with_packed_layers(store: ContentStore, packing: str) -> None:
    data = saved(image(), PACKED[packing])
    content = BaseContent.load(store, take(store, data))
    assert content.diff_ids == [digest(tar(FILES))]
    # It is kept as it came.
    assert content.layers[0]["digest"] == digest(PACKED[packing](tar(FILES)))
    assert content.layers[0]["mediaType"].endswith(f"+{packing}")


def test_our_own_archives_come_back(store: ContentStore) -> None:
    base = take(store, layout(image()))
    again = take(store, b"".join(docker_archive(store, base.digest, "mine:1")))
    assert again.digest == base.digest


@pytest.mark.parametrize(("target", "code"), [("../1/layer.tar", None), ("../3/layer.tar", "ImageInvalid")])
def test_a_layer_that_occurs_twice_is_a_link(store: ContentStore, target: str, code: str | None) -> None:
    layer, config, _ = image().values()
    document = json.loads(config)
    document["rootfs"]["diff_ids"] *= 2
    listing = [{"Config": "c.json", "RepoTags": None, "Layers": ["1/layer.tar", "2/layer.tar"]}]
    files = {
        "c.json": json.dumps(document).encode(),
        "1/layer.tar": gzip.decompress(layer),
        "manifest.json": json.dumps(listing).encode(),
    }
    link = tarfile.TarInfo("2/layer.tar")
    link.type, link.linkname = tarfile.SYMTYPE, target
    data = link.tobuf() + tar(files)
    if code is not None:
        assert "2/layer.tar" in refused(store, data, code).message
        return
    assert len(BaseContent.load(store, take(store, data)).layers) == 2


def test_whiteouts_of_upper_layers_count(store: ContentStore) -> None:
    shell = {"bin/sh": b"", "usr/bin/python3.6": b"", **FILES}
    lower, config, manifest = image(shell).values()
    upper = gzip.compress(tar({"bin/.wh.sh": b"", "usr/bin/.wh.python3.6": b""}), mtime=0)
    document = json.loads(config)
    document["rootfs"]["diff_ids"].append(digest(gzip.decompress(upper)))
    config = json.dumps(document).encode()
    described = json.loads(manifest)
    described["config"] |= {"digest": digest(config), "size": len(config)}
    described["layers"].append({**described["layers"][0], "digest": digest(upper), "size": len(upper)})
    manifest = json.dumps(described).encode()
    base = take(store, layout({digest(each): each for each in (lower, upper, config, manifest)}))
    assert base.facts.shell == ""
    assert list(base.facts.pythons) == [PYTHON]


def test_another_architecture(store: ContentStore) -> None:
    error = refused(store, layout(image(architecture="s390x")), "ArchitectureMismatch")
    assert "linux/s390x" in error.message
    refused(store, saved(image(os="windows")), "ArchitectureMismatch")


def test_without_the_gnu_c_library(store: ContentStore) -> None:
    refused(store, tar({"lib/ld-musl-x86_64.so.1": b"", "bin/sh": b""}), "BaseNotSupported")


def saved_by_gzip(blobs: Mapping[str, bytes]) -> bytes:
    return saved(blobs, gzip.compress)


@pytest.mark.parametrize("form", [layout, saved, saved_by_gzip])
def test_a_layer_that_was_changed(store: ContentStore, form: object) -> None:
    blobs = image()
    name = next(iter(blobs))
    blobs[name] = gzip.compress(tar({**FILES, "etc/passwd": b"root::0:0"}), mtime=0)
    error = refused(store, form(blobs), "LayerTampered")  # type: ignore[operator]
    assert error.evidence["expected"]
    assert not list(store.uploads.iterdir())


def test_a_layer_that_is_cut_short(store: ContentStore) -> None:
    blobs = image()
    name = next(iter(blobs))
    blobs[name] = blobs[name][:-100]
    refused(store, layout(blobs), "LayerTampered")


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
@pytest.mark.parametrize("left", [0.1, 0.5, 0.99])
def test_a_packed_layer_that_is_cut_short(
    store: ContentStore, pack: Callable[[bytes], bytes], left: float
) -> None:
    def cut(data: bytes) -> bytes:
        whole = pack(data)
        return whole[: int(len(whole) * left)]

    error = refused(store, saved(image(), cut), "LayerDamaged")
    assert error.phase == "Resolve"
    assert "The layer 1 is no readable archive" in error.message
    assert set(store.digests()) == set()


def test_layers_that_do_not_fit_the_configuration(store: ContentStore) -> None:
    _, config, _ = image().values()
    files = {"c": config, "manifest.json": b'[{"Config":"c","Layers":[]}]'}
    assert "it has 0 layers" in refused(store, tar(files), "ImageInvalid").message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no archive",
        tar({}),
        tar({"oci-layout": b"{}", "index.json": b"{}"}),
        tar({"oci-layout": b"{}", "index.json": b"{"}),
        tar({"manifest.json": b"[]"}),
        tar({"manifest.json": b'[{"Config":"c","Layers":[]}]'}),
        layout({digest(b"{}"): b"{}"}),
        layout(image())[:2048],
        gzip.compress(tar(FILES))[:-30],
    ],
)
def test_files_that_hold_no_image(store: ContentStore, data: bytes) -> None:
    with pytest.raises(PhaseFailed) as caught:
        take(store, data)
    assert caught.value.code in {"ImageInvalid", "LayerDamaged"}
