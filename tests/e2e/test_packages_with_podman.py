"""`Model.package` where Podman is the only engine: its own command, not its service."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from engines import unmount
from sdk_support import inference_config, register, write_app
from support import WS, RunningServer
from test_containers import ASK

from azureml.core import Workspace
from azureml.core.model import Model

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

Command = Callable[..., str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    if shutil.which("mmdebstrap") is None:
        pytest.skip("mmdebstrap, which builds the base image, is not installed")
    running = RunningServer(tmp_path_factory.mktemp("packages") / "home").start()
    assert running.client.put(WS, json={}).status_code == 201
    answer = running.client.post("/mooring/v1/bases", json={}, timeout=900)
    assert '"error"' not in answer.text, answer.text
    yield running
    running.close()


@pytest.fixture
def podman(
    server: RunningServer, tmp_path: Path, short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Command]:
    """The command, with a storage of its own in this process's environment; Docker does not answer."""
    program = shutil.which("podman")
    if program is None:
        pytest.skip("Podman is not installed")
    monkeypatch.setenv("MOORING_HOME", str(server.home))
    monkeypatch.delenv("MOORING_ENDPOINT", raising=False)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    runtime = "runc" if shutil.which("runc") else "crun"
    (tmp_path / "storage.conf").write_text(
        f'[storage]\ndriver = "overlay"\ngraphroot = "{tmp_path}/root"\nrunroot = "{short_path}"\n'
    )
    (tmp_path / "containers.conf").write_text(
        f'[engine]\nruntime = "{runtime}"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        f'tmp_dir = "{tmp_path}/state"\n'
        # As where it may raise no limits.
        '[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n'
    )
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(tmp_path / "storage.conf"))
    monkeypatch.setenv("CONTAINERS_CONF", str(tmp_path / "containers.conf"))

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    yield run
    run("system", "reset", "--force")
    unmount(tmp_path / "root" / "overlay")


def serves(podman: Command, image: str, asked: Any) -> Any:
    """What a container of the image answers, run as a careful user runs it."""
    name = f"mooring-test-{uuid.uuid4().hex[:8]}"
    rights = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    podman("run", "--detach", "--network", "none", "--name", name, *rights, "--memory", "512m", image)
    try:
        code = ASK.replace("DATA", repr(json.dumps(asked).encode()))
        return json.loads(podman("exec", name, "/opt/mooring/env/bin/python", "-c", code))
    finally:
        podman("rm", "--force", name)


def test_a_package_is_pulled_by_podman(podman: Command, tmp_path: Path) -> None:
    workspace = Workspace("sub", "rg", "ws")
    write_app(tmp_path, weight=2, factor=10)
    model = register(workspace, tmp_path, "packed")
    package = Model.package(workspace, [model], inference_config(tmp_path))
    package.wait_for_creation()
    name = package.pull()
    assert podman("image", "exists", name) == ""
    assert serves(podman, name, {"data": [1, 2]}) == [20, 40]


def test_podman_builds_the_context(podman: Command, tmp_path: Path) -> None:
    workspace = Workspace("sub", "rg", "ws")
    write_app(tmp_path, weight=3, factor=1)
    model = register(workspace, tmp_path, "written")
    package = Model.package(workspace, [model], inference_config(tmp_path), generate_dockerfile=True)
    package.wait_for_creation()
    context = tmp_path / "context"
    package.save(str(context))
    # It is the user's from here on.
    (context / "azureml-app/app/helper.py").write_text("FACTOR = 100\n")
    podman("build", "--tag", "takeaway", os.fspath(context))
    assert serves(podman, "localhost/takeaway", {"data": [1, 2]}) == [300, 600]
