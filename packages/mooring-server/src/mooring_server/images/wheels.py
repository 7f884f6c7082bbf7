"""One layer for each locked wheel."""

from __future__ import annotations

import base64
import csv
import email.parser
import errno
import hashlib
import io
import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.message import Message
from pathlib import Path, PurePosixPath

from packaging.utils import canonicalize_name

from mooring_server.domain.errors import PhaseFailed
from mooring_server.images import bytecode
from mooring_server.images.explain import building_hint
from mooring_server.images.indexes import IndexSettings
from mooring_server.images.interpreters import ENV
from mooring_server.images.layers import Entry, Layer, LayerCache, write_layer
from mooring_server.images.locks import Lock, Pin, key_of
from mooring_server.images.pythons import Python
from mooring_server.images.scratch import Scratch
from mooring_server.images.uv import Log, Uv
from mooring_server.store.content import disk_full

_FORMAT = "wheel-1"
# What installers note about this machine, and what differs from one installation to the next.
_BUILD_FAILED = re.compile(r"Failed to (?:download and )?build `?([A-Za-z0-9._-]+?)(==|`|\s|@)")
_TESTS = re.compile(r"/tests?/")
_MACHINE_FILES = re.compile(r"direct_url\.json|uv_\w+\.json")


@dataclass(frozen=True)
class _Installed:
    """A wheel in the stage: its dist-info directory and its files relative to the stage."""

    pin: Pin
    stage: Path
    record: str
    rows: tuple[tuple[str, str, str], ...]  # path relative to the stage, hash, size as in RECORD


class WheelLayers:
    """Installs wheels outside of any image and packs each of them once."""

    def __init__(self, uv: Uv, cache: LayerCache, scratch: Scratch) -> None:
        self._uv = uv
        self._cache = cache
        self._scratch = scratch

    def layers(self, lock: Lock, python: Python, settings: IndexSettings, log: Log) -> list[Layer]:
        """The layers of all pins, in the order of the lock.

        Raises:
            PhaseFailed: codes ``PackagesNotInstalled``, ``PackageNotBuilt``.
        """
        keys = {pin: self._key(pin, python) for pin in lock.pins}
        found = {pin: layer for pin in lock.pins if (layer := self._cache.get(keys[pin]))}
        missing = [pin for pin in lock.pins if pin not in found]
        if missing:
            for pin, layer in self._make(missing, python, settings, log):
                self._cache.put(keys[pin], layer)
                found[pin] = layer
        return [found[pin] for pin in lock.pins]

    @staticmethod
    def _key(pin: Pin, python: Python) -> str:
        source = (pin.name, pin.version, pin.url, pin.hashes, pin.source)
        return key_of(_FORMAT, bytecode.FORMAT, source, python.name, python.platform)

    def _make(
        self, pins: Sequence[Pin], python: Python, settings: IndexSettings, log: Log
    ) -> list[tuple[Pin, Layer]]:
        with self._scratch.directory() as folder, ThreadPoolExecutor(bytecode.WORKERS) as pool:
            stage = folder / "stage"
            self._install(pins, python, stage, settings, log)
            installed = _split(pins, stage, python)
            for index, pin in enumerate(_damaged(installed)):
                # Two wheels with the same file: alone each has its own, whatever else was missing today.
                alone = folder / f"alone-{index}"
                self._install([pin], python, alone, settings, log)
                installed = [item for item in installed if item.pin != pin] + _split([pin], alone, python)
            log(f"Compiling the bytecode of {len(installed)} packages for Python {python.name}.")
            started = time.monotonic()
            packages = [
                bytecode.Sources(item.stage, tuple(row[0] for row in item.rows if _is_module(item, row[0])))
                for item in installed
            ]
            bytecode.compile_all(python, packages, f"/{ENV}")
            log(f"Compiled in {time.monotonic() - started:.1f} s.")
            return list(pool.map(lambda item: (item.pin, self._pack(item, python)), installed))

    def _install(
        self, pins: Sequence[Pin], python: Python, stage: Path, settings: IndexSettings, log: Log
    ) -> None:
        make_environment(stage, python)
        lock = stage.with_suffix(".txt")
        lock.write_text("".join(f"{pin.line()}\n" for pin in pins), encoding="utf-8")
        arguments = [
            *("pip", "install", "--no-deps", "--require-hashes", "--requirements", str(lock)),
            *("--python", str(stage / "bin/python"), "--only-binary", ":all:"),
            *settings.arguments,
        ]
        built = [pin.name for pin in pins if pin.source]
        for name in built:
            arguments += ["--no-binary", name]
        result = self._uv.run(
            arguments, cwd=stage.parent, settings=settings.variables, log=log, phase="Build"
        )
        if result.status == 0:
            return
        if "No space left on device" in result.errors:
            full = disk_full(OSError(errno.ENOSPC, ""), stage, 1, phase="Build")
            raise full or OSError(errno.ENOSPC, "")
        evidence = {"log": result.errors}
        if failed := _BUILD_FAILED.search(result.errors):
            raise PhaseFailed(
                "PackageNotBuilt",
                f"{failed[1]} has no wheel for Python {python.name}, and building it from source failed.",
                hint=building_hint(result.errors),
                phase="Build",
                target=failed[1],
                evidence=evidence,
            )
        raise PhaseFailed(
            "PackagesNotInstalled",
            f"The packages of the lock could not be installed: {_first_cause(result.errors)}",
            hint="If a file has changed in the index or the network has failed, try again.",
            phase="Build",
            evidence=evidence,
        )

    def _pack(self, item: _Installed, python: Python) -> Layer:
        entries = []
        rows = []
        for path, digest, size in item.rows:
            source = item.stage / path
            if path == item.record or not _belongs(path, source, item.stage):
                continue
            executable = bool(source.stat().st_mode & 0o100)
            entries.append(Entry(f"{ENV}/{path}", source, executable))
            rows.append((path, digest, size))
            compiled = bytecode.cache_name(python, path)
            if _is_module(item, path) and (item.stage / compiled).is_file():
                entries.append(Entry(f"{ENV}/{compiled}", item.stage / compiled))
        metadata = _metadata(item)
        # uv's RECORD has the hashes of scripts that name this machine's stage directory.
        entries.append(Entry(f"{ENV}/{item.record}", _record(item.record, rows)))
        facts = {"version": str(metadata.get("Version", "")), "licence": _licence(metadata)}
        packing = self._cache.media_type
        return write_layer(self._cache.store, entries, "wheel", item.pin.name, facts, media_type=packing)


