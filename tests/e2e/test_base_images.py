"""Base images and the registry with the tools that people use: mmdebstrap, podman, skopeo."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from urllib.parse import urlsplit

import pytest
from support import WS, RunningServer, eventually

pytestmark = pytest.mark.full

SCORE = b"""
import json, os

def init():
    if os.environ.get("BREAK"):
        raise RuntimeError("the model is broken")

def run(data):
    return {"sum": sum(json.loads(data)["data"]), "user": os.getuid()}
"""


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


class Podman:
    """Podman with a storage of its own."""

    def __init__(self, root: Path, registry: str, credentials: dict[str, Any]) -> None:
        runtime = ["--runtime", "runc"] if shutil.which("runc") else []
        # Podman takes no place of more than 50 characters for what runs.
        self.runroot = mkdtemp(prefix="mooring-")
        places = ["--root", str(root / "images"), "--runroot", self.runroot, "--storage-driver", "vfs"]
        self.command = [tool("podman"), *runtime, *places]
        self.login = f"{credentials['username']}:{credentials['passwords'][1]['value']}"
        self.repository = f"{registry}/{credentials['username']}"

    def __call__(self, *arguments: str, fails: bool = False) -> str:
        run = subprocess.run(
            [*self.command, *arguments], capture_output=True, text=True, check=False, timeout=600
        )
        assert fails or run.returncode == 0, run.stderr
        return (run.stdout + run.stderr if fails else run.stdout).strip()

    def remote(self, verb: str, *arguments: str) -> str:
        return self(verb, "--creds", self.login, "--tls-verify=false", *arguments)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    if sys.version_info[:2] != (3, 11):
        pytest.skip("Debian 12 has Python 3.11, and the front in an image needs the server's own")
    tool("mmdebstrap")
    running = RunningServer(tmp_path_factory.mktemp("bases") / "home").start()
    assert running.client.put(WS, json={}).status_code in {200, 201}
    yield running
    running.close()


def build(server: RunningServer, name: str) -> dict[str, Any]:
    with server.client.stream("POST", "/mooring/v1/bases", json={"name": name}) as answer:
        events = [json.loads(line) for line in answer.iter_lines() if line]
    base: dict[str, Any] = events[-1]["base"]
    return base


@pytest.fixture(scope="module")
def base(server: RunningServer) -> dict[str, Any]:
    return build(server, "first")


@pytest.fixture(scope="module")
def podman(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    if os.geteuid() != 0:
        pytest.skip("containers with published ports and a storage of their own need root here")
    answer = server.client.post(f"{WS}/listKeys").json()["containerRegistryCredentials"]
    made = Podman(tmp_path_factory.mktemp("podman"), urlsplit(server.url).netloc, answer)
    yield made
    made("rm", "--all", "--force")
    made("system", "reset", "--force")
    shutil.rmtree(made.runroot, ignore_errors=True)  # Podman may have


@pytest.fixture(scope="module")
def image(server: RunningServer, base: dict[str, Any], podman: Podman) -> str:
    """An image of the server, pulled by podman."""
    assert base["default"]
    body = {"name": "adder", **server.request(SCORE)}
    made = server.client.post(f"{WS}/images", json=body).json()
    operation = server.wait(made)
    assert operation["state"] == "Succeeded", operation
    location = f"{podman.repository}/adder:1"
    podman.remote("pull", location)
    return location


def test_the_same_packages_give_the_same_bytes(server: RunningServer, base: dict[str, Any]) -> None:
    again = build(server, "again")
    assert again["digest"] == base["digest"]
    assert (base["pythons"], base["shell"], base["glibc"]) == (["3.11"], None, "2.36")
    assert not again["default"]
    assert base["sizeInBytes"] < 30_000_000


def started(podman: Podman, image: str, *arguments: str) -> str:
    limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
    held = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    return podman("run", "--detach", *limits, *held, "-p", "127.0.0.1::5001", *arguments, image)


def test_a_container_scores_without_any_privilege(podman: Podman, image: str) -> None:
    container = started(podman, image)
    address = podman("port", container, "5001")

    def answer() -> Any:
        if podman("inspect", "--format", "{{.State.Running}}", container) != "true":
            raise AssertionError(podman("logs", container, fails=True))
        request = urllib.request.Request(
            f"http://{address}/score", b'{"data": [1, 2]}', {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response)
        except OSError:
            return None

    assert eventually(answer, "the container scores", 120) == {"sum": 3, "user": 10001}
    podman("stop", "--time", "30", container)
    assert podman("inspect", "--format", "{{.State.ExitCode}}", container) == "0"


def test_a_container_whose_init_fails_ends_and_says_why(podman: Podman, image: str) -> None:
    container = started(podman, image, "--env", "BREAK=1")
    assert podman("wait", container) == "3"
    said = podman("logs", container, fails=True)
    assert "RuntimeError: the model is broken" in said


def test_there_is_no_shell(podman: Podman, image: str) -> None:
    said = podman(
        "run",
        "--rm",
        "--ulimit",
        "nofile=1024:1024",
        "--ulimit",
        "nproc=1024:1024",
        "--entrypoint",
        "/bin/sh",
        image,
        "-c",
        "true",
        fails=True,
    )
    assert "no such file" in said.lower()


def test_podman_pushes_and_skopeo_reads_copies_and_deletes(podman: Podman, image: str) -> None:
    skopeo = tool("skopeo")

    def call(*arguments: str) -> str:
        run = subprocess.run([skopeo, *arguments], capture_output=True, text=True, check=False, timeout=600)
        assert run.returncode == 0, run.stderr
        return run.stdout

    podman("tag", image, f"{podman.repository}/mine:latest")
    podman.remote("push", f"{podman.repository}/mine:latest")
    reading = ["--creds", podman.login, "--tls-verify=false"]
    place = f"docker://{podman.repository}"
    found = json.loads(call("inspect", *reading, f"{place}/mine:latest"))
    assert found["Labels"]["dev.mooring.python"] == "3.11"
    copying = ["--src-creds", podman.login, "--dest-creds", podman.login]
    copying += ["--src-tls-verify=false", "--dest-tls-verify=false"]
    call("copy", *copying, f"{place}/mine:latest", f"{place}/copied:v1")
    assert json.loads(call("list-tags", *reading, f"{place}/copied"))["Tags"] == ["v1"]
    call("delete", *reading, f"{place}/copied:v1")
    podman("rmi", "--force", f"{podman.repository}/mine:latest")
    podman.remote("pull", f"{podman.repository}/mine:latest")
