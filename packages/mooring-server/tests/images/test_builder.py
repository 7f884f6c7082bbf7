"""Whole builds: real packages, real interpreters."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mooring_server.domain.errors import InvalidRequest, MooringError
from mooring_server.images import oci
from mooring_server.images.layers import LayerCache, join_layers
from mooring_server.images.pythons import Pythons
from mooring_server.images.types import Builder, ModelTree, TreeFile

from .conftest import Recorder, Workshop

PACKAGES = ["six==1.16.0", "PyYAML", "packaging", "azureml-defaults"]


def manifest(workshop: Workshop, digest: str) -> dict[str, list[dict[str, str]]]:
    data: dict[str, list[dict[str, str]]] = json.loads(workshop.store.read(digest))
    return data


def layers_of(workshop: Workshop, digest: str) -> list[str]:
    return [layer["digest"] for layer in manifest(workshop, digest)["layers"]]


def run(python: Path, code: str, **environment: str) -> str:
    command = [str(python), "-c", code]
    env = {**os.environ, **environment}
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env=env, timeout=60
    ).stdout.strip()


def test_from_request_to_running_python(workshop: Workshop, reporter: Recorder) -> None:
    builder: Builder = workshop.builder
    request = workshop.request(
        PACKAGES, environment={"environmentVariables": {"GREETING": "hello", "WORKER_COUNT": "2"}}
    )
    built = builder.build(request, reporter)
    assert reporter.phases == ["Resolve", "Build"]
    assert "Layer wheel six" in reporter.text
    assert any("azureml-defaults" in change for change in built.changes)
    image = workshop.unpacker.materialise(built.digest)
    code = "import six, yaml, packaging, sys"
    code += "; print(six.__file__, yaml.__with_libyaml__, sys.prefix, sys.executable)"
    file, libyaml, prefix, executable = run(image.python, code).split()
    assert Path(file).is_relative_to(prefix)
    assert libyaml == "True"
    assert executable == str(image.python)
    assert image.env == {
        "AML_APP_ROOT": str(image.app_root),
        "AZUREML_ENTRY_SCRIPT": "score.py",
        "AZUREML_MODEL_DIR": f"{image.app_root}/azureml-models/m/1",
        "GREETING": "hello",
        "WORKER_COUNT": "2",
    }
    assert image.workers == 2
    assert Path(image.env["AZUREML_MODEL_DIR"], "model.pkl").read_bytes() == b"weights"
    assert (image.app_root / image.entry_script).read_bytes() == b"def init(): pass\n"
    assert (image.worker_dir / "__init__.py").is_file()
    assert workshop.unpacker.materialise(built.digest) == image


def test_bytecode_is_used_and_names_the_images_paths(workshop: Workshop, reporter: Recorder) -> None:
    image = workshop.unpacker.materialise(workshop.builder.build(workshop.request(["six"]), reporter).digest)
    code = "import six; print(six.__cached__); print(six.moves.__class__.__init__.__code__.co_filename)"
    cached, name = run(image.python, code).splitlines()
    assert Path(cached).read_bytes()[4:8] == b"\x01\0\0\0"  # PEP 552: hash-based, not checked
    # zipimport-like relocation: the import system puts the real path in.
    assert name.endswith("six.py")
    assert b"/opt/mooring/env/lib/" in Path(cached).read_bytes()
    assert str(workshop.root).encode() not in Path(cached).read_bytes()


def test_the_same_digest_again_after_a_restart_and_without_caches(workshop: Workshop, tmp_path: Path) -> None:
    first = workshop.builder.build(workshop.request(PACKAGES), Recorder())
    again = Recorder()
    workshop.reopen()
    assert workshop.builder.build(workshop.request(PACKAGES), again) == first
    assert "uv:" not in again.text
    assert again.text.count("cached") == 6
    shutil.rmtree(workshop.root / "cache")
    shutil.rmtree(workshop.root / "content")
    workshop.reopen()
    assert workshop.builder.build(workshop.request(PACKAGES), Recorder()) == first
    elsewhere = Workshop(tmp_path / "another" / "home")
    # One wheel there already: what is installed together must not matter.
    elsewhere.builder.build(elsewhere.request(["packaging"]), Recorder())
    assert elsewhere.builder.build(elsewhere.request(PACKAGES), Recorder()) == first


def test_repository_and_tag_are_no_part_of_the_image(workshop: Workshop) -> None:
    one = workshop.builder.build(workshop.request(), Recorder())
    two = workshop.builder.build(workshop.request(repository="ws/other", tag="7"), Recorder())
    labelled = workshop.builder.build(workshop.request(labels={"a": "b"}), Recorder())
    assert one == two
    assert labelled.digest != one.digest


def test_a_changed_model_or_script_changes_one_layer(workshop: Workshop) -> None:
    base = layers_of(workshop, workshop.builder.build(workshop.request(["six"]), Recorder()).digest)
    model = layers_of(
        workshop, workshop.builder.build(workshop.request(["six"], model=b"new"), Recorder()).digest
    )
    app = layers_of(
        workshop, workshop.builder.build(workshop.request(["six"], score=b"#\n"), Recorder()).digest
    )
    assert [a == b for a, b in zip(base, model, strict=True)] == [True, True, True, False]
    assert [a == b for a, b in zip(base, app, strict=True)] == [True, True, False, True]


def test_images_share_environment_and_models_on_disk(workshop: Workshop) -> None:
    first = workshop.unpacker.materialise(
        workshop.builder.build(workshop.request(["six"]), Recorder()).digest
    )
    second = workshop.unpacker.materialise(
        workshop.builder.build(workshop.request(["six"], score=b"# 2\n"), Recorder()).digest
    )
    assert first.python == second.python
    assert first.root != second.root
    model = "azureml-models/m/1"
    assert (first.app_root / model).resolve() == (second.app_root / model).resolve()


def test_configuration_and_labels(workshop: Workshop) -> None:
    files = (workshop.file("src/pkg/score.py"), workshop.file("src/run.sh", b"#!", executable=True))
    models = tuple(ModelTree(name, 3, (workshop.file("w.bin", name.encode()),)) for name in ("b", "a"))
    request = workshop.request(
        files=files, models=models, source_directory="src", entry_script="pkg/score.py"
    )
    built = workshop.builder.build(request, Recorder())
    config = json.loads(workshop.store.read(manifest(workshop, built.digest)["config"]["digest"]))  # type: ignore[call-overload]
    assert config["config"]["WorkingDir"] == "/var/azureml-app"
    assert config["config"]["Labels"] == {
        "dev.mooring.base": "none",
        "dev.mooring.python": built.python_version,
    }
    assert "AZUREML_MODEL_DIR=/var/azureml-app/azureml-models" in config["config"]["Env"]
    assert "AZUREML_SOURCE_DIRECTORY=src" in config["config"]["Env"]
    kinds = [layer["annotations"][oci.KIND] for layer in manifest(workshop, built.digest)["layers"]]  # type: ignore[index]
    assert kinds == ["runtime", "app", "model", "model"]
    image = workshop.unpacker.materialise(built.digest)
    assert os.access(image.app_root / "src/run.sh", os.X_OK)
    assert (image.app_root / "azureml-models/a/3/w.bin").read_bytes() == b"a"
    assert image.source_directory == "src"


def test_every_layer_is_normalised(workshop: Workshop) -> None:
    built = workshop.builder.build(workshop.request(["six", "PyYAML"]), Recorder())
    for digest in layers_of(workshop, built.digest):
        with tarfile.open(workshop.store.path(digest), "r:gz") as archive:
            members = archive.getmembers()
        names = [member.name for member in members]
        assert len(names) == len(set(names))
        assert {member.mtime for member in members} == {315532800}
        assert {(member.uid, member.gid, member.uname) for member in members} == {(0, 0, "")}
        assert {member.mode for member in members} <= {0o644, 0o755}
        assert not [name for name in names if name.endswith(("direct_url.json", "uv_cache.json"))]


def test_lock_and_bill_of_materials(workshop: Workshop) -> None:
    built = workshop.builder.build(workshop.request(["six==1.16.0"]), Recorder())
    lock = workshop.store.read(built.lock_digest).decode()
    assert lock.startswith(
        f"# Locked by Mooring for Python {built.python_version}.\nsix==1.16.0 \\\n    --hash=sha256:"
    )
    sbom = json.loads(workshop.store.read(built.sbom_digest))
    assert (sbom["bomFormat"], sbom["specVersion"]) == ("CycloneDX", "1.6")
    (component,) = sbom["components"]
    assert component["purl"] == "pkg:pypi/six@1.16.0"
    assert component["licenses"] == [{"license": {"name": "MIT License"}}]
    assert {entry["alg"] for entry in component["hashes"]} == {"SHA-256"}
    needed = oci.referenced_blobs(manifest(workshop, built.digest))
    assert {built.lock_digest, built.sbom_digest} < set(needed)
    assert all(workshop.store.has(digest) for digest in needed)


def test_builds_at_the_same_time(workshop: Workshop) -> None:
    with ThreadPoolExecutor(4) as pool:
        built = list(
            pool.map(lambda _: workshop.builder.build(workshop.request(["six"]), Recorder()), range(4))
        )
        images = list(pool.map(lambda b: workshop.unpacker.materialise(b.digest), built))
    assert len(set(built)) == 1
    assert len({image.root for image in images}) == 1
    assert not list((workshop.root / "cache" / "tmp").iterdir())


def test_a_lost_layer_is_made_again(workshop: Workshop) -> None:
    built = workshop.builder.build(workshop.request(["six"]), Recorder())
    for digest in layers_of(workshop, built.digest):
        workshop.store.delete(digest)
    assert workshop.builder.build(workshop.request(["six"]), Recorder()) == built


def test_wheels_with_scripts_and_data(workshop: Workshop) -> None:
    """A program stays, a script that names the stage goes, data files lie where sys.prefix finds them."""
    built = workshop.builder.build(
        workshop.request(["docutils==0.21.2", "jupyterlab-widgets==3.0.13"]), Recorder()
    )
    image = workshop.unpacker.materialise(built.digest)
    env = image.python.parents[1]
    assert (env / "share/jupyter/labextensions").is_dir()
    assert not (env / "bin/rst2html").exists()
    record = next(env.glob("lib/*/site-packages/docutils-*.dist-info/RECORD")).read_text()
    assert "bin/rst2html" not in record
    code = "import importlib.metadata as m; print(all(f.locate().exists() for f in m.files('docutils')))"
    assert run(image.python, code) == "True"


def test_many_wheels_are_joined_deterministically(workshop: Workshop) -> None:
    workshop.builder.build(workshop.request(PACKAGES), Recorder())
    cache = LayerCache(workshop.store, workshop.root / "cache" / "layers")
    wheels = [cache.get(path.stem) for path in sorted((workshop.root / "cache" / "layers").iterdir())]
    found = [layer for layer in wheels if layer is not None and layer.kind == "wheel"]
    joined = join_layers(cache, found, 2)
    assert [layer.kind for layer in joined] == ["wheels", "wheel"]
    assert joined[1].name == "pyyaml"
    assert join_layers(cache, found, 3) == found
    shutil.rmtree(workshop.root / "cache" / "layers")
    assert join_layers(cache, found, 2) == joined
    with tarfile.open(workshop.store.path(joined[0].digest), "r:gz") as archive:
        names = archive.getnames()
    assert any(name.endswith("six.py") for name in names)
    assert any(name.endswith("packaging/version.py") for name in names)


@pytest.mark.parametrize("path", ["../evil.py", "/abs.py", "a//b.py", "a/./b.py", ""])
def test_paths_that_leave_the_app(workshop: Workshop, path: str) -> None:
    good = workshop.file("score.py")
    with pytest.raises(InvalidRequest) as caught:
        workshop.builder.build(workshop.request(files=(good, TreeFile(path, good.digest, 0))), Recorder())
    assert caught.value.code == "PathInvalid"


def test_an_entry_script_that_was_not_uploaded(workshop: Workshop) -> None:
    with pytest.raises(InvalidRequest) as caught:
        workshop.builder.build(workshop.request(entry_script="main.py"), Recorder())
    assert caught.value.code == "EntryScriptNotFound"
    assert caught.value.evidence["tree"] == "score.py"


def test_a_file_that_is_not_in_the_store(workshop: Workshop) -> None:
    ghost = TreeFile("score.py", "sha256:" + "0" * 64, 1)
    with pytest.raises(MooringError) as caught:
        workshop.builder.build(workshop.request(files=(ghost,)), Recorder())
    assert caught.value.code == "BlobNotFound"
    assert not list(workshop.store.uploads.iterdir())


class Cancelled(Exception):
    """Raised by a reporter whose build nobody wants any more."""


@pytest.mark.parametrize("moment", ["uv: Resolved", "Compiled"])
def test_a_reporter_that_raises_stops_the_build(workshop: Workshop, moment: str) -> None:
    class Impatient(Recorder):
        def log(self, message: str) -> None:
            if moment in message:
                raise Cancelled

    with pytest.raises(Cancelled):
        workshop.builder.build(workshop.request(["six==1.16.0"]), Impatient())
    assert not list((workshop.root / "cache" / "tmp").iterdir())
    assert workshop.builder.build(workshop.request(["six==1.16.0"]), Recorder()).digest


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_a_disk_that_becomes_full(workshop: Workshop) -> None:
    mount = 'mount -t tmpfs -o size=2m none "$1" && exec "$2" -c "$3" "$1" "$4"'
    home = workshop.root / "small"
    home.mkdir()
    command = [
        "unshare",
        "-Urm",
        "sh",
        "-c",
        mount,
        "sh",
        str(home),
        sys.executable,
        FULL,
        str(Path(__file__).parent),
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if run.returncode and ("mount" in run.stderr or "unshare" in run.stderr):
        pytest.skip(f"no user name spaces here: {run.stderr}")
    assert run.stdout.split() == ["DiskFull", "507", "0"], run.stderr


FULL = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from conftest import Recorder, Workshop
from mooring_server.domain.errors import MooringError
workshop = Workshop(Path(sys.argv[1]))
try:
    workshop.builder.build(workshop.request(["PyYAML", "docutils==0.21.2"]), Recorder())
except MooringError as error:
    print(error.code, error.http_status, len(list((workshop.root / "cache/tmp").iterdir())))
"""