def make_environment(folder: Path, python: Python) -> None:
    """Make a directory a virtual environment of an interpreter, without running anything."""
    (folder / "bin").mkdir(parents=True)
    version = ".".join(map(str, python.version))
    lines = (
        f"home = {python.path.parent}",
        "include-system-site-packages = false",
        f"version = {version}",
        f"executable = {python.path}",
    )
    (folder / "pyvenv.cfg").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    for name in ("python", "python3", f"python{python.name}"):
        (folder / "bin" / name).symlink_to(python.path if name == "python" else "python")


def _site_packages(python: Python) -> str:
    return f"lib/python{python.name}/site-packages"


def _split(pins: Sequence[Pin], stage: Path, python: Python) -> list[_Installed]:
    """Find each wheel's files by its RECORD."""
    site = _site_packages(python)
    by_name = {pin.name: pin for pin in pins}
    installed = []
    for record in sorted((stage / site).glob("*.dist-info/RECORD")):
        name = canonicalize_name(record.parent.name.removesuffix(".dist-info").rpartition("-")[0])
        if name not in by_name:
            continue
        rows = []
        for row in csv.reader(io.StringIO(record.read_text(encoding="utf-8"))):
            if not row:
                continue
            path = os.path.normpath(f"{site}/{row[0]}")
            if not path.startswith(("/", "..")):
                rows.append((path, *(row[1:3] if len(row) >= 3 else ("", ""))))
        own = record.relative_to(stage).as_posix()
        installed.append(_Installed(by_name.pop(name), stage, own, tuple(rows)))
    if by_name:
        raise PhaseFailed(
            "PackagesNotInstalled",
            f"uv reported success, but left no RECORD of {', '.join(sorted(by_name))}.",
            phase="Build",
        )
    return installed


def _damaged(installed: Sequence[_Installed]) -> list[Pin]:
    """The wheels of which another one has overwritten a file."""
    owners = Counter(path for item in installed for path in {row[0] for row in item.rows})
    return [
        item.pin
        for item in installed
        if any(
            owners[path] > 1 and digest and not _matches(item.stage / path, digest)
            for path, digest, _ in item.rows
            if path != item.record
        )
    ]


def _matches(path: Path, digest: str) -> bool:
    algorithm, _, expected = digest.partition("=")
    if not path.is_file() or algorithm not in hashlib.algorithms_available:
        return False
    found = hashlib.new(algorithm, path.read_bytes()).digest()
    return base64.urlsafe_b64encode(found).rstrip(b"=").decode() == expected.rstrip("=")


def _is_module(item: _Installed, path: str) -> bool:
    """Whether to compile the file.

    Packages' own tests are a third of all sources (scikit-learn, SciPy, NumPy) and nobody imports them while
    scoring; if somebody does, Python compiles them then.
    """
    if _TESTS.search(path):
        return False
    return path.endswith(".py") and path.startswith("lib/") and (item.stage / path).is_file()


def _belongs(path: str, source: Path, stage: Path) -> bool:
    """Whether a file of a wheel goes into the image."""
    name = PurePosixPath(path).name
    if "/__pycache__/" in path or not source.is_file():
        return False
    if _MACHINE_FILES.fullmatch(name) and ".dist-info/" in path:
        return False
    if path.startswith("bin/"):
        # Generated scripts begin with the interpreter of the stage; programs do not.
        with source.open("rb") as file:
            return os.fsencode(stage) not in file.read(4096)
    return True


def _record(own: str, rows: Sequence[tuple[str, str, str]]) -> bytes:
    site = PurePosixPath(own).parent.parent.as_posix()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for path, digest, size in sorted([*rows, (own, "", "")]):
        writer.writerow((os.path.relpath(path, site), digest, size))
    return text.getvalue().encode()


def _metadata(item: _Installed) -> Message:
    path = item.stage / PurePosixPath(item.record).with_name("METADATA")
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return email.parser.HeaderParser().parsestr(text)


def _licence(metadata: Message) -> str:
    """The licence in the package's own words: expression, classifier or a short free text."""
    if expression := metadata.get("License-Expression"):
        return str(expression).strip()
    prefix = "License :: "
    classifiers = [
        str(value) for value in metadata.get_all("Classifier") or [] if str(value).startswith(prefix)
    ]
    if classifiers:
        return ", ".join(sorted(text.rpartition(" :: ")[2] for text in classifiers))
    text = str(metadata.get("License") or "").strip()
    return text if len(text) <= 100 and "\n" not in text and text.upper() != "UNKNOWN" else ""


def _first_cause(errors: str) -> str:
    causes = re.findall(r"(?:cause|error): (.+)", errors)
    return str(causes[-1]) if causes else "see the log."
