"""The real `az`, and other peers, in environments of their own."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from support import RunningServer, kill_all

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements" / "reference-az.txt"
MOORING = str(Path(sys.executable).with_name("mooring"))


def az_folder() -> Path:
    """Where `az` is; installed once (700 MB)."""
    return environment("az", REQUIREMENTS)


def environment(name: str, requirements: Path) -> Path:
    """The folder with the programs of requirements that are installed once and kept below the user's cache."""
    key = sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mooring-tests"
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"{name}-{key}"
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
            assert uv is not None, "uv makes the environment; `make setup` installs it"
            subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
            install = [uv, "pip", "install", "--quiet", "--require-hashes"]
            python = str(folder / "bin" / "python")
            subprocess.run([*install, "-r", str(requirements), "--python", python], check=True)
            (folder / "complete").touch()
    return folder / "bin"


class Shell:
    """Runs commands as a user's shell would, in one folder with one set of variables."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self.variables = {**os.environ, **variables}

    def run(
        self, *command: str, status: int | None = 0, seconds: float = 280
    ) -> subprocess.CompletedProcess[str]:
        """A command; ``status`` None takes any."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        said = f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        assert status is None or done.returncode == status, said
        return done

    def az(self, line: str, *more: str) -> Any:
        """The JSON that a command prints; None if it prints nothing."""
        done = self.run("az", *line.split(), *more, "--output", "json")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def refused(self, line: str, *more: str) -> str:
        """What a command says that fails."""
        done = self.run("az", *line.split(), *more, status=None)
        assert done.returncode != 0, done.stdout
        return done.stderr


@contextmanager
def az_shell(folder: Path, server: RunningServer) -> Iterator[Shell]:
    """A server while it is there, and a shell that `mooring az-setup` has made ready for it."""
    variables = {
        "PATH": f"{Path(MOORING).parent}{os.pathsep}{az_folder()}{os.pathsep}{os.environ['PATH']}",
        "MOORING_HOME": str(server.home),
        "AZURE_CONFIG_DIR": str(folder / "azure"),
        "AZURE_CORE_COLLECT_TELEMETRY": "false",
    }
    made = Shell(folder, variables)
    server.start()
    try:
        done = made.run(MOORING, "az-setup")
        name, _, value = done.stdout.strip().removeprefix("export ").partition("=")
        assert name == "REQUESTS_CA_BUNDLE"
        made.variables[name] = value
        yield made
        made.run(MOORING, "az-setup", "--remove")
        assert "mooring" not in [cloud["name"] for cloud in made.az("cloud list")]
        token = server.client.get("/mooring/v1/tokens").json()["value"][0]
        assert token["state"] == "Revoked"
        server.close()
    finally:
        kill_all(server.home)
