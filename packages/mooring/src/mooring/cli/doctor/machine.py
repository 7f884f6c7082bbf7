# ruff: noqa: D102 - ThisMachine's methods are described in Machine
"""What `doctor` asks of the operating system, in one place so that tests can answer instead."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata, util
from pathlib import Path
from typing import Protocol

SYS_LANDLOCK_CREATE_RULESET = 444
LANDLOCK_CREATE_RULESET_VERSION = 1


class Machine(Protocol):
    """The questions."""

    def system(self) -> str:
        """`Linux`, `Darwin`, `Windows`."""

    def which(self, program: str) -> str | None:
        """Where a program is, looking along PATH."""

    def run(self, command: Sequence[str]) -> tuple[int, str]:
        """Exit status and output (both streams) of a short command; (-1, reason) when it cannot be run."""

    def read(self, path: str) -> str | None:
        """A small file's text, None when it cannot be read."""

    def writable(self, path: str) -> bool:
        """Whether this user may write there."""

    def free_bytes(self, path: Path) -> int:
        """Free space on the file system of `path` (or of its nearest existing parent)."""

    def mode(self, path: Path) -> int | None:
        """Permission bits, None when it does not exist."""

    def packages(self) -> dict[str, str]:
        """Names (lower case) and versions of the packages in this environment."""

    def importable(self, module: str) -> bool:
        """Whether a top-level module can be found."""

    def ask(self, socket: str, path: str) -> tuple[int, str]:
        """HTTP status and body of a GET at a Unix socket; (-1, reason) when nobody answers."""

    def variable(self, name: str) -> str:
        """An environment variable; empty when it is not set."""

    def landlock_abi(self) -> int:
        """The kernel's Landlock version; 0 when there is none."""


class ThisMachine:
    """The real answers."""

    def system(self) -> str:
        return platform.system()

    def which(self, program: str) -> str | None:
        # The environment's own programs count even when it has not been activated.
        beside = str(Path(sys.executable).parent)
        return shutil.which(program) or shutil.which(program, path=beside)

    def run(self, command: Sequence[str]) -> tuple[int, str]:
        try:
            done = subprocess.run(  # noqa: PLW1510 - a status other than 0 is an answer
                list(command), capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return -1, str(error)
        return done.returncode, (done.stdout + done.stderr).strip()

    def read(self, path: str) -> str | None:
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None

    def writable(self, path: str) -> bool:
        return os.access(path, os.W_OK)

    def free_bytes(self, path: Path) -> int:
        while not path.exists() and path != path.parent:
            path = path.parent
        return shutil.disk_usage(path).free

    def mode(self, path: Path) -> int | None:
        try:
            return path.stat().st_mode & 0o777
        except OSError:
            return None

    def packages(self) -> dict[str, str]:
        found = {}
        for distribution in metadata.distributions():
            name = distribution.metadata["Name"]
            if name:
                found[name.lower().replace("_", "-")] = distribution.version
        return found

    def importable(self, module: str) -> bool:
        return util.find_spec(module) is not None

    def ask(self, socket: str, path: str) -> tuple[int, str]:
        import httpx

        with httpx.Client(transport=httpx.HTTPTransport(uds=socket), timeout=10) as client:
            try:
                answer = client.get(f"http://localhost{path}")
            except httpx.HTTPError as error:
                return -1, str(error)
        return answer.status_code, answer.text

    def variable(self, name: str) -> str:
        return os.environ.get(name, "")

    def landlock_abi(self) -> int:
        if self.system() != "Linux":
            return 0
        call = ctypes.CDLL(None, use_errno=True).syscall
        call.restype = ctypes.c_long
        answer = call(
            ctypes.c_long(SYS_LANDLOCK_CREATE_RULESET),
            ctypes.c_void_p(None),
            ctypes.c_size_t(0),
            ctypes.c_uint32(LANDLOCK_CREATE_RULESET_VERSION),
        )
        return max(0, int(answer))
