"""What of containers every change is tested with: one deployment, one Dockerfile, one registry client.

The base is made of programs of this machine, so nothing is downloaded. All the rest is marked `full`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from engines import podman, runs_containers
from host_base import write_base
from support import WS, RunningServer, eventually, kill_all
from test_containers import Place, healthy, score

from mooring_runtime.engine.client import Engine

pytestmark = pytest.mark.timeout(600)

SCORE = b"""
import json
import os


def init():
    print("starting as", os.getuid())


def run(data):
    return [json.loads(data), os.path.exists("/made/by-run")]
"""
STEPS = "FROM host\nRUN mkdir /made && echo made > /made/by-run\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("briefly")
    base = write_base(folder / "base.tar")
    with podman(folder) as engine:
        runs_containers(engine, base)
        server = RunningServer(
            folder / "home", "--target", "container", variables={"DOCKER_HOST": f"unix://{engine.socket}"}
        )
        try:
            server.start()
            assert server.client.put(WS, json={}).status_code == 201
            answer = server.client.put("/mooring/v1/bases/host", content=base.read_bytes(), timeout=300)
            assert '"error"' not in answer.text, answer.text
            yield Place(server, Engine(engine.socket))
            server.close()
            assert engine.engine.containers("dev.mooring.name") == []
        finally:
            kill_all(server.home)


def test_a_service_scores_and_is_updated(place: Place) -> None:
    view = healthy(place.deploy("brief", SCORE))
    assert view["isolation"] == "container"
    assert score(view, 1) == [1, False]
    assert "starting as 10001" in place.logs("brief")
    [before] = place.containers("brief")
    request = {"imageRequest": place.server.request(SCORE.replace(b"json.loads(data)", b"'new'"))}
    answer = place.server.client.patch(f"{WS}/services/brief", json=request)
    assert place.server.wait(answer.json())["state"] == "Succeeded"
    assert score(place.view("brief"), 1) == ["new", False]
    eventually(lambda: len(place.containers("brief")) == 1, "the old container is gone")
    assert place.containers("brief")[0]["Id"] != before["Id"]
    place.delete("brief")
    assert place.containers("brief") == []


def test_a_service_upon_a_dockerfile(place: Place) -> None:
    request = place.server.request(SCORE, environment={"docker": {"baseDockerfile": STEPS}})
    view = healthy(place.deploy("stepped", imageRequest=request))
    assert score(view, 1) == [1, True]
    place.delete("stepped")


def test_skopeo_copies_an_image(place: Place, tmp_path: Path) -> None:
    skopeo = shutil.which("skopeo")
    if skopeo is None:
        pytest.skip("skopeo is not installed")
    server = place.server
    view = server.client.post(f"{WS}/images", json={"name": "copied", **server.request(SCORE)}).json()
    assert server.wait(view)["state"] == "Succeeded"
    keys = server.client.post(f"{WS}/listKeys").json()["containerRegistryCredentials"]
    user, password = keys["username"], keys["passwords"][0]["value"]
    name = f"docker://{urlsplit(server.url).netloc}/{user}/copied:1"

    def copy(*arguments: str) -> None:
        done = subprocess.run([skopeo, "copy", *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    layout = tmp_path / "layout"
    copy("--src-tls-verify=false", f"--src-creds={user}:{password}", name, f"oci:{layout}:1")
    back = name.replace("copied:1", "pushed:1")
    copy("--dest-tls-verify=false", f"--dest-creds={user}:{password}", f"oci:{layout}:1", back)
    index: dict[str, Any] = json.loads((layout / "index.json").read_text())
    image = server.client.get(f"{WS}/images/{view['id']}").json()
    assert index["manifests"][0]["digest"] == image["imageDigest"]
