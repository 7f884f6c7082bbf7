"""Extracts layers without letting them write anywhere else."""

# Thousands of files: plain os calls on strings take half the time of Path objects.
# ruff: noqa: PTH102, PTH108, PTH112, PTH114, PTH211

from __future__ import annotations

import errno
import os
import posixpath
import tarfile
from pathlib import Path
from typing import BinaryIO, cast

from mooring_server.domain.errors import PhaseFailed
from mooring_server.images.compression import DAMAGE, LIMITS, Limits, damaged, opened, too_large

_BUFFER = 1 << 20
# What the file system says to names and times that it cannot have.
_NO_NAME = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.EOVERFLOW})
_LONGEST_PATH = 4096
_DEEPEST = 128


class Extractor:
    """Writes the entries of layers below one directory that nobody else changes meanwhile.

    Allowed are directories, regular files, and symbolic links that stay inside. Nothing is ever written
    through a link: an entry below one is refused.
    """

    def __init__(self, root: Path, strip: str = "", limits: Limits = LIMITS) -> None:
        """Extract below ``root``.

        Args:
            root: an existing directory.
            strip: a prefix every file's path must have, and that is taken away.
            limits: for each layer.
        """
        self._limits = limits
        self._root = str(root)
        self._strip = [part for part in strip.split("/") if part]
        self._directories: set[str] = set()
        self._links: set[str] = set()

    def extract(self, blob: Path) -> None:
        """Extract one layer over what is there already.

        Raises:
            PhaseFailed: code ``LayerUnsafe``, ``LayerTooLarge`` or ``LayerDamaged``.
        """
        size = self._limits.size(blob.stat().st_size)
        try:
            with (
                opened(blob, size) as stream,
                tarfile.open(fileobj=stream, mode="r|", bufsize=_BUFFER) as archive,
            ):
                for count, member in enumerate(archive, 1):
                    if count > self._limits.entries:
                        raise too_large(blob.name, f"more than {self._limits.entries:,} entries")
                    self._member(archive, member)
        except DAMAGE as error:
            raise damaged(blob, error) from error
        except OSError as error:
            if error.errno not in _NO_NAME:  # a full disk is no fault of the layer
                raise
            raise damaged(blob, error) from error

    def _member(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        path = self._path(member)
        if path is None:
            return
        if member.isdir():
            self._make_directory(path)
            return
        self._make_directory(posixpath.dirname(path))
        target = f"{self._root}/{path}"
        self._links.discard(path)
        if member.isreg() and not member.issparse():
            source = archive.extractfile(member)
            if source is not None:
                _write(target, source, member)
        elif member.issym():
            self._check_link(member, path)
            _remove(target)
            os.symlink(member.linkname, target)
            self._links.add(path)
        else:
            raise _unsafe(member, "it is neither a file, a directory nor a symbolic link")

    def _path(self, member: tarfile.TarInfo) -> str | None:
        name = member.name
        parts = [part for part in name.split("/") if part not in {"", "."}]
        if name.startswith("/") or ".." in parts or "\0" in name:
            raise _unsafe(member, "its path leads out of the image")
        if len(os.fsencode(name)) > _LONGEST_PATH or len(parts) > _DEEPEST:
            raise _unsafe(name[:200], "its path is too long")
        prefix = self._strip[: len(parts)]
        if parts[: len(prefix)] != prefix:
            raise _unsafe(member, f"it does not belong below /{'/'.join(self._strip)}")
        if len(parts) <= len(self._strip):
            if member.isdir():
                return None
            raise _unsafe(member, f"it does not belong below /{'/'.join(self._strip)}")
        return "/".join(parts[len(self._strip) :])

    def _make_directory(self, path: str) -> None:
        """Make a directory and those above it, refusing to follow a link of the image."""
        if path in self._directories or not path:
            return
        self._make_directory(posixpath.dirname(path))
        target = f"{self._root}/{path}"
        if path in self._links or os.path.islink(target):
            raise _unsafe(path, "it lies below a symbolic link")
        try:
            os.mkdir(target, 0o755)
        except FileExistsError:
            if not os.path.isdir(target):
                raise _unsafe(path, "a file is where it needs a directory") from None
        self._directories.add(path)

    def _check_link(self, member: tarfile.TarInfo, path: str) -> None:
        parts = [part for part in member.linkname.split("/") if part not in {"", "."}]
        up = next((index for index, part in enumerate(parts) if part != ".."), len(parts))
        # `..` behind a name could go up from wherever a link of that name leads.
        if member.linkname.startswith("/") or ".." in parts[up:] or up > path.count("/"):
            raise _unsafe(member, f"its target {member.linkname!r} lies outside")


def _write(target: str, source: object, member: tarfile.TarInfo) -> None:
    reader = cast("BinaryIO", source)
    mode = 0o755 if member.mode & 0o100 else 0o644
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        descriptor = os.open(target, flags, mode)
    except FileExistsError:  # a layer below has it too, and the upper one counts
        _remove(target)
        descriptor = os.open(target, flags, mode)
    try:
        while chunk := reader.read(_BUFFER):
            view = memoryview(chunk)
            while view:
                view = view[os.write(descriptor, view) :]
        os.utime(descriptor, (member.mtime, member.mtime))  # bytecode of Python 3.6 names the source's time
    finally:
        os.close(descriptor)


def _remove(target: str) -> None:
    if os.path.isdir(target) and not os.path.islink(target):
        raise _unsafe(target, "a directory is where it needs a file")
    if os.path.lexists(target):
        os.unlink(target)


def _unsafe(member: tarfile.TarInfo | str, why: str) -> PhaseFailed:
    name = member if isinstance(member, str) else member.name
    return PhaseFailed(
        "LayerUnsafe",
        f"The image is not unpacked: the entry {name!r} cannot be accepted, since {why}.",
        hint="Mooring never makes such an image. Do not use it.",
        phase="Unpack",
        target=name,
    )
