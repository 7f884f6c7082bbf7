"""An interpreter from a conda channel: a channel of one package, made of a Python of this machine."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from mooring_server.images.pythons import Python, Pythons

from .conftest import Recorder, Workshop

LEFT_OUT = {
    "test",
    "tests",
    "site-packages",
    "idlelib",
    "tkinter",
    "lib2to3",
    "ensurepip",
    "__pycache__",
    "turtledemo",
}
SUBDIR = "linux-64"


@pytest.fixture(scope="module")
def python() -> Python:
    """One that is not the server's own."""
    own = Pythons().own().minor
    found = [python for python in reversed(Pythons().all()) if python.minor != own and python.minor >= (3, 7)]
    if not found:
        pytest.skip("needs a second Python on this machine")
    if "x86_64" not in found[0].platform:
        pytest.skip("the channel is made for x86-64")
    return found[0]


@pytest.fixture(scope="module")
def channel(python: Python, tmp_path_factory: pytest.TempPathFactory) -> Path:
    prefix, name = python.path.parents[1], f"python{python.name}"
    files = [path for path in sorted((prefix / "lib" / name).rglob("*")) if path.is_file()]
    files = [path for path in files if not LEFT_OUT & set(path.parts) and "config-" not in str(path)]
    files += [prefix / "bin" / name, *(prefix / "lib").glob(f"libpython{python.name}*.so*")]
    version = ".".join(map(str, python.version))
    index = {
        "name": "python",
        "version": version,
        "build": "0",
        "build_number": 0,
        "depends": [],
        "subdir": SUBDIR,
    }
    paths = [
        {
            "_path": path.relative_to(prefix).as_posix(),
            "path_type": "hardlink",
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "size_in_bytes": path.stat().st_size,
        }
        for path in files
    ]
    info = {
        "info/index.json": json.dumps(index),
        "info/paths.json": json.dumps({"paths": paths, "paths_version": 1}),
        "info/files": "".join(f"{path['_path']}\n" for path in paths),
    }
    folder = tmp_path_factory.mktemp("channel")
    package = folder / SUBDIR / f"python-{version}-0.tar.bz2"
    package.parent.mkdir()
    with tarfile.open(package, "w:bz2", compresslevel=1, dereference=True) as archive:
        for member, text in info.items():
            entry = tarfile.TarInfo(member)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
        for path in files:
            archive.add(path, path.relative_to(prefix).as_posix())
    data = package.read_bytes()
    entry = {**index, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    for subdir, packages in ((SUBDIR, {package.name: entry}), ("noarch", {})):
        (folder / subdir).mkdir(exist_ok=True)
        repodata = {"info": {"subdir": subdir}, "packages": packages, "packages.conda": {}}
        (folder / subdir / "repodata.json").write_text(json.dumps(repodata))
    return folder


@pytest.fixture
def hidden(workshop: Workshop, monkeypatch: pytest.MonkeyPatch, python: Python, tmp_path: Path) -> None:
    """As on a machine that has only the server's own Python."""
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "empty"))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "empty"))
    if Pythons().find(python.minor) is not None:
        pytest.skip("that Python is in /usr/bin")
    workshop.reopen()


def environment(python: Python, channel: str) -> dict[str, object]:
    conda = {"channels": [channel], "dependencies": [f"python={python.name}", {"pip": ["six==1.16.0"]}]}
    return {"python": {"condaDependencies": conda}}


@pytest.mark.full
@pytest.mark.usefixtures("hidden")
def test_an_interpreter_from_a_channel(
    workshop: Workshop, reporter: Recorder, python: Python, channel: Path
) -> None:
    pytest.importorskip("rattler", reason="needs mooring-server[conda]: pip install py-rattler")
    request = workshop.request(environment=environment(python, channel.as_uri()))
    built = workshop.builder.build(request, reporter)
    assert built.python_version == python.name, reporter.text
    assert "was installed from a conda channel" in reporter.text
    image = workshop.unpacker.materialise(built.digest)
    code = "import six, sys; print(six.__version__, sys.base_prefix)"
    said = subprocess.run([str(image.python), "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split()[0] == "1.16.0"
    assert said.split()[1].startswith(str(workshop.root / "cache/pythons"))
    # After a restart it is there, and no channel is asked.
    workshop.reopen()
    again = Recorder()
    assert workshop.builder.build(request, again).digest == built.digest
    assert "conda channel" not in again.text


@pytest.mark.full
@pytest.mark.usefixtures("hidden")
def test_a_channel_without_it(workshop: Workshop, reporter: Recorder, python: Python, tmp_path: Path) -> None:
    pytest.importorskip("rattler", reason="needs mooring-server[conda]: pip install py-rattler")
    for subdir in (SUBDIR, "noarch"):
        (tmp_path / "bare" / subdir).mkdir(parents=True)
        (tmp_path / "bare" / subdir / "repodata.json").write_text('{"packages": {}, "packages.conda": {}}')
    request = workshop.request(environment=environment(python, (tmp_path / "bare").as_uri()))
    built = workshop.builder.build(request, reporter)
    assert "The channels did not help" in reporter.text
    assert any("this machine does not have it" in change for change in built.changes)
