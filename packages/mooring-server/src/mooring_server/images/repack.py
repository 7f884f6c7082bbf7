"""An unpacked conda package as a wheel: the same files, with metadata that uv reads."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

_NOT_CODE = ("info/", "bin/", "python-scripts/", "share/", "etc/", "ssl/")
_DATE = (1980, 1, 1, 0, 0, 0)


class NoWheel(Exception):
    """Why a package cannot be a wheel."""


@dataclass(frozen=True)
class Facts:
    """What the channel says of a package.

    Attributes:
        name: what it is called for PyPI.
        version: by PEP 440.
        needs: its dependencies, by PEP 508.
        python: ``(3, 11)`` if it is compiled for that one, None if it runs on any.
        platform: such as ``linux_x86_64``, for a compiled one.
    """

    name: str
    version: str
    needs: tuple[str, ...]
    python: tuple[int, int] | None
    platform: str

    @property
    def tag(self) -> str:
        """Of the wheel."""
        if self.python is None:
            return "py3-none-any"
        python = "cp{}{}".format(*self.python)
        return f"{python}-{python}-{self.platform}"

    @property
    def stem(self) -> str:
        """What names of files and folders begin with."""
        return f"{canonicalize_name(self.name).replace('-', '_')}-{self.version}"


def repack(folder: Path, facts: Facts, target: Path) -> Path:
    """Write the wheel; its bytes depend on the package alone.

    Programs and documents of the package are left out: a model's service starts none.

    Args:
        folder: the unpacked package.
        facts: of the channel.
        target: a directory for the wheel.

    Raises:
        NoWheel: it has libraries outside of ``site-packages``, files that name the place they were installed to, or no
            Python at all.
    """
    roots = ["site-packages/"]
    if facts.python is not None:
        roots.append("lib/python{}.{}/site-packages/".format(*facts.python))
    with_place = _with_place(folder)
    files: dict[str, bytes] = {}
    for path in sorted(each for each in folder.rglob("*") if each.is_file() and not each.is_symlink()):
        name = path.relative_to(folder).as_posix()
        root = next((root for root in roots if name.startswith(root)), None)
        if root is None:
            if not name.startswith(_NOT_CODE):
                raise NoWheel(f"it has files outside of site-packages, such as {name}")
            continue
        if name in with_place:
            raise NoWheel(f"{name} names the folder of the conda environment")
        inside = name.removeprefix(root)
        if _wanted(inside):
            files[inside] = path.read_bytes()
    if not files:
        raise NoWheel("it has no Python modules")
    entry_points = next(
        (data for name, data in files.items() if name.endswith(".dist-info/entry_points.txt")), None
    )
    files = {
        name: data for name, data in files.items() if ".dist-info/" not in name and ".egg-info" not in name
    }
    return _write(files, entry_points, facts, target)


def _wanted(name: str) -> bool:
    return "__pycache__/" not in name and not name.endswith(".pyc")


def _with_place(folder: Path) -> set[str]:
    """Files into which conda would write the folder that it installs to."""
    listed = folder / "info" / "paths.json"
    if not listed.is_file():
        return set()
    return {
        entry["_path"]
        for entry in json.loads(listed.read_bytes())["paths"]
        if entry.get("prefix_placeholder")
    }


def _write(files: dict[str, bytes], entry_points: bytes | None, facts: Facts, target: Path) -> Path:
    about = f"{facts.stem}.dist-info"
    needs = "".join(f"Requires-Dist: {need}\n" for need in facts.needs)
    files[f"{about}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {facts.name}\nVersion: {facts.version}\n{needs}"
    ).encode()
    pure = "true" if facts.python is None else "false"
    files[f"{about}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: mooring\nRoot-Is-Purelib: {pure}\nTag: {facts.tag}\n"
    ).encode()
    if entry_points is not None:
        files[f"{about}/entry_points.txt"] = entry_points
    lines = [f"{name},sha256={_digest(data)},{len(data)}" for name, data in files.items()]
    record = f"{about}/RECORD"
    files[record] = "\n".join([*lines, f"{record},,", ""]).encode()
    path = target / f"{facts.stem}-{facts.tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _DATE)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            wheel.writestr(entry, data)
    return path


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
