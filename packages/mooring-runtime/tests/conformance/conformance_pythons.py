"""Environments of old packages for every Python of this machine."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

MINORS = tuple(range(6, 15))
OLD = (
    "flask==1.0.4 werkzeug==0.16.1 jinja2==2.11.3 markupsafe==1.1.1 itsdangerous==1.1.0 click==7.1.2 "
    "pydantic==1.8.2 typing-extensions==4.1.1 numpy==1.19.5 wrapt==1.14.1 "
    "python-dateutil==2.8.2 pytz==2022.1 six==1.16.0"
)
NEWER = (
    "flask==2.0.3 werkzeug==2.0.3 jinja2==3.0.3 itsdangerous==2.0.1 click==8.0.4 pydantic==1.10.13 "
    "typing-extensions==4.8.0 inference-schema==1.8 python-dateutil==2.8.2 pytz==2022.1 six==1.16.0"
)
PACKAGES = {
    6: f"{OLD} dataclasses==0.8 inference-schema==1.4.2.1",
    7: f"{OLD} inference-schema==1.7",
    8: f"{OLD} inference-schema==1.8",
    9: f"{OLD} inference-schema==1.8",
    10: f"{NEWER} numpy==1.22.4 markupsafe==2.1.5 wrapt==1.16.0",
    11: f"{NEWER} numpy==1.24.4 markupsafe==2.1.5 wrapt==1.16.0",
    12: f"{NEWER} numpy==1.26.4 markupsafe==2.1.5 wrapt==1.16.0",
    13: f"{NEWER} numpy==2.1.3 markupsafe==3.0.2 wrapt==1.17.2",
    14: f"{NEWER} numpy==2.4.6 markupsafe==3.0.3 wrapt==2.0.1",
}
# Modules of the names that the worker has itself: these would break every script that meets them.
CLASHES = {
    "azureml/core/__init__.py": "raise ImportError('the environment has an azureml.core')",
    "azureml/contrib/services/aml_request.py": "raise ImportError('the environment has its own')",
    "azureml/__init__.py": "__path__ = __import__('pkgutil').extend_path(__path__, __name__)",
    "azureml/mine.py": "NAME = 'mine'",
    "azureml_inference_server_http/__init__.py": "raise ImportError('the environment has a server')",
    "frames.py": "raise ImportError('not this one')",
    "granian.py": "raise ImportError('not this one')",
}


def environment(minor: int, base: str) -> Path:
    """The interpreter of an environment with `PACKAGES` and `CLASHES`; made once, kept below the user's cache."""
    facts = json.dumps([base, PACKAGES[minor], CLASHES])
    key = hashlib.sha256(facts.encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mooring-tests"
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"old-packages-3.{minor}-{key}"
    python = folder / "bin" / "python"
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "complete").exists():
            return python
        shutil.rmtree(folder, ignore_errors=True)
        run([base, "-m", "venv", str(folder)])
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if minor < 10:
            run([*install, "pip==21.3.1"])
        run([*install, "--no-deps", "--only-binary", ":all:", *PACKAGES[minor].split()])
        site = next((folder / "lib").glob("python3.*")) / "site-packages"
        for name, content in CLASHES.items():
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            (site / name).write_text(content)
        (folder / "complete").touch()
    return python


def run(command: list[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
