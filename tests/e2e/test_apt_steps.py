"""Dockerfiles with real ``apt-get install`` steps, upon a Debian of mmdebstrap, from a repository in the context."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engines import podman
from support import WS, RunningServer
from test_containers import Place, healthy, score, serving
from test_dockerfiles import Bench, bench

from mooring_runtime.engine.client import Engine
from mooring_server.domain.errors import PhaseFailed
from mooring_server.images.bases.archive import import_archive

__all__ = ["bench"]  # a fixture
pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

CONTROL = """\
Package: {name}
Version: 1.0
Architecture: all
Maintainer: Mooring's tests <nobody@example.com>
Depends: {depends}
Description: says hello
"""
INSTALL = """\
FROM debian12
COPY debs /debs
RUN rm -rf /etc/apt/sources.list /etc/apt/sources.list.d && \\
    echo "deb [trusted=yes] file:/debs ./" > /etc/apt/sources.list && \\
    apt-get update && apt-get install -y --no-install-recommends {packages}
"""
SCORE = b"""
import json
import subprocess


def init():
    print(subprocess.run(["dpkg-query", "--list", "greeting"], capture_output=True, text=True).stdout)


def run(data):
    said = subprocess.run(["/usr/bin/greet", json.loads(data)], capture_output=True, text=True, check=True)
    return [said.stdout, open("/var/lib/greeting/configured").read()]
"""


def package(folder: Path, name: str, depends: str, files: dict[str, str], configure: str = "") -> str:
    """Make ``<name>.deb``; its paragraph in the repository's index."""
    root = folder.parent / "packages" / name
    control = CONTROL.format(name=name, depends=depends)
    for path, text in {
        **files,
        "DEBIAN/control": control,
        "DEBIAN/postinst": f"#!/bin/sh\n{configure}\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
        (root / path).chmod(0o644 if path == "DEBIAN/control" else 0o755)
    deb = folder / f"{name}.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", root, deb], check=True, capture_output=True)
    data = deb.read_bytes()
    found = {"Filename": f"./{deb.name}", "Size": len(data), "SHA256": hashlib.sha256(data).hexdigest()}
    return control + "".join(f"{field}: {value}\n" for field, value in found.items())


@pytest.fixture(scope="module")
def debs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A repository of two packages, one of which needs the other, by their paths in a build context."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb, which makes the package to install, is not there")
    folder = tmp_path_factory.mktemp("repository") / "debs"
    folder.mkdir()
    greet = {"usr/bin/greet": '#!/bin/sh\necho "$(cat /usr/share/greeting/word) $1"\n'}
    configure = "mkdir -p /var/lib/greeting; echo -n yes > /var/lib/greeting/configured"
    index = [
        package(folder, "greeting", "greeting-data", greet, configure),
        package(folder, "greeting-data", "dpkg", {"usr/share/greeting/word": "hello"}),
    ]
    (folder / "Packages").write_text("\n".join(index))
    return {f"debs/{path.name}": path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Debian 12 with apt, as a user of mmdebstrap makes it."""
    if shutil.which("mmdebstrap") is None:
        pytest.skip("mmdebstrap, which makes a Debian to begin with, is not installed")
    archive = tmp_path_factory.mktemp("debian") / "debian12.tar"
    made = subprocess.run(
        ["mmdebstrap", "--variant=apt", "bookworm", archive], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr[-3000:]
    return archive


@pytest.fixture(scope="module")
def apt(bench: Bench, debian: Path) -> Bench:
    bench.given["debian12"] = import_archive(bench.store, debian, "debian12", lambda _: None)
    return bench


def test_apt_installs_what_others_need(apt: Bench, debs: dict[str, bytes]) -> None:
    made = apt.build(INSTALL.format(packages="greeting"), **debs)
    assert apt.content(made, "usr/share/greeting/word") == b"hello"
    assert apt.content(made, "var/lib/greeting/configured") == b"yes"
    status = apt.content(made, "var/lib/dpkg/status")
    assert status is not None
    assert b"Package: greeting-data\nStatus: install ok installed\n" in status
    assert any("Setting up greeting (1.0)" in line for line in apt.lines), apt.lines
    apt.nothing_is_left()


def test_an_apt_step_that_fails(apt: Bench, debs: dict[str, bytes]) -> None:
    with pytest.raises(PhaseFailed) as caught:
        apt.build(INSTALL.format(packages="greeting libnothing"), **debs)
    error = caught.value
    assert (error.code, error.phase) == ("DockerfileFailed", "Build")
    assert "apt-get install -y --no-install-recommends greeting libnothing" in error.evidence["step"]
    assert "E: Unable to locate package libnothing" in error.evidence["output"]
    assert "status 100" in error.message
    apt.nothing_is_left()


@pytest.fixture(scope="module")
def place(debian: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    with podman(folder) as engine, serving(folder, Engine(engine.socket)) as made:
        answer = made.server.client.put(
            "/mooring/v1/bases/debian12", content=debian.read_bytes(), timeout=600
        )
        assert '"error"' not in answer.text, answer.text
        yield made


def asked(server: RunningServer, debs: dict[str, bytes], packages: str) -> dict[str, Any]:
    """An image request upon a build context."""
    files = {**debs, "Dockerfile": INSTALL.format(packages=packages).encode()}
    context = [{"path": path, "digest": server.upload(data)} for path, data in files.items()]
    return server.request(SCORE, environment={"docker": {"buildContext": {"files": context}}})


def test_a_model_scores_with_what_apt_installed(place: Place, debs: dict[str, bytes]) -> None:
    view = healthy(place.deploy("greeter", imageRequest=asked(place.server, debs, "greeting")))
    assert score(view, "Ada") == ["hello Ada\n", "yes"]
    assert "says hello" in place.logs("greeter")
    place.delete("greeter")


def test_the_server_tells_what_apt_said(place: Place, debs: dict[str, bytes]) -> None:
    server = place.server
    body = {"name": "broken", **asked(server, debs, "libnothing")}
    view = server.client.post(f"{WS}/images", json=body).json()
    error = server.wait(view)["error"]
    assert error["code"] == "DockerfileFailed"
    assert "E: Unable to locate package libnothing" in error["evidence"]["output"]
    log = server.client.get(f"{WS}/images/{view['id']}/log").text
    assert "E: Unable to locate package libnothing" in log
