"""The Python interpreters of this host, and which of them an image is built for."""

from __future__ import annotations

import functools
import glob
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from mooring_server.domain.errors import InvalidRequest, PhaseFailed

Minor = tuple[int, int]
OLDEST: Minor = (3, 6)
_PROBE = (
    "import json,os,platform,sys,sysconfig;"
    "print(json.dumps([list(sys.version_info[:3]),sys.implementation.name,"
    "os.path.realpath(getattr(sys,'_base_executable',None) or sys.executable),"
    "sysconfig.get_platform()+'-'+'-'.join(platform.libc_ver()),sys.version_info[3],sys.base_prefix]))"
)


@dataclass(frozen=True)
class Python:
    """An interpreter.

    Attributes:
        path: the base interpreter's executable, no link and no virtual environment.
        version: ``X.Y.Z``.
        platform: operating system, architecture and C library, as wheels distinguish them.
    """

    path: Path
    version: tuple[int, int, int]
    platform: str

    @property
    def minor(self) -> Minor:
        """``(X, Y)``: what wheels and bytecode are made for."""
        return self.version[:2]

    @property
    def name(self) -> str:
        """``X.Y``."""
        return show(self.minor)


def show(minor: Minor) -> str:
    """``X.Y``."""
    return f"{minor[0]}.{minor[1]}"


@dataclass(frozen=True)
class PythonRequest:
    """What the user wrote about Python.

    Attributes:
        text: as written.
        minor: the one minor version asked for, if it is one.
        specifiers: the versions asked for otherwise.
    """

    text: str
    minor: Minor | None = None
    specifiers: SpecifierSet | None = None

    @classmethod
    def parse(cls, version: str, text: str) -> PythonRequest | None:
        """Read the version part of conda's ``python`` dependency; None for any version.

        Raises:
            InvalidRequest: code ``CondaDependencyInvalid``.
        """
        if version in {"", "*"}:
            return None
        if exact := re.fullmatch(r"={0,2}(\d+)\.(\d+)(\.\w+)*(\.?\*)?", version):
            return cls(text, minor=(int(exact[1]), int(exact[2])))
        if major := re.fullmatch(r"={0,2}(\d+)(\.?\*)?", version):
            return cls(text, specifiers=SpecifierSet(f"=={major[1]}.*"))
        try:
            return cls(text, specifiers=SpecifierSet(version.replace(".*", "")))
        except InvalidSpecifier as error:
            raise InvalidRequest(
                "CondaDependencyInvalid",
                f"The Python version in {text!r} cannot be read.",
                hint="Write it like `python=3.8`.",
                phase="Resolve",
                target=text,
            ) from error

    def accepts(self, python: Python) -> bool:
        """Whether an interpreter is what was asked for."""
        if self.minor is not None:
            return python.minor == self.minor
        return self.specifiers is None or Version(".".join(map(str, python.version))) in self.specifiers


