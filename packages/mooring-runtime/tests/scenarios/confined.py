"""A machine in small for the tests of the sandbox: secrets, a supervisor of some user's, a script that tries things."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import uvloop

import mooring_runtime
from mooring_runtime.supervisor import bubblewrap, landlock
from mooring_runtime.testing import Service

NOBODY = 65534
SECRET = "the secret"
# Runs what it is sent, and answers with the result or the exception's name and text.
SCORE = """
import json
def init(): pass
def run(data):
    names = {"answer": None}
    try:
        exec(json.loads(data)["code"], names)
    except Exception as exc:
        return {"raised": type(exc).__name__, "text": str(exc)}
    return {"answer": names["answer"]}
"""
DENIED = {"PermissionError", "FileNotFoundError", "ProcessLookupError", "NotADirectoryError"}
READ_ONLY = DENIED | {"OSError"}  # EROFS has no class of its own


@dataclass
class Confined:
    """A service with one sandboxed worker.

    Attributes:
        base: the folder of everything below.
        home: the user's, with a secret in ``id_rsa``.
        data: the server's, with a database, a token, content and another service.
        mode: the sandbox's.
        user: who runs the supervisor.
        standard: whether what was deployed last is the script that does what it is told.
    """

    base: Path
    home: Path
    data: Path
    service: Service
    python: str
    mode: str
    user: int
    standard: bool = False

    def apply(self, score: str = SCORE, network: str = "auto", **fields: Any) -> dict[str, Any]:
        """Deploys a script in the sandbox."""
        self.standard = score == SCORE and network == "auto" and not fields
        sandbox = {"mode": self.mode, "network": network, "protected": [str(self.data)]}
        return self.service.apply(score, python=self.python, sandbox=sandbox, **fields)

    def run(self, code: str) -> Mapping[str, Any]:
        """What becomes of the statements ``code`` in the worker; they set ``answer``."""
        response = self.service.post(json.dumps({"code": code}).encode())
        assert response.status == 200, response
        result: Mapping[str, Any] = response.json()
        return result

    def answer(self, code: str) -> Any:
        """What ``code`` sets ``answer`` to; it must not raise."""
        result = self.run(code)
        assert "answer" in result, result
        return result["answer"]


@cache
def runs_as(user: int) -> tuple[str, ...] | None:
    """The command of a Python that this user can run, with our packages; None if there is none."""
    command: tuple[str, ...] = ()
    if user != os.geteuid():
        if shutil.which("setpriv") is None:
            return None
        # By way of env: setpriv itself still opens files with root's rights.
        command = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "env")
    for python in (sys.executable, "/usr/bin/python3"):
        check = [*command, python, "-c", "import httptools, uvloop, mooring_runtime.supervisor.daemon"]
        done = subprocess.run(
            check, check=False, capture_output=True, env=environment(Path("/")), timeout=60, cwd="/"
        )
        if done.returncode == 0:
            return (*command, python)
    return None


def environment(home: Path) -> dict[str, str]:
    """The supervisor's."""
    ours = [Path(module.__file__ or "").parent.parent for module in (mooring_runtime, uvloop)]
    coverage = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    return {
        **coverage,
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join(map(str, ours)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def why_not(mode: str, user: int) -> str:
    """Why tests in this mode as this user cannot run here; empty if they can."""
    if user != os.geteuid() and os.geteuid() != 0:
        return "only root can be another user"
    command = runs_as(user)
    if command is None:
        return f"user {user} can run no Python that has our packages"
    if mode == "landlock":
        return "" if landlock.version() else "this kernel has no Landlock"
    if user == os.geteuid():
        return bubblewrap.find(network=True)[1]
    code = "from mooring_runtime.supervisor import bubblewrap; print(bubblewrap.find(network=True)[1])"
    done = subprocess.run(
        [*command, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=environment(Path("/")),
        cwd="/",
    )
    return done.stdout.strip()


@contextmanager
def confined(mode: str, user: int, more: Mapping[str, str] | None = None) -> Iterator[Confined]:
    """A supervisor of ``user``'s, without a spec."""
    command = runs_as(user)
    assert command is not None
    # Not below pytest's folder: that one is closed to other users.
    with tempfile.TemporaryDirectory(prefix="mooring-sandbox-") as name:
        base = Path(name)
        home, data = base / "home", base / "home" / "mooring"
        for path in (
            home / "id_rsa",
            data / "mooring.db",
            data / "settings.json",
            data / "content" / "blob",
            data / "services" / "other" / "spec.json",
            data / "services" / "other" / "logs" / "worker.log",
            data / "services" / "other" / "scratch" / "file",
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(SECRET, encoding="utf-8")
        (data / "services" / "mine").mkdir(mode=0o700)
        for path in (base, *base.rglob("*")):
            os.chown(path, user, user if user != os.geteuid() else -1)
        service = Service(data / "services" / "mine", command, {**environment(home), **(more or {})})
        try:
            yield Confined(base, home, data, service, command[-1], mode, user)
        finally:
            service.close()
