"""MLflow's own client, in a process and where asked for in an environment of its own, against a real server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from support import WS, RunningServer

from mooring_server.images.pythons import Pythons

OTHER = WS.rpartition("/")[0] + "/other"
API = "/mlflow/api/2.0/mlflow"
FILES = "/mlflow/api/2.0/mlflow-artifacts/artifacts"
ROOT = Path(__file__).resolve().parents[2]
# What prints on import or phones home is not what is tested.
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}


class MlflowClient:
    """Runs scripts that import mlflow."""

    def __init__(self, python: Path, server: RunningServer, folder: Path) -> None:
        self.python = python
        self.server = server
        self.folder = folder

    def start(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run python with arguments; stdout and stderr are kept apart."""
        environment = {
            k: v for k, v in os.environ.items() if not k.startswith(("MOORING_", "MLFLOW_", "COV"))
        }
        environment.update(QUIET, MOORING_HOME=str(self.server.home), **variables)
        return subprocess.run(
            [str(self.python), *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def run(self, script: str, *arguments: str, **variables: str) -> str:
        """What a script prints; it must succeed."""
        path = self.folder / "script.py"
        path.write_text(script)
        done = self.start(str(path), *arguments, **variables)
        assert done.returncode == 0, done.stderr
        return done.stdout


def make_environment(folder: Path, python: str, *packages: str) -> Path:
    """A virtual environment with this repository's client and packages; its interpreter."""
    major, minor = map(int, python.split("."))
    found = Pythons().find((major, minor))
    if found is None:
        pytest.skip(f"there is no Python {python} on this machine")
    uv = Path(sys.executable).with_name("uv")
    target = folder / f"{python}-{'-'.join(packages)}".replace("=", "").replace("*", "x").replace("<", "-")
    made = target / "bin" / "python"
    if not made.exists():
        local = [str(ROOT / "packages" / name) for name in ("mooring", "mooring-azureml")]
        subprocess.run([uv, "venv", "-q", "--python", found.path, target], check=True)
        subprocess.run([uv, "pip", "install", "-q", "--python", made, *local, *packages], check=True)
    return made


def begin(server: RunningServer, workspace: str = WS) -> dict[str, Any]:
    """A new run of the experiment ``exp``."""
    made = server.client.post(f"{workspace}{API}/experiments/create", json={"name": "exp"})
    if made.status_code == 200:
        experiment = made.json()["experiment_id"]
    else:
        found = server.client.get(
            f"{workspace}{API}/experiments/get-by-name", params={"experiment_name": "exp"}
        )
        experiment = found.json()["experiment"]["experiment_id"]
    answer = server.client.post(
        f"{workspace}{API}/runs/create", json={"experiment_id": experiment, "start_time": 1}
    )
    assert answer.status_code == 200, answer.text
    info: dict[str, Any] = answer.json()["run"]["info"]
    return info


def get(server: RunningServer, run: dict[str, Any], workspace: str = WS) -> httpx.Response:
    return server.client.get(f"{workspace}{API}/runs/get", params={"run_id": run["run_id"]})
