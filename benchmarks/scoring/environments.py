"""The environments of the servers: one each, made from its lock once and kept below the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# All run the same one; it is the newest for which each of them has wheels.
PYTHON = "3.11"


class NotInstallable(Exception):
    """uv could not make an environment; the text is what it said."""


def cache() -> Path:
    """``MOORING_BENCH_CACHE``, else ``mooring-bench`` in the user's cache."""
    given = os.environ.get("MOORING_BENCH_CACHE")
    return Path(given) if given else _user_cache() / "mooring-bench"


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def environment(name: str) -> Path:
    """The folder of the environment of ``requirements/bench-NAME.txt``; only what the lock lists is in it.

    Raises:
        NotInstallable: it cannot be made here.
    """
    lock = ROOT / "requirements" / f"bench-{name}.txt"
    key = hashlib.sha256(lock.read_bytes() + PYTHON.encode()).hexdigest()[:12]
    folder = cache() / f"{name}-{key}"
    if (folder / "complete").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    sys.stderr.write(f"Installing {name} into {folder}\n")
    uv = str(Path(sys.executable).with_name("uv"))
    _call(uv, "venv", "--quiet", "--python", PYTHON, "--no-python-downloads", str(folder))
    install = (uv, "pip", "install", "--quiet", "--compile-bytecode", "--require-hashes", "-r", str(lock))
    _call(*install, "--python", str(folder / "bin" / "python"))
    (folder / "complete").touch()
    return folder


def version(folder: Path, package: str) -> str:
    """The version of a package in an environment."""
    ask = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
    command = [str(folder / "bin" / "python"), "-c", ask, package]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _call(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise NotInstallable(done.stderr.strip() or f"{command[0]} ended with {done.returncode}")
