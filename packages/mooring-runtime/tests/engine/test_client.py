"""The Docker API client, against a Podman of the test's own."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring_runtime.engine.client import Engine, EngineError, EngineRefused, EngineUnavailable
from mooring_runtime.engine.find import EngineNotFound, find, sockets
from mooring_runtime.testing import PATIENCE_SECONDS, until


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    if shutil.which("podman") is None:
        pytest.skip("Podman is not installed")
    folder = tmp_path_factory.mktemp("podman")
    # Podman takes no place of more than 50 characters for what runs.
    runroot = tempfile.mkdtemp(prefix="mooring-")
    places = [f"--root={folder / 'root'}", f"--runroot={runroot}", f"--tmpdir={folder / 'tmpdir'}"]
    made = Engine(folder / "podman.sock")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["podman", *places, "system", "service", "--time=0", f"unix://{made.path}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )

    def answers() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            made.version()
        except EngineError:
            return False
        return True

    try:
        until(answers, "Podman answers", 180)
        yield made
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
        # As root Podman mounts its storage onto itself, and leaves it so.
        subprocess.run(["umount", folder / "root" / "overlay"], check=False, capture_output=True)
        shutil.rmtree(runroot)


def archive(name: str) -> bytes:
    """An image with one small file, as ``docker save`` writes it."""

    def tar(files: dict[str, bytes]) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as file:
            for path, data in files.items():
                entry = tarfile.TarInfo(path)
                entry.size = len(data)
                file.addfile(entry, io.BytesIO(data))
        return buffer.getvalue()

    layer = tar({"hello": b"hello"})
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": {"mine": "yes"}},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    listing = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    return tar(
        {
            "manifest.json": json.dumps(listing).encode(),
            "config.json": json.dumps(config).encode(),
            "layer.tar": layer,
        }
    )


@pytest.mark.full
def test_images_and_containers_come_and_go(engine: Engine) -> None:
    assert engine.name().startswith("Podman ")
    name = "localhost/mooring-test:1"
    assert engine.image(name) is None
    data = archive(name)
    engine.load(data[start : start + 1000] for start in range(0, len(data), 1000))
    found = engine.image(name)
    assert found is not None
    assert found["Config"]["Labels"] == {"mine": "yes"}
    assert engine.images("localhost/mooring-test") == [name]
    assert engine.images("localhost/mooring") == []
    engine.tag(name, "localhost/mooring:2")
    assert engine.images("localhost/mooring") == ["localhost/mooring:2"]
    engine.remove_image("localhost/mooring:2")
    container = engine.create("mooring-made", {"Image": name, "Cmd": ["/none"], "Labels": {"owner": "me"}})
    assert [one["Id"] for one in engine.containers("owner=me")] == [container]
    assert engine.containers("owner=you") == []
    state = engine.inspect(container)["State"]
    assert (state["Running"], state["OOMKilled"]) == (False, False)
    with pytest.raises(EngineRefused):
        engine.start(container)  # it has no such program
    engine.remove("mooring-made")
    engine.remove("mooring-made")  # gone is as good
    assert engine.containers("owner=me") == []
    engine.remove_image(name)
    engine.remove_image(name)
    assert engine.image(name) is None


@pytest.mark.full
def test_what_an_engine_refuses_is_told_in_its_words(engine: Engine) -> None:
    with pytest.raises(EngineRefused) as caught:
        engine.create("x", {"Image": "localhost/nothing:1"})
    assert caught.value.status == 404
    assert "localhost/nothing:1" in caught.value.said
    with pytest.raises(EngineRefused):
        engine.load([b"this is no archive"])
    with pytest.raises(EngineRefused):
        engine.inspect("nobody")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens there
        host = f"127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(EngineRefused, match=host):
            engine.pull(f"{host}/image", f"sha256:{0:064}", ("me", "secret"))


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="No such file"):
        Engine(tmp_path / "none.sock").version()
    with pytest.raises(EngineUnavailable, match="No such file"):
        Engine(tmp_path / "no" / "none.sock").version()
    (tmp_path / "file").touch()
    with pytest.raises(EngineUnavailable, match="refused"):
        Engine(tmp_path / "file").version()


def test_somebody_else_there(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)  # longer than an address may be
    folder.mkdir()
    listener = socket.socket(socket.AF_UNIX)
    held = os.open(folder, os.O_PATH)
    listener.bind(f"/proc/self/fd/{held}/s.sock")
    os.close(held)
    listener.listen(1)
    with listener, pytest.raises(EngineUnavailable, match="timed out"):
        Engine(folder / "s.sock", 0.2).version()


def test_where_an_engine_is_looked_for() -> None:
    assert sockets({"DOCKER_HOST": "unix:///a.sock", "CONTAINER_HOST": "unix:///b.sock"}, 7) == [
        Path("/a.sock")
    ]
    assert sockets({"CONTAINER_HOST": "unix:///b.sock"}, 7) == [Path("/b.sock")]
    usual = sockets({}, 7)
    assert usual[0] == Path("/run/user/7/docker.sock")
    assert usual[-2:] == [Path("/var/run/docker.sock"), Path("/run/podman/podman.sock")]
    assert sockets({"XDG_RUNTIME_DIR": "/x"}, 7)[1] == Path("/x/podman/podman.sock")
    with pytest.raises(EngineNotFound, match=r"DOCKER_HOST is tcp://far:2375; .* Unix"):
        sockets({"DOCKER_HOST": "tcp://far:2375"}, 7)


def test_what_was_tried_is_told(tmp_path: Path) -> None:
    with pytest.raises(EngineNotFound) as caught:
        find({"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    [tried] = caught.value.tried
    assert tried.startswith(f"{tmp_path}/none.sock: ")
