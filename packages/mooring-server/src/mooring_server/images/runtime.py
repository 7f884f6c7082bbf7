"""The layers with Mooring's own parts: the worker for the user's Python, and the front with its environment."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path

import mooring_runtime
from mooring_server.images import bytecode
from mooring_server.images.interpreters import environment_entries
from mooring_server.images.layers import Entry, Layer, LayerCache, write_layer
from mooring_server.images.locks import key_of
from mooring_server.images.pythons import Python
from mooring_server.images.scratch import Scratch
from mooring_server.store.content import digest_of

WORKER = "opt/mooring/runtime/worker"
FRONT = "opt/mooring/front"
# What the front needs beside the standard library (mooring-runtime's pyproject.toml).
_REQUIRED = ("httptools", "uvloop")
# Sources of compiled modules: nobody reads them in an image.
_NOT_NEEDED = (".pyx", ".pxd", ".pxi", ".pyi", ".c", ".h")


class RuntimeLayers:
    """Packs Mooring's own parts as they are installed here, so that no index is asked for them."""

    def __init__(self, cache: LayerCache, scratch: Scratch) -> None:
        self._cache = cache
        self._scratch = scratch

    def worker(self, python: Python) -> Layer:
        """The worker of the installed mooring-runtime, with bytecode for the image's Python."""
        folder = _package() / "worker"
        return self._packed("runtime-1", "runtime", python, WORKER, _tree(folder, ""), ())

    def front(self, python: Python, interpreter: str) -> Layer:
        """Supervisor and front, in an environment of their own.

        Args:
            python: whose compiled modules are installed here: the server's own.
            interpreter: path of that Python in the image.
        """
        site = f"lib/python{python.name}/site-packages/"
        files = _tree(_package(), f"{site}{mooring_runtime.__name__}/")
        for name in _REQUIRED:
            distribution = importlib.metadata.distribution(name)
            for file in distribution.files or ():
                path = file.as_posix()
                if not path.startswith("..") and "__pycache__" not in path and not path.endswith(_NOT_NEEDED):
                    files[site + path] = Path(str(distribution.locate_file(file)))
        links = environment_entries(FRONT, python, interpreter)
        return self._packed("front-1", "front", python, FRONT, files, links)

    def _packed(
        self,
        form: str,
        kind: str,
        python: Python,
        prefix: str,
        files: Mapping[str, Path],
        more: tuple[Entry, ...],
    ) -> Layer:
        content = {name: path.read_bytes() for name, path in files.items()}
        digests = {name: digest_of(data) for name, data in content.items()}
        key = key_of(form, bytecode.FORMAT, python.name, digests, [str(entry) for entry in more])

        def make() -> Layer:
            with self._scratch.directory() as stage:
                for name, data in content.items():
                    (stage / name).parent.mkdir(parents=True, exist_ok=True)
                    (stage / name).write_bytes(data)
                modules = tuple(sorted(name for name in content if name.endswith(".py")))
                bytecode.compile_all(python, [bytecode.Sources(stage, modules)], f"/{prefix}")
                entries = [
                    Entry(f"{prefix}/{path.relative_to(stage).as_posix()}", path)
                    for path in stage.rglob("*")
                    if path.is_file()
                ]
                return self._write([*entries, *more], kind)

        return self._cache.get_or_make(key, make)

    def _write(self, entries: list[Entry], kind: str) -> Layer:
        name, packing = mooring_runtime.__name__, self._cache.media_type
        return write_layer(self._cache.store, entries, kind, name, media_type=packing)


def _package() -> Path:
    return Path(str(mooring_runtime.__file__)).parent


def _tree(folder: Path, prefix: str) -> dict[str, Path]:
    return {
        prefix + path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
