"""The interpreter of an image: that of its base, or one of this host's as a layer."""

from __future__ import annotations

from collections.abc import Sequence

from mooring_server.images.bases.base import Base
from mooring_server.images.hostpythons import HostPythons
from mooring_server.images.layers import Entry, Layer, LayerCache, Symlink, write_layer
from mooring_server.images.locks import key_of
from mooring_server.images.pythons import Python
from mooring_server.images.scratch import Scratch

ENV = "opt/mooring/env"


class Interpreters:
    """Gives images what their Pythons need."""

    def __init__(self, cache: LayerCache, scratch: Scratch) -> None:
        self._cache = cache
        self._host = HostPythons(cache, scratch)

    def provide(self, base: Base, python: Python) -> tuple[str, list[Layer]]:
        """The path of an interpreter in images upon a base, and the layers that bring it there.

        Raises:
            PhaseFailed: code ``PythonNotInBase``.
        """
        path = base.facts.pythons.get(python.name)
        if path is not None:
            return path, []
        path, layer = self._host.provide(base, python)
        return path, [layer]

    def environment(self, python: Python, interpreter: str, *, packages: bool = False) -> Layer:
        """What makes the wheels' folder a virtual environment of an interpreter of the image.

        The process target makes its own, for a Python of this host.

        Args:
            python: which one.
            interpreter: its path.
            packages: those that the interpreter has are there as well.
        """
        entries = environment_entries(ENV, python, interpreter, packages=packages)
        key = key_of("environment-1", python.name, interpreter, *(["packages"] if packages else []))
        name = f"python {python.name}"
        packing = self._cache.media_type
        return self._cache.get_or_make(
            key, lambda: write_layer(self._cache.store, entries, "interpreter", name, media_type=packing)
        )


def environment_entries(
    folder: str, python: Python, interpreter: str, *, packages: bool = False
) -> tuple[Entry, ...]:
    """The files that make a folder of an image a virtual environment."""
    lines: Sequence[str] = (
        f"home = {interpreter.rpartition('/')[0]}",
        f"include-system-site-packages = {str(packages).lower()}",
        f"version = {python.name}",
    )
    return (
        Entry(f"{folder}/pyvenv.cfg", "".join(f"{line}\n" for line in lines).encode()),
        Entry(f"{folder}/bin/python", Symlink(interpreter)),
        Entry(f"{folder}/bin/python3", Symlink("python")),
        Entry(f"{folder}/bin/python{python.name}", Symlink("python")),
    )
