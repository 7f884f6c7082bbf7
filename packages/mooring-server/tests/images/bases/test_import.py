"""Bases from files: every form, and what is wrong with them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from mooring_server.domain.errors import PhaseFailed
from mooring_server.images.bases.archive import import_archive
from mooring_server.images.bases.base import Base, BaseContent
from mooring_server.store.content import ContentStore

from .roots import FILES, PYTHON, digest, image, layout, saved, tar, written


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


@pytest.mark.parametrize("form", [layout, saved])
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