KILLED = """
import os, signal, sys, threading
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from conftest import Recorder, Workshop
class Deadly(Recorder):
    def log(self, message):
        if sys.argv[3] in message:
            os.kill(os.getpid(), signal.SIGKILL)
workshop = Workshop(Path(sys.argv[1]))
workshop.builder.build(workshop.request(["six==1.16.0", "packaging"]), Deadly())
"""


@pytest.mark.parametrize("moment", ["uv: Resolved", "Compiling", "Layer wheel"])
def test_killed_at_any_moment(workshop: Workshop, moment: str) -> None:
    command = [sys.executable, "-c", KILLED, str(workshop.root), str(Path(__file__).parent), moment]
    assert subprocess.run(command, check=False, timeout=120).returncode == -9
    workshop.reopen()
    workshop.builder.clean_stale()
    tmp = workshop.root / "cache" / "tmp"
    assert not list(tmp.iterdir())
    request = workshop.request(["six==1.16.0", "packaging"])
    after = workshop.builder.build(request, Recorder())
    untouched = Workshop(workshop.root / "untouched")
    assert untouched.builder.build(untouched.request(["six==1.16.0", "packaging"]), Recorder()) == after


@pytest.mark.full
@pytest.mark.parametrize("version", [(3, 6), (3, 7), (3, 8), (3, 9)])
def test_old_scikit_learn_on_old_pythons(workshop: Workshop, version: tuple[int, int]) -> None:
    if Pythons().find(version) is None:
        pytest.skip(f"no Python {version} here")
    name = f"{version[0]}.{version[1]}"
    request = workshop.request(["azureml-defaults", "scikit-learn==0.24.2"], conda=(f"python={name}.2",))
    built = workshop.builder.build(request, Recorder())
    assert built.python_version == name
    image = workshop.unpacker.materialise(built.digest)
    code = (
        "import sklearn, sys, sklearn.linear_model as m;"
        "works = m.Ridge().fit([[0.], [1.]], [0., 1.]).predict([[1.]])[0] > 0.5;"
        "print(works, sklearn.__version__, sys.version_info[1])"
    )
    assert run(image.python, code) == f"True 0.24.2 {version[1]}"
    shutil.rmtree(workshop.root / "cache" / "layers")
    workshop.reopen()
    assert workshop.builder.build(request, Recorder()).digest == built.digest