class Pythons:
    """The interpreters of the host; each is asked once per server process, when it is needed.

    Looked for, best first: the server's own, ``python3.X`` on PATH and in the system's folders, pyenv's, uv's. Of
    several with the same minor version the first is taken. PyPy and pre-releases are not used.

    Args:
        installed: where `condapythons` keeps those that it has installed; looked at last.
    """

    def __init__(self, installed: Path | None = None) -> None:
        self._installed = installed
        self._lock = threading.Lock()
        self._found: dict[Minor, Python] = {}

    def own(self) -> Python:
        """The server's own interpreter."""
        base = Path(os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable))
        return Python(base, tuple(sys.version_info[:3]), _own_platform())  # type: ignore[arg-type]

    def find(self, minor: Minor) -> Python | None:
        """An interpreter of that version, if the host has one."""
        with self._lock:
            cached = self._found.get(minor)
            if cached is not None and cached.path.exists():
                return cached
            python = self._probe(minor)
            # What is absent may be installed while the server runs; looking again costs a few stat calls.
            if python is not None:
                self._found[minor] = python
            return python

    def all(self) -> list[Python]:
        """One interpreter of every minor version present, newest first."""
        newest = max(sys.version_info[1], 20)
        found = [self.find((3, minor)) for minor in range(newest, OLDEST[1] - 1, -1)]
        return [python for python in found if python is not None]

    def require(self, minor: Minor) -> Python:
        """An interpreter of that version.

        Raises:
            PhaseFailed: code ``PythonNotAvailable``.
        """
        python = self.find(minor)
        if python is None:
            raise not_available(f"Python {show(minor)}", self.all(), phase="Unpack")
        return python

    def candidates(self, request: PythonRequest | None) -> tuple[list[Python], str]:
        """Which interpreters to try, best first, and what to tell the user if the first one is taken.

        Raises:
            PhaseFailed: code ``PythonNotAvailable``: the host has nothing that can stand in.
        """
        own = self.own()
        if request is None:
            return [own, *(python for python in self.all() if python.minor != own.minor)], ""
        if request.minor is None:
            fitting = [python for python in [own, *self.all()] if request.accepts(python)]
            if fitting:
                return list(dict.fromkeys(fitting)), ""
        elif python := self.find(request.minor):
            return [python], ""
        present = self.all()
        # Python 2 is another language: nothing can stand in for it.
        at_least = request.minor if request.minor and request.minor[0] == OLDEST[0] else (9, 0)
        newer = [python for python in reversed(present) if python.minor > at_least]
        if not newer:
            raise not_available(request.text, present, phase="Resolve")
        return newer, f"{request.text} was asked for, but this machine does not have it"

    def first(self, request: PythonRequest | None) -> Python:
        """The first of `candidates`, found without asking every interpreter where possible."""
        if request is None:
            return self.own()
        if request.minor and (python := self.find(request.minor)):
            return python
        return self.candidates(request)[0][0]

    def _probe(self, minor: Minor) -> Python | None:
        own = self.own()
        if own.minor == minor:
            return own
        for path in _places(minor, self._installed):
            python = _ask(path)
            if python is not None and python.minor == minor:
                return python
        return None


def not_available(wanted: str, present: Iterable[Python], *, phase: str) -> PhaseFailed:
    """The error for an interpreter the host does not have."""
    names = ", ".join(python.name for python in present)
    return PhaseFailed(
        "PythonNotAvailable",
        f"{wanted} was asked for; this machine has Python {names}.",
        hint="Install it (for example with pyenv or `uv python install`), or ask for one that is there.",
        phase=phase,
        target=wanted,
        evidence={"pythons": names},
    )


def _places(minor: Minor, installed: Path | None) -> list[Path]:
    name = f"python{show(minor)}"
    # A server that systemd has started may have a PATH of its own.
    folders = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/local/bin", "/usr/bin"]
    places = [Path(folder, name) for folder in folders if folder]
    home = Path.home()
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share")
    for folder in (
        Path(os.environ.get("PYENV_ROOT") or home / ".pyenv") / "versions",
        Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv/python"),
    ):
        found = glob.glob(f"{glob.escape(str(folder))}/*/bin/{name}")  # noqa: PTH207 - glob.escape
        places += sorted(map(Path, found), key=_version_of_folder, reverse=True)
    if installed is not None:
        places += sorted(installed.glob(f"*/bin/{name}"))
    # A shim of pyenv starts a shell first; the interpreter itself is found below versions/.
    direct = [place for place in places if place.parent.name != "shims"]
    return [place for place in [*direct, *places] if os.access(place, os.X_OK)]


def _version_of_folder(path: Path) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", path.parent.parent.name)]


def clean_environment() -> dict[str, str]:
    """The server's environment without what would change how another interpreter starts."""
    dropped = ("PYTHON", "VIRTUAL_ENV", "CONDA_")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}


@functools.cache
def _ask(path: Path) -> Python | None:
    command = [str(path), "-I", "-S", "-c", _PROBE]
    try:
        run = subprocess.run(
            command,
            capture_output=True,
            timeout=30,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            check=False,
        )
        version, implementation, base, platform, release, _prefix = json.loads(run.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None  # a shim without its version, a broken installation: as good as absent
    if implementation != "cpython" or release != "final":
        return None
    return Python(Path(base), (version[0], version[1], version[2]), platform)


@functools.cache
def _own_platform() -> str:
    import platform
    import sysconfig

    return sysconfig.get_platform() + "-" + "-".join(platform.libc_ver())
