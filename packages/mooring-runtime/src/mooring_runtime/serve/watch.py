"""Which source and model files have changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

SUFFIXES = frozenset((".py", ".yml", ".yaml", ".toml"))
# JSON that the worker reads itself; other JSON may well be written by the script.
NAMES = frozenset(("config.json", "logging.json", "swagger.json", "swagger2.json", "swagger3.json"))
# Below the model folder; of other suffixes are also files that a script writes there.
MODELS = frozenset(
    (
        ".bin",
        ".cbm",
        ".h5",
        ".joblib",
        ".keras",
        ".model",
        ".onnx",
        ".pb",
        ".pickle",
        ".pkl",
        ".pt",
        ".pth",
        ".safetensors",
        ".skops",
        ".ubj",
    )
)
SKIPPED = frozenset(("__pycache__", "node_modules", "site-packages", "azureml-models"))

Snapshot = dict[str, tuple[int, int]]


class Watch:
    """The source files below a folder, and the models below another.

    Args:
        root: the folder.
        also: single files elsewhere.
        models: the model folder; None without one.
    """

    def __init__(self, root: Path, also: tuple[Path, ...] = (), models: Path | None = None) -> None:
        self._root = root
        self._also = also
        self._models = models
        self._pending: set[str] = set()
        self._seen = self._look()

    def changed(self) -> list[str]:
        """The files that are new, different or gone since the last call.

        What still changes between two calls is told at a later one: a model takes a while to write.
        """
        now = self._look()
        before, self._seen = self._seen, now
        news = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
        self._pending |= news
        if news:
            return []
        told, self._pending = self._pending, set()
        return sorted(told)

    def _look(self) -> Snapshot:
        found: Snapshot = {}
        self._walk(found, self._root, lambda name: name in NAMES or Path(name).suffix in SUFFIXES)
        if self._models is not None:
            self._walk(found, self._models, lambda name: Path(name).suffix.lower() in MODELS)
        for path in self._also:
            self._note(found, path)
        return found

    def _walk(self, found: Snapshot, root: Path, wanted: Callable[[str], bool]) -> None:
        for folder, folders, files in os.walk(root):
            # Hidden folders and virtual environments are none of the script's sources.
            folders[:] = [
                name
                for name in folders
                if not name.startswith(".")
                and name not in SKIPPED
                and not (Path(folder) / name / "pyvenv.cfg").exists()
            ]
            for name in files:
                if wanted(name):
                    self._note(found, Path(folder) / name)

    @staticmethod
    def _note(found: Snapshot, path: Path) -> None:
        try:
            facts = path.stat()
        except OSError:
            return  # it went away meanwhile
        found[str(path)] = (facts.st_mtime_ns, facts.st_size)
