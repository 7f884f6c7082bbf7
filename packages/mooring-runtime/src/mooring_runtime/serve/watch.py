"""Which source files have changed."""

from __future__ import annotations

import os
from pathlib import Path

SUFFIXES = frozenset((".py", ".yml", ".yaml", ".toml"))
# JSON that the worker reads itself; other JSON may well be written by the script.
NAMES = frozenset(("config.json", "logging.json", "swagger.json", "swagger2.json", "swagger3.json"))
SKIPPED = frozenset(("__pycache__", "node_modules", "site-packages", "azureml-models"))

Snapshot = dict[str, tuple[int, int]]


class Watch:
    """The source files below a folder.

    Args:
        root: the folder.
        also: single files elsewhere.
    """

    def __init__(self, root: Path, also: tuple[Path, ...] = ()) -> None:
        self._root = root
        self._also = also
        self._seen = self._look()

    def changed(self) -> list[str]:
        """The files that are new, different or gone since the last call."""
        now = self._look()
        before, self._seen = self._seen, now
        return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))

    def _look(self) -> Snapshot:
        found: Snapshot = {}
        for folder, folders, files in os.walk(self._root):
            # Hidden folders and virtual environments are none of the script's sources.
            folders[:] = [
                name
                for name in folders
                if not name.startswith(".")
                and name not in SKIPPED
                and not (Path(folder) / name / "pyvenv.cfg").exists()
            ]
            for name in files:
                if name in NAMES or Path(name).suffix in SUFFIXES:
                    self._note(found, Path(folder) / name)
        for path in self._also:
            self._note(found, path)
        return found

    @staticmethod
    def _note(found: Snapshot, path: Path) -> None:
        try:
            facts = path.stat()
        except OSError:
            return  # it went away meanwhile
        found[str(path)] = (facts.st_mtime_ns, facts.st_size)
