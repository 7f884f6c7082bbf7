"""The lock: which wheels exactly are installed, and where it is remembered."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)\s*(==\s*(?P<version>\S+)|@\s*(?P<url>\S+))(?P<rest>.*)")


@dataclass(frozen=True, order=True)
class Pin:
    """One locked distribution.

    Attributes:
        name: normalised.
        version: exact; empty when it is taken from ``url``, whose name tells it.
        url: of the wheel, for a requirement given by address.
        hashes: ``sha256:<hex>`` of every file that may be installed.
        source: whether it is built from its source distribution.
    """

    name: str
    version: str
    hashes: tuple[str, ...]
    url: str = ""
    source: bool = False

    def line(self) -> str:
        """The pin in the format of requirements.txt."""
        what = f"{self.name} @ {self.url}" if self.url else f"{self.name}=={self.version}"
        return " \\\n".join([what, *(f"    --hash={digest}" for digest in self.hashes)])

    @property
    def shown_version(self) -> str:
        """The version, also of a wheel given by address."""
        return self.version or [*self.url.rpartition("/")[2].split("-"), "", ""][1]


@dataclass(frozen=True)
class Lock:
    """A resolved environment.

    Attributes:
        python: ``X.Y``.
        pins: sorted by name.
        changes: what the resolver had to do differently, as sentences.
    """

    python: str
    pins: tuple[Pin, ...] = ()
    changes: tuple[str, ...] = ()

    def text(self) -> str:
        """The lock for users and for the image: requirements.txt with hashes."""
        head = f"# Locked by Mooring for Python {self.python}.\n"
        return head + "".join(f"{pin.line()}\n" for pin in self.pins)


def parse_pins(text: str, source: Iterable[str] = ()) -> tuple[Pin, ...]:
    """Read what ``uv pip compile --generate-hashes`` prints."""
    from_source = set(source)
    pins = []
    for line in text.replace("\\\n", " ").splitlines():
        match = _PIN.match(line.strip())
        if match is None:
            continue
        name = canonicalize_name(match["name"])
        hashes = tuple(sorted(re.findall(r"--hash=(\S+)", match["rest"])))
        pins.append(Pin(name, match["version"] or "", hashes, match["url"] or "", name in from_source))
    return tuple(sorted(pins))


class LockCache:
    """Remembers locks by what they were made from.

    The same environment and the same index settings give the same lock for as long as the cache is kept: an
    image rebuilt tomorrow has the packages of today, whatever was uploaded overnight. Deleting the directory,
    or a changed environment, makes the resolver look again.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, key: str) -> Lock | None:
        """The remembered lock; None when there is none that can be read."""
        data = read_json(self._directory / f"{key}.json")
        if data is None:
            return None
        pins = tuple(Pin(**{**pin, "hashes": tuple(pin["hashes"])}) for pin in data["pins"])
        return Lock(data["python"], pins, tuple(data["changes"]))

    def put(self, key: str, lock: Lock) -> None:
        """Remember a lock."""
        write_json(self._directory / f"{key}.json", asdict(lock))


def key_of(*facts: Any) -> str:
    """A file name for everything that determines a result."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object from a cache; None when it is absent or damaged, since a cache can be made again."""
    try:
        data = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def write_json(path: Path, data: Any) -> None:
    """Write a cache entry so that no reader ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(data, file, sort_keys=True, separators=(",", ":"))
    Path(temporary).replace(path)
