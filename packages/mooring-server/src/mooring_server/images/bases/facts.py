"""Looks through the layers of a base, without unpacking them."""

from __future__ import annotations

import posixpath
import re
import tarfile
from collections.abc import Iterable
from pathlib import Path

from mooring_server.domain.errors import PhaseFailed
from mooring_server.images.bases.base import Facts
from mooring_server.images.compression import DAMAGE, LIMITS, damaged, opened

_PYTHON = re.compile(r"(?:usr/|usr/local/|opt/[^/]+/)?bin/python(3\.\d+)")
_SHELL = re.compile(r"(?:usr/)?bin/(?:ba|da|a)?sh")
_GLIBC = re.compile(rb"GNU C Library .{0,100}? version (\d+\.\d+)")
_LIBRARY = re.compile(r"(?:\./|/)?(?:usr/)?lib(?:64)?/(?:[^/]+-linux-gnu[^/]*/)?(lib[^/]+\.so\.[^/]+)")
_CERTIFICATES = {"etc/ssl/certs/ca-certificates.crt", "etc/ssl/cert.pem", "etc/pki/tls/certs/ca-bundle.crt"}
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_MOST_OF_LIBC = 8 << 20


def look(layers: Iterable[Path]) -> Facts:
    """What the layers hold, lowest first.

    Raises:
        PhaseFailed: code ``LayerDamaged`` or ``LayerTooLarge``.
    """
    found: dict[str, str] = {}
    for path in layers:
        _look(path, found)
    pythons = {}
    for name in sorted(found, key=lambda name: (name.startswith("opt/"), name)):
        if (match := _PYTHON.fullmatch(name)) and match[1] not in pythons:
            pythons[match[1]] = f"/{name}"
    shells = sorted(name for name in found if _SHELL.fullmatch(name))
    return Facts(
        pythons=pythons,
        glibc=next((value for value in found.values() if value), ""),
        shell=f"/{shells[0]}" if shells else "",
        certificates=not _CERTIFICATES.isdisjoint(found),
    )


def shared_libraries(layers: Iterable[Path]) -> set[str]:
    """The names of the libraries that programs of these layers find without being told where.

    Raises:
        PhaseFailed: code ``LayerDamaged`` or ``LayerTooLarge``.
    """
    names: set[str] = set()
    for path in layers:
        size = LIMITS.size(path.stat().st_size)
        try:
            with opened(path, size) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
                names |= {match[1] for member in archive if (match := _LIBRARY.fullmatch(member.name))}
        except DAMAGE as error:
            raise damaged(path, error, "Pull or import the base again.") from error
    return names


def _look(path: Path, found: dict[str, str]) -> None:
    try:
        _walk(path, found)
    except DAMAGE as error:
        raise damaged(path, error, "Pull or import the base again.") from error


def _walk(path: Path, found: dict[str, str]) -> None:
    """Add what one layer holds, and forget what it removes."""
    size = LIMITS.size(path.stat().st_size)
    with opened(path, size) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            name = posixpath.normpath(member.name).lstrip("/")
            folder, base = posixpath.split(name)
            if base == _OPAQUE or base.startswith(_WHITEOUT):
                gone = folder if base == _OPAQUE else posixpath.join(folder, base[len(_WHITEOUT) :])
                for other in [other for other in found if other == gone or other.startswith(f"{gone}/")]:
                    del found[other]
            elif base == "libc.so.6":
                found[name] = _version(archive, member)
            elif (
                (member.isreg() and _PYTHON.fullmatch(name))
                or _SHELL.fullmatch(name)
                or name in _CERTIFICATES
            ):
                found[name] = ""


def _version(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    """The C library's version, which it says of itself; older ones are links to a file named after it."""
    if match := re.search(r"libc-(\d+\.\d+)\.so", member.linkname or ""):
        return match[1]
    content = archive.extractfile(member) if member.isreg() and member.size < _MOST_OF_LIBC else None
    match_bytes = _GLIBC.search(content.read()) if content is not None else None
    return match_bytes[1].decode() if match_bytes else ""


def check_usable(facts: Facts, reference: str) -> None:
    """Refuse a base on which wheels of PyPI do not run.

    Raises:
        PhaseFailed: code ``BaseNotSupported``.
    """
    if not facts.glibc:
        raise PhaseFailed(
            "BaseNotSupported",
            f"The base image {reference} has no GNU C library (Alpine has musl, `scratch` has none).",
            hint="Take one of Debian, Ubuntu, or Red Hat's family, or build one: mooring base build",
            phase="Resolve",
            target=reference,
        )
