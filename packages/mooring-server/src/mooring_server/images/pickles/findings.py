"""What was seen in the pickles of a file."""

from __future__ import annotations

import _compat_pickle
from typing import Any

from mooring_server.images.pickles.arrays import Name
from mooring_server.images.pickles.dangerous import COMPUTED
from mooring_server.images.pickles.source import Stopped

MOST_IMPORTS = 2000
# The keys under which libraries write their version into what they pickle.
VERSION_KEYS = {
    "_sklearn_version": "scikit-learn",
    "pytorch-lightning_version": "pytorch-lightning",
}


class Findings:
    """What was seen so far, in all pickles of a file.

    Attributes:
        protocol: the highest, None for one of before protocol 2.
        imports: module and name of each.
        versions: of the libraries that wrote it, by distribution.
        opcodes: how many were followed.
        called_computed: whether something is called whose name is not in the file.
    """

    def __init__(self) -> None:
        self.protocol: int | None = None
        self.imports: set[tuple[str, str]] = set()
        self.versions: dict[str, set[str]] = {}
        self.opcodes = 0
        self.called_computed = False

    def imported(self, module: Any, name: Any, protocol: int) -> Name:
        """Note an import of a pickle of that protocol."""
        if not isinstance(module, str) or not isinstance(name, str):
            module, name = COMPUTED, COMPUTED
        elif protocol < 3:
            # Python 3 translates the names of Python 2, as its own unpickler does.
            module, name = _compat_pickle.NAME_MAPPING.get((module, name), (module, name))
            module = _compat_pickle.IMPORT_MAPPING.get(module, module)
        if len(self.imports) < MOST_IMPORTS:
            self.imports.add((module, name))
        elif (module, name) not in self.imports:
            raise Stopped(f"it imports more than {MOST_IMPORTS} names")
        return Name(f"{module}.{name}")

    def called(self, callee: Any) -> None:
        """Note a call."""
        if isinstance(callee, Name) and COMPUTED in callee.path:
            self.called_computed = True

    def version(self, key: Any, value: Any) -> None:
        """Note a version, if the key is that of one."""
        if isinstance(key, str) and key in VERSION_KEYS and isinstance(value, str) and 0 < len(value) <= 40:
            self.versions.setdefault(VERSION_KEYS[key], set()).add(value)
