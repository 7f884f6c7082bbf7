"""Images upon a base: what a container engine finds in them."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from mooring_server.domain.errors import PhaseFailed
from mooring_server.images.artifacts import SBOM_TYPE
from mooring_server.images.bases.archive import import_archive
from mooring_server.images.bases.base import Base
from mooring_server.images.builder import ImageBuilder
from mooring_server.images.compression import LIMITS, ZSTD, opened
from mooring_server.images.types import BuildRequest, TreeFile
from mooring_server.images.unpack import Unpacker
from mooring_server.store.content import ContentStore

from .roots import FILES, PYTHON, image, layout, written


class Quiet:
    """A reporter that nobody reads."""

    def phase(self, name: str, detail: str = "") -> None:
        """A phase begins."""

    def log(self, message: str) -> None:
        """A line."""


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "content")


def base_in(store: ContentStore, files: Any = FILES) -> Base:
    archive = written(store.root / "archive", layout(image(files)))
    return import_archive(store, archive, "mine", lambda _: None)


def request(store: ContentStore, base: Base | None, **variables: str) -> BuildRequest:
    script = b"def init(): pass\n"
    return BuildRequest(
        repository="ws/image",
        tag="1",
        environment={"environmentVariables": variables},
        entry_script="score.py",
        source_directory=None,
        files=(TreeFile("score.py", store.put_bytes(script), len(script)),),
        models=(),
        base=base,
    )


def read(store: ContentStore, digest: str) -> tuple[dict[str, Any], dict[str, Any]]:
    manifest = json.loads(store.read(digest))
    return manifest, json.loads(store.read(manifest["config"]["digest"]))


def names(store: ContentStore, digest: str) -> dict[str, str]:
    """Paths of a layer, and what they link to."""
    path = store.path(digest)
    with opened(path, LIMITS.size(1 << 30)) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        return {member.name: member.linkname for member in archive}


def test_the_packages_of_the_base_are_seen_where_the_user_manages_them(
    store: ContentStore, tmp_path: Path
) -> None:
    builder = ImageBuilder(store, tmp_path / "cache")
    asked = request(store, base_in(store))
    python = {"userManagedDependencies": True, "interpreterPath": f"/usr/bin/python{PYTHON}"}
    own = dataclasses.replace(asked, environment={"python": python})
    for wanted, seen in ((asked, "false"), (own, "true")):
        manifest, _ = read(store, builder.build(wanted, Quiet()).digest)
        layer = next(
            each for each in manifest["layers"] if each["annotations"]["dev.mooring.layer"] == "interpreter"
        )
        path = store.path(layer["digest"])
        with opened(path, 1 << 30) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            text = next(
                file.read().decode()
                for member in archive
                if member.name == "opt/mooring/env/pyvenv.cfg" and (file := archive.extractfile(member))
            )
        assert f"include-system-site-packages = {seen}" in text


def test_what_an_engine_finds(store: ContentStore, tmp_path: Path) -> None:
    base = base_in(store)
    builder = ImageBuilder(store, tmp_path / "cache")
    built = builder.build(request(store, base, MINE="1"), Quiet())
    manifest, config = read(store, built.digest)
    kinds = [layer["annotations"]["dev.mooring.layer"] for layer in manifest["layers"]]
    assert kinds == ["base", "front", "interpreter", "runtime", "app"]
    assert len(config["rootfs"]["diff_ids"]) == len(kinds)
    assert manifest["annotations"]["org.opencontainers.image.base.digest"] == base.digest
    settings = config["config"]
    assert settings["User"] == "10001:10001"
    assert settings["Entrypoint"] == ["/opt/mooring/front/bin/python", "-m", "mooring_runtime.container"]
    variables = dict(item.split("=", 1) for item in settings["Env"])
    assert variables["PATH"] == "/opt/mooring/env/bin:/base/bin"
    assert (variables["FROM_BASE"], variables["MINE"]) == ("yes", "1")
    front = names(store, manifest["layers"][1]["digest"])
    assert front["opt/mooring/front/bin/python"] == f"/usr/bin/python{PYTHON}"
    site = f"opt/mooring/front/lib/python{PYTHON}/site-packages"
    assert f"{site}/mooring_runtime/container.py" in front
    assert any(name.startswith(f"{site}/uvloop/loop.") for name in front)
    assert f"{site}/httptools/__init__.py" in front
    # Its size is that of all layers, as they lie in a registry.
    assert built.size == sum(layer["size"] for layer in manifest["layers"])
    attached = json.loads(store.read(built.sbom_manifest))
    assert attached["subject"]["digest"] == built.digest
    assert (attached["artifactType"], attached["layers"][0]["digest"]) == (SBOM_TYPE, built.sbom_digest)


def test_the_process_target_takes_it_without_the_base(store: ContentStore, tmp_path: Path) -> None:
    built = ImageBuilder(store, tmp_path / "cache").build(request(store, base_in(store), MINE="1"), Quiet())
    unpacked = Unpacker(store, tmp_path / "unpacked").materialise(built.digest)
    assert unpacked.env["MINE"] == "1"
    assert not {"FROM_BASE", "PATH", "PYTHONUNBUFFERED"} & set(unpacked.env)
    assert unpacked.python.is_file()
    assert not (unpacked.root / "usr").exists()


def test_the_same_digest_after_every_cache_was_wiped(tmp_path: Path) -> None:
    digests = []
    for turn in ("first", "second"):
        root = tmp_path / turn
        store = ContentStore(root / "content")
        built = ImageBuilder(store, root / "cache").build(request(store, base_in(store)), Quiet())
        digests.append((built.digest, built.sbom_manifest))
        shutil.rmtree(root)
    assert digests[0] == digests[1]


def test_zstd_on_request(store: ContentStore, tmp_path: Path) -> None:
    builder = ImageBuilder(store, tmp_path / "cache", ZSTD)
    built = builder.build(request(store, base_in(store)), Quiet())
    manifest, config = read(store, built.digest)
    assert {layer["mediaType"] for layer in manifest["layers"][1:]} == {ZSTD}
    assert "var/azureml-app/score.py" in names(store, manifest["layers"][-1]["digest"])
    packed = ImageBuilder(store, tmp_path / "cache").build(request(store, base_in(store)), Quiet())
    assert read(store, packed.digest)[1]["rootfs"] == config["rootfs"]
    assert Unpacker(store, tmp_path / "unpacked").materialise(built.digest).python.is_file()


def without_python(glibc: bytes, store: ContentStore) -> Base:
    files = {name: data for name, data in FILES.items() if "python" not in name}
    other = f"usr/local/bin/python3.{sys.version_info[1] + 1}"
    return base_in(store, {**files, "lib/x86_64-linux-gnu/libc.so.6": glibc, other: b""})


@pytest.mark.full
def test_a_base_without_the_python_gets_that_of_this_host(store: ContentStore, tmp_path: Path) -> None:
    base = without_python(b"\x7fELF GNU C Library (Debian) stable release version 2.99.", store)
    builder = ImageBuilder(store, tmp_path / "cache")
    built = builder.build(request(store, base, LD_LIBRARY_PATH="/mine"), Quiet())
    manifest, config = read(store, built.digest)
    kinds = [layer["annotations"]["dev.mooring.layer"] for layer in manifest["layers"]]
    assert kinds == ["base", "interpreter", "front", "interpreter", "runtime", "app"]
    python = f"opt/mooring/pythons/{PYTHON}"
    there = names(store, manifest["layers"][1]["digest"])
    assert f"{python}/bin/python{PYTHON}" in there
    assert f"{python}/lib/python{PYTHON}/os.py" in there
    assert any(name.startswith(f"{python}/lib/python{PYTHON}/__pycache__/os.") for name in there)
    assert not [name for name in there if re.search(r"/(test|idlelib|site-packages|tkinter)/", name)]
    assert not [name for name in there if re.search(r"/(libc|libm|ld-linux[^/]*)\.so", name)]
    front = names(store, manifest["layers"][2]["digest"])
    assert front["opt/mooring/front/bin/python"] == f"/{python}/bin/python{PYTHON}"
    # The user's folders first, then those of the interpreter.
    variables = dict(item.split("=", 1) for item in config["config"]["Env"])
    assert variables["LD_LIBRARY_PATH"].startswith(f"/mine:/{python}/shared")
    plain = builder.build(request(store, base), Quiet())
    assert "LD_LIBRARY_PATH" not in Unpacker(store, tmp_path / "unpacked").materialise(plain.digest).env


@pytest.mark.full
def test_the_layer_of_an_interpreter_is_the_same_every_time(tmp_path: Path) -> None:
    digests = []
    for turn in ("first", "second"):
        store = ContentStore(tmp_path / turn / "content")
        base = without_python(b"\x7fELF GNU C Library (Debian) stable release version 2.99.", store)
        built = ImageBuilder(store, tmp_path / turn / "cache").build(request(store, base), Quiet())
        digests.append(built.digest)
    assert digests[0] == digests[1]


def test_a_c_library_that_is_too_old_for_this_hosts_python(store: ContentStore, tmp_path: Path) -> None:
    base = without_python(b"\x7fELF GNU C Library (Debian) stable release version 2.3.", store)
    with pytest.raises(PhaseFailed) as caught:
        ImageBuilder(store, tmp_path / "cache").build(request(store, base), Quiet())
    assert caught.value.code == "PythonNotInBase"
    assert "of the C library; the base has 2.3." in caught.value.message
    assert caught.value.evidence["pythons"] == f"3.{sys.version_info[1] + 1}"
