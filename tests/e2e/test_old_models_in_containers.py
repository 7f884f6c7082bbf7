"""Models of old scikit-learn in containers: the base has Python 3.11 only, and this machine's 3.6 or 3.7 is a layer."""

from __future__ import annotations

import json
import os
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from support import WS, RunningServer, eventually
from test_base_images import Podman, build, podman, server, started
from test_old_models import SCORE, interpreter, trained

__all__ = ["podman", "server"]  # fixtures
pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def base(server: RunningServer) -> dict[str, Any]:
    return build(server, "first")


def registered(server: RunningServer, path: Path) -> str:
    digest = server.upload(path.read_bytes())
    body = {"name": path.stem, "files": [{"path": path.name, "digest": digest}]}
    answer = server.client.post(f"{WS}/models", json=body)
    assert answer.status_code in {200, 201}, answer.text
    return str(answer.json()["id"])


# 0.19.2 has wheels for 3.7 as well, which is taken where nothing is asked for.
@pytest.mark.parametrize(
    ("version", "minor", "asked"), [("0.20.3", (3, 7), []), ("0.19.2", (3, 6), ["python=3.6"])]
)
def test_an_old_model_runs_in_a_container(
    server: RunningServer,
    base: dict[str, Any],
    podman: Podman,
    tmp_path: Path,
    version: str,
    minor: tuple[int, int],
    asked: list[str],
) -> None:
    assert base["pythons"] == ["3.11"]
    trained(tmp_path, interpreter(minor), version)
    models = [registered(server, tmp_path / name) for name in ("ridge.pkl", "forest.joblib")]
    name = f"old{minor[1]}"
    dependencies = {"dependencies": [*asked, {"pip": ["scikit-learn"]}]}
    request = server.request(
        SCORE.encode(), models, environment={"python": {"condaDependencies": dependencies}}
    )
    view = server.client.post(f"{WS}/images", json={"name": name, **request}).json()
    operation = server.wait(view, seconds=1200)
    assert operation["state"] == "Succeeded", operation
    location = f"{podman.repository}/{name}:1"
    podman.remote("pull", location)
    container = started(podman, location)
    port = podman("port", container, "5001").rpartition(":")[2]

    def answer() -> Any:
        try:
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/score",
                data=json.dumps({"data": [[10.0, 11.0]]}).encode(),
                headers={"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=10) as response:
                return json.loads(response.read())
        except OSError:
            assert podman("inspect", "-f", "{{.State.Running}}", container) == "true", podman(
                "logs", container
            )
            return None

    scored = eventually(answer, "the container scores", 300)
    assert (scored["sklearn"], scored["python"]) == (version, list(minor))
    assert scored["found"] == pytest.approx([10.0, 10.0], abs=2)
    assert os.fspath(tmp_path) not in podman("logs", container)
