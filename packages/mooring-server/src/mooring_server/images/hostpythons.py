"""An interpreter of this host as a layer: for images whose base does not have the Python that is needed.

What goes in: the executable, the standard library without what no service needs, and the shared libraries that the base
does not have. Those of the GNU C library never go in: they are the base's.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from mooring_server.domain.errors import PhaseFailed
from mooring_server.images import bytecode
from mooring_server.images.bases.base import Base, BaseContent
from mooring_server.images.bases.facts import shared_libraries
from mooring_server.images.layers import Entry, Layer, LayerCache, write_layer
from mooring_server.images.locks import key_of
from mooring_server.images.pythons import Python, clean_environment
from mooring_server.images.scratch import Scratch

ROOT = "opt/mooring/pythons"
# A key of `Layer.facts`: the folders in the image where its libraries are, as the loader reads them.
LIBRARIES = "libraries"
_FORMAT = "python-1"
_ASK = (
    "import json,sys,sysconfig;"
    "print(json.dumps([sysconfig.get_path('stdlib'),getattr(sys,'platlibdir','lib'),sys.base_prefix]))"
)
_USELESS = re.compile(
    r"(.*/)?(__pycache__|tests?|idlelib|tkinter|turtledemo|ensurepip|lib2to3|pydoc_data|site-packages|dist-packages)/.*"
    r"|config-[^/]*/.*|.*\.a|(lib-dynload/)?_(tkinter|test\w*|ctypes_test|xxtest\w*)\..*"
)
_ELF = re.compile(r".*\.so(\.\d+)*")
_OF_GLIBC = re.compile(
    r"lib(c|m|dl|pthread|rt|util|resolv|anl|mvec|nss_\w+|BrokenLocale|thread_db)\.so\.\d+|libnsl\.so\.1|ld-linux.*"
)
_NEEDED = re.compile(r"^\s+(\S+) => (/\S+) \(", re.MULTILINE)
_GLIBC = re.compile(rb"GLIBC_(\d{1,3})\.(\d{1,3})")


class HostPythons:
    """Packs interpreters of this host."""

    def __init__(self, cache: LayerCache, scratch: Scratch) -> None:
        self._cache = cache
        self._scratch = scratch

    def provide(self, base: Base, python: Python) -> tuple[str, Layer]:
        """The path that an interpreter has in images upon a base, and the layer that brings it there.

        Raises:
            PhaseFailed: code ``PythonNotInBase``: it needs a newer C library.
        """
        files = _files(python)
        libraries = _libraries(python, (path for name, path in files.items() if _ELF.fullmatch(name)))
        prefix = f"{ROOT}/{python.name}"
        looked_at = [_seen(name, path) for name, path in sorted({**files, **libraries}.items())]
        key = key_of(_FORMAT, bytecode.FORMAT, python.name, python.platform, base.digest, looked_at)

        def make() -> Layer:
            _check_glibc(base, python, [*files.values(), *libraries.values()])
            there = shared_libraries(
                self._cache.store.path(layer["digest"])
                for layer in BaseContent.load(self._cache.store, base).layers
            )
            more = {f"shared/{name}": path for name, path in libraries.items() if name not in there}
            with self._scratch.directory() as stage:
                return self._write(python, prefix, {**files, **more}, stage)

        return f"/{prefix}/bin/python{python.name}", self._cache.get_or_make(key, make)

    def _write(self, python: Python, prefix: str, files: dict[str, Path], stage: Path) -> Layer:
        for name, path in files.items():
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, stage / name)
        modules = tuple(sorted(name for name in files if name.endswith(".py")))
        bytecode.compile_all(python, [bytecode.Sources(stage, modules)], f"/{prefix}")
        entries = []
        for path in stage.rglob("*"):
            if path.is_file():
                name = path.relative_to(stage).as_posix()
                entries.append(Entry(f"{prefix}/{name}", path, name.startswith("bin/") or _is_elf(name)))
        folders = ["shared"]
        # Others look for their own libraries at the path where they are installed here.
        if b"$ORIGIN" not in python.path.read_bytes():
            folders.append("lib")
        facts = {LIBRARIES: ":".join(f"/{prefix}/{folder}" for folder in folders)}
        packing = self._cache.media_type
        return write_layer(
            self._cache.store, entries, "interpreter", f"python {python.name}", facts, media_type=packing
        )


def _files(python: Python) -> dict[str, Path]:
    """What is taken of an installation, by its path below the interpreter's folder in the image."""
    command = [str(python.path), "-I", "-S", "-c", _ASK]
    run = subprocess.run(command, capture_output=True, env=clean_environment(), check=True, timeout=60)
    stdlib, libraries, prefix = json.loads(run.stdout)
    found = {f"bin/python{python.name}": python.path}
    for path in Path(stdlib).rglob("*"):
        name = path.relative_to(stdlib).as_posix()
        if path.is_file() and not _USELESS.fullmatch(name):
            found[f"{libraries}/python{python.name}/{name}"] = path
    # Those that conda and uv bring find theirs by a path relative to themselves.
    for path in Path(prefix, "lib").glob("lib*.so.*") if Path(prefix) != Path("/usr") else ():
        found[f"lib/{path.name}"] = path
    return found


def _is_elf(name: str) -> bool:
    return name.startswith("bin/") or bool(_ELF.fullmatch(name))


def _libraries(python: Python, files: Iterable[Path]) -> dict[str, Path]:
    """The shared libraries that these need, without those of the C library, by the names they are asked for by.

    The loader tells them, as ``ldd`` lets it, of all at once; nothing of the interpreter is run for that.
    """
    variables = {"LD_TRACE_LOADED_OBJECTS": "1", "LD_PRELOAD": ":".join(map(str, files))}
    run = subprocess.run(
        [str(python.path)], env=variables, capture_output=True, text=True, check=True, timeout=120
    )
    found = {name: Path(path) for name, path in _NEEDED.findall(run.stdout)}
    return {name: path for name, path in found.items() if not _OF_GLIBC.fullmatch(name)}


def _check_glibc(base: Base, python: Python, files: Iterable[Path]) -> None:
    needed = max(_versions(files), default=(0, 0))
    there = tuple(map(int, base.facts.glibc.split(".")))
    if needed > there:
        raise PhaseFailed(
            "PythonNotInBase",
            f"The base image {base.reference} has no Python {python.name}, and this machine's ({python.path}) needs "
            f"version {needed[0]}.{needed[1]} of the C library; the base has {base.facts.glibc}.",
            hint="Name a base that has it or a newer C library, or ask for a Python that is there.",
            phase="Build",
            target=base.reference,
            evidence={"pythons": ", ".join(base.facts.pythons) or "none"},
        )


def _versions(files: Iterable[Path]) -> Iterator[tuple[int, int]]:
    for path in files:
        if path.suffix not in {".py", ".txt"}:
            for major, minor in _GLIBC.findall(path.read_bytes()):
                yield int(major), int(minor)


def _seen(name: str, path: Path) -> tuple[str, str, int, int]:
    status = path.stat()
    return name, str(path), status.st_size, status.st_mtime_ns
