"""The reference server in an environment of its own, and ours."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conformance_cases import World

from mooring_runtime.testing import Service, until

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
REQUIREMENTS = ROOT / "requirements" / "reference-scoring.txt"
# What the reference's dependencies have wheels for.
PYTHONS = ((3, 10), (3, 11), (3, 12))


def reference_python() -> Path:
    """The interpreter of an environment with the reference server; made once, kept below the user's cache."""
    version = sys.version_info[:2] if sys.version_info[:2] in PYTHONS else (3, 12)
    wanted = "{}.{}".format(*version)
    key = hashlib.sha256(REQUIREMENTS.read_bytes() + wanted.encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mooring-tests"
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"reference-scoring-{key}"
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
            assert uv is not None, "uv makes the reference environment; `make setup` installs it"
            python = sys.executable if version == sys.version_info[:2] else wanted
            subprocess.run([uv, "venv", "--quiet", "--python", python, str(folder)], check=True)
            install = [uv, "pip", "install", "--quiet", "--require-hashes", "-r", str(REQUIREMENTS)]
            subprocess.run([*install, "--python", str(folder / "bin" / "python")], check=True)
            (folder / "complete").touch()
    return folder / "bin" / "python"


def write_app(world: World, folder: Path) -> None:
    """The world's script, as ``score.py``, and its files."""
    folder.mkdir()
    source = HERE / "scripts" / world.script
    text = source.read_text(encoding="utf-8") if world.script.endswith(".py") else world.script
    (folder / "score.py").write_text(text, encoding="utf-8")
    for name, content in world.files.items():
        (folder / name).write_text(content, encoding="utf-8")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def reference(world: World, folder: Path, python: Path) -> Iterator[tuple[str, int]]:
    """The reference server over the world's script."""
    write_app(world, folder)
    port = free_port()
    env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        process = subprocess.Popen(
            [
                str(python.parent / "azmlinfsrv"),
                "--entry_script",
                "score.py",
                "--model_dir",
                ".",
                "--port",
                str(port),
            ],
            cwd=folder,
            env={**env, "AML_APP_ROOT": str(folder), **world.env},
            stdout=log,
            stderr=log,
        )
    try:

        def answers() -> bool:
            assert process.poll() is None, (folder.parent / f"{folder.name}.log").read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)):
                    return False
            return b"ready for serving" in (folder.parent / f"{folder.name}.log").read_bytes()

        until(answers, "the reference server answers", 120)
        yield "127.0.0.1", port
    finally:
        process.terminate()
        process.wait(30)


def ours(service: Service, world: World, folder: Path, python: Path, **fields: Any) -> tuple[str, int]:
    """Gives our service a revision with the world's script, which runs with ``python``; where it listens."""
    write_app(world, folder)
    revision = {
        **service.revision(""),
        "app_root": str(folder),
        "python": str(python),
        "env": dict(world.env),
        **fields,
    }
    service.apply_spec({"service": "ML service", "revision": revision})
    return "127.0.0.1", service.ready()["port"]
