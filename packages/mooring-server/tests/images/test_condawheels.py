"""Packages that only a conda channel has: a channel in a folder, what it has runs in an image."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from mooring_server.domain.errors import PhaseFailed

from .conftest import Recorder, Workshop

pytest.importorskip("rattler", reason="needs mooring-server[conda]: pip install py-rattler")

HELLO = "mooring-test-only-in-conda"
MODULE = b"import only_below\n\ndef hello():\n    return 'hello ' + only_below.NAME\n"


class Channel:
    """A folder with an index, as conda-index writes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.packages: dict[str, dict[str, Any]] = {}
        for subdir in ("linux-64", "noarch"):
            (folder / subdir).mkdir(parents=True)

    def add(self, name: str, version: str, files: dict[str, bytes], depends: list[str], **more: Any) -> Path:
        index = {"name": name, "version": version, "build": "0", "build_number": 0, "depends": depends}
        index |= {"subdir": "noarch", "noarch": "python", **more}
        package = self.folder / "noarch" / f"{name}-{version}-0.tar.bz2"
        info = {"info/index.json": json.dumps(index).encode(), "info/files": "\n".join(files).encode()}
        with tarfile.open(package, "w:bz2") as archive:
            for member, data in {**info, **files}.items():
                entry = tarfile.TarInfo(member)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        data = package.read_bytes()
        self.packages[package.name] = {**index, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        for subdir, packages in (("noarch", self.packages), ("linux-64", {})):
            repodata = {"info": {"subdir": subdir}, "packages": packages, "packages.conda": {}}
            (self.folder / subdir / "repodata.json").write_text(json.dumps(repodata))
        return package


@pytest.fixture
def channel(tmp_path: Path) -> Channel:
    made = Channel(tmp_path / "channel")
    needs = ["python >=3.6,<4.0a0", "mooring-test-below >=1,<2.0a0", "six"]
    files = {
        "site-packages/only_here/__init__.py": MODULE,
        "site-packages/only_here-1.0.dist-info/METADATA": b"Name: other\n",
        "python-scripts/hello": b"#!/usr/bin/env python\n",
    }
    made.add(HELLO, "1.0", files, needs)
    made.add(HELLO, "2.0", {"site-packages/only_here.py": b"raise SystemExit\n"}, ["python"])
    made.add(
        "mooring-test-below", "1.5", {"site-packages/only_below.py": b"NAME = 'below'\n"}, ["python >=3.6"]
    )
    return made


def environment(channel: Channel, *dependencies: str) -> dict[str, Any]:
    conda = {"channels": [channel.folder.as_uri()], "dependencies": list(dependencies)}
    return {"python": {"condaDependencies": conda}}


def test_what_only_conda_has(workshop: Workshop, reporter: Recorder, channel: Channel) -> None:
    request = workshop.request(environment=environment(channel, f"{HELLO}=1.0"))
    built = workshop.builder.build(request, reporter)
    assert f"{HELLO} 1.0 is conda's, from " in " ".join(built.changes)
    assert "mooring-test-below 1.5 is conda's, from " in " ".join(built.changes)
    image = workshop.unpacker.materialise(built.digest)
    code = "import only_here, six; print(only_here.hello())"
    done = subprocess.run([str(image.python), "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "hello below\n", done.stderr
    # Later no channel is asked, and nothing is resolved.
    workshop.reopen()
    (channel.folder / "noarch" / "repodata.json").unlink()
    again = Recorder()
    assert workshop.builder.build(request, again).digest == built.digest
    assert "looking into the conda channels" not in again.text
    assert "The packages are known from an earlier build" in again.text


def test_a_package_that_was_changed(workshop: Workshop, reporter: Recorder, channel: Channel) -> None:
    package = channel.add("mooring-test-changed", "1.0", {"site-packages/x.py": b""}, [])
    with package.open("ab") as file:
        file.write(b"more")
    request = workshop.request(environment=environment(channel, "mooring-test-changed"))
    with pytest.raises(PhaseFailed) as caught:
        workshop.builder.build(request, reporter)
    assert caught.value.code == "CondaPackageUnknown"
    assert "its digest differs" in reporter.text


@pytest.mark.parametrize(
    ("files", "wanted", "said"),
    [
        (
            {"lib/libown.so.1": b"\x7fELF"},
            "1.0",
            "it has files outside of site-packages, such as lib/libown.so.1",
        ),
        ({"bin/tool": b""}, "1.0", "it has no Python modules"),
        ({"site-packages/x.py": b""}, "7.0", "they have no mooring-test-bad for Python"),
    ],
)
def test_what_cannot_be_a_wheel(
    workshop: Workshop, reporter: Recorder, channel: Channel, files: dict[str, bytes], wanted: str, said: str
) -> None:
    channel.add("mooring-test-bad", "1.0", files, ["python"])
    request = workshop.request(environment=environment(channel, f"mooring-test-bad={wanted}"))
    with pytest.raises(PhaseFailed) as caught:
        workshop.builder.build(request, reporter)
    assert caught.value.code == "CondaPackageUnknown"
    assert said in reporter.text
    assert not list((workshop.root / "cache" / "condawheels").glob("*"))
