"""Looks at a model's files and tells what is in their pickles."""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mooring_server.images.pickles.dangerous import COMPUTED, danger
from mooring_server.images.pickles.findings import Findings
from mooring_server.images.pickles.machine import Machine
from mooring_server.images.pickles.source import Source, Stopped, unpacked

_SUFFIXES = (".pkl", ".pickle", ".joblib", ".sav", ".p", ".pk")
_NUMPY = b"\x93NUMPY"
_ZIP = b"PK\x03\x04"
_MOST_MEMBERS = 10_000
_MOST_PICKLES = 100
_SHOWN_IMPORTS = 200


@dataclass(frozen=True)
class Pickle:
    """What is known of one file.

    Attributes:
        path: in the model.
        protocol: the highest used, None for one of before protocol 2.
        compression: empty, or its name.
        versions: the versions of the libraries that wrote it, by distribution.
        imports: ``module.name`` of all classes and functions it needs, sorted.
        dangerous: those of the imports that do harm, with the reason.
        incomplete: why not all of it was looked at; empty when it was.
    """

    path: str
    protocol: int | None
    compression: str
    versions: dict[str, tuple[str, ...]]
    imports: tuple[str, ...]
    dangerous: dict[str, str]
    incomplete: str

    def to_json(self) -> dict[str, Any]:
        """As it is kept with the model and shown."""
        return {
            "path": self.path,
            "protocol": self.protocol,
            "compression": self.compression or None,
            "versions": {name: list(found) for name, found in self.versions.items()},
            "imports": list(self.imports[:_SHOWN_IMPORTS]),
            "dangerousImports": [{"name": name, "reason": why} for name, why in self.dangerous.items()],
            "incomplete": self.incomplete or None,
        }


def scan(path: str, file: Path) -> Pickle | None:
    """Read one file; None if it is no pickle and has none in it.

    Memory stays below some tens of megabytes and time below some ten seconds, whatever the file is; what was not looked
    at for that is told. Read are pickles of all protocols, also several in one file; joblib's with NumPy arrays between
    the opcodes; both compressed by zlib, gzip, bz2, lzma or xz; those in zip archives (PyTorch's, ``.npz``); ``.npy``.

    Args:
        path: in the model: decides whether a text that happens to be like a pickle is taken for one.
        file: where it lies.
    """
    findings = Findings()
    compression, incomplete = "", ""
    with file.open("rb") as stream:
        named = path.lower().endswith(_SUFFIXES) or re.search(r"\.(pkl|joblib|pickle)\.\w+\Z", path.lower())
        head = stream.read(8)
        stream.seek(0)
        try:
            if head.startswith(_ZIP):
                incomplete = _scan_zip(stream, findings)
            else:
                content, compression = unpacked(stream)
                _scan_stream(content, findings)
        except Stopped as stopped:
            incomplete = str(stopped)
    ended = not incomplete
    dangerous = {
        _shown(f"{module}.{name}"): reason
        for module, name in sorted(findings.imports)
        if (reason := danger(module, name))
    }
    # Anything may begin like a pickle without a protocol: it is one when it ends like one, or does harm before. Where
    # numbers lie that are no text, one in a hundred looks like an import without a name, which does nothing uncalled.
    harmful = findings.called_computed or any(COMPUTED not in name for name in dangerous)
    sure = findings.protocol is not None or named or harmful or (ended and findings.imports)
    if not sure or not (findings.opcodes or incomplete):
        return None
    return Pickle(
        path,
        findings.protocol,
        compression,
        {name: tuple(sorted(found)) for name, found in sorted(findings.versions.items())},
        tuple(sorted(_shown(f"{module}.{name}") for module, name in findings.imports)),
        dangerous,
        incomplete,
    )


def scan_all(files: Iterable[tuple[str, Path]]) -> list[Pickle]:
    """The pickles among a model's files, which are given by their paths in the model."""
    return [found for path, file in files if (found := scan(path, file)) is not None]


def refused(pickles: Iterable[Pickle], allowed: Collection[str]) -> list[tuple[Pickle, str, str]]:
    """The dangerous imports that are not allowed: pickle, name, reason."""
    return [
        (pickle, name, reason)
        for pickle in pickles
        for name, reason in pickle.dangerous.items()
        if name not in allowed
    ]


def _scan_stream(stream: IO[bytes], findings: Findings) -> None:
    """All pickles in a stream, one after the other, as several calls of `pickle.dump` write them."""
    source = Source(stream)
    peeked = _peek(stream, len(_NUMPY))
    if peeked == _NUMPY:
        if not _objects_follow(source):
            return
        peeked = b""
    for _ in range(_MOST_PICKLES):
        Machine(source, findings).run()
        # What lies behind a pickle is nobody's business unless it is another one: PyTorch's tensors, a signature.
        if _peek(stream, 1) != b"\x80":
            return
    raise Stopped(f"it has more than {_MOST_PICKLES} pickles")


def _scan_zip(stream: IO[bytes], findings: Findings) -> str:
    """The pickles of an archive; gives why not all was looked at."""
    reasons = []
    try:
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            if len(members) > _MOST_MEMBERS:
                raise Stopped(f"it is an archive of more than {_MOST_MEMBERS} files")
            for member in members:
                named = member.filename.lower().endswith((*_SUFFIXES, ".npy"))
                if not named and not _plain(archive, member):
                    continue
                try:
                    with archive.open(member) as content:
                        _scan_stream(content, findings)
                except Stopped as stopped:
                    if named:
                        reasons.append(f"{_shown(member.filename)}: {stopped}")
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise Stopped(f"the archive cannot be read: {error}") from error
    return "; ".join(reasons[:5])


def _plain(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    """Whether a member of another name begins like a pickle."""
    if member.is_dir():
        return False
    with archive.open(member) as content:
        return bool(re.match(rb"\x80[\x02-\x05]", content.read(2)))


def _peek(stream: IO[bytes], size: int) -> bytes:
    return stream.peek(size)[:size]  # type: ignore[attr-defined, no-any-return]


def _objects_follow(source: Source) -> bool:
    """Pass the head of an array that `numpy.save` wrote; whether its objects follow as a pickle."""
    head = source.exactly(8)
    size = (
        struct.unpack("<H", source.exactly(2))[0]
        if head[6] == 1
        else struct.unpack("<I", source.exactly(4))[0]
    )
    text = source.exactly(min(size, 1 << 16))
    source.skip(size - len(text))
    return b"O" in re.sub(rb"'(descr|fortran_order|shape)'", b"", text)


def _shown(text: str) -> str:
    """A name as it can be printed, stored and sent; the beginning of a long one."""
    return text[:255].encode("ascii", "backslashreplace").decode().translate(dict.fromkeys(range(32), "?"))
