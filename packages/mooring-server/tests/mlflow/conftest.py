"""Environments with MLflow as its users have it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).parents[4] / "requirements"
PYTHONS = ((3, 10), (3, 11), (3, 12))


@pytest.fixture(scope="session")
def reference_python() -> Callable[[str], Path]:
    """Gives the interpreter of the environment with the requirements of that name."""
    return _made


def _made(name: str) -> Path:
    """The interpreter of an environment with MLflow; made once, kept below the user's cache."""
    requirements = REQUIREMENTS / f"{name}.txt"
    version = sys.version_info[:2] if sys.version_info[:2] in PYTHONS else (3, 12)
    wanted = "{}.{}".format(*version)
    key = hashlib.sha256(requirements.read_bytes() + wanted.encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mooring-tests"
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"{name}-{key}"
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
            assert uv is not None, "uv makes the reference environment; `make setup` installs it"
            python = sys.executable if version == sys.version_info[:2] else wanted
            subprocess.run([uv, "venv", "--quiet", "--python", python, str(folder)], check=True)
            install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--require-hashes", "-r"]
            subprocess.run(
                [*install, str(requirements), "--python", str(folder / "bin" / "python")], check=True
            )
            (folder / "complete").touch()
    return folder / "bin" / "python"
