"""How layers are packed: gzip by isal, or zstd where the user asks for it."""

from __future__ import annotations

import os
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol, cast

from isal import igzip, isal_zlib
from isal.igzip_lib import IsalError

from mooring_server.domain.errors import PhaseFailed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
# Levels above save a tenth of the size for twice the time (measured, docs/decisions/layers.md).
_GZIP_LEVEL = 1
_ZSTD_LEVEL = 3
_GZIP_BITS = 31  # zlib's window bits for a gzip header without name and time

# What a damaged archive raises. OverflowError: times outside of what the file system has; ValueError: among others,
# texts that are no names.
DAMAGE: tuple[type[Exception], ...] = (
    tarfile.TarError,
    EOFError,
    cast("type[Exception]", IsalError),  # its stub does not say what it is
    igzip.BadGzipFile,
    zstd.ZstdError,
    ValueError,
    OverflowError,
)


@dataclass(frozen=True)
class Limits:
    """How much may come out of one layer: what is beyond is a decompression bomb.

    Gzip packs zeros a thousandfold, so a small blob can fill any disk. Real layers of weights and code shrink to
    a half or a tenth; only small ones shrink more.

    Attributes:
        ratio: bytes for each byte of the packed layer, ...
        floor: ... but as many as this in any case.
        entries: files, links and directories.
    """

    ratio: int = 200
    floor: int = 2 << 30
    entries: int = 1_000_000

    def size(self, packed: int) -> int:
        """Bytes that may come out of a layer of ``packed`` bytes."""
        return max(self.floor, self.ratio * packed)


LIMITS = Limits()


class Compressor(Protocol):
    """zlib's form of a compressor."""

    def compress(self, data: bytes, /) -> bytes:
        """What can be given out already."""
        ...

    def flush(self) -> bytes:
        """The end."""
        ...


def compressor(media_type: str) -> Compressor:
    """A compressor for layers of that type; equal input gives equal output."""
    if media_type == ZSTD:
        return cast("Compressor", zstd.ZstdCompressor(level=_ZSTD_LEVEL))
    return isal_zlib.compressobj(_GZIP_LEVEL, isal_zlib.DEFLATED, _GZIP_BITS)


@contextmanager
def opened(path: Path, limit: int) -> Iterator[BinaryIO]:
    """A layer's archive, whatever it is packed with.

    Args:
        path: the blob.
        limit: bytes that may come out.

    Raises:
        PhaseFailed: code ``LayerTooLarge``, while it is read.
    """
    with path.open("rb") as file, unpacking(file, path.name, limit) as stream:
        yield stream


@contextmanager
def unpacking(file: IO[bytes], name: str, limit: int) -> Iterator[BinaryIO]:
    """As `opened`, of a file that is open; it is closed afterwards."""
    kind = packing(file)
    packed: Any = file
    if kind == GZIP:
        packed = cast("Any", igzip).open(file, "rb")
    elif kind == ZSTD:
        packed = zstd.open(file, "rb")
    with packed:
        yield cast("BinaryIO", _Limited(packed, name, limit))


def packing(file: IO[bytes]) -> str | None:
    """The media type of a layer that begins where the file stands; None for one that is not packed."""
    magic = file.read(4)
    file.seek(-len(magic), os.SEEK_CUR)
    return GZIP if magic[:2] == b"\x1f\x8b" else ZSTD if magic == b"\x28\xb5\x2f\xfd" else None


class _Limited:
    """A stream that ends with an error where a layer has given more than it may.

    What is counted is all that is decompressed, so that headers and padding are no way around it.
    """

    def __init__(self, stream: BinaryIO, name: str, limit: int) -> None:
        self._stream, self._name, self._limit = stream, name, limit
        self._left = limit

    def read(self, size: int = -1) -> bytes:
        """As of any stream."""
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise too_large(self._name, f"more than {self._limit:,} bytes")
        return data


def too_large(name: str, what: str) -> PhaseFailed:
    """The error for what may be a decompression bomb."""
    return PhaseFailed(
        "LayerTooLarge",
        f"The layer {name[:12]} is not unpacked: it would give {what}, far more than its size explains.",
        hint="It may be a decompression bomb. Do not use that image; a model that is really like this "
        "(mostly zeros) can be registered in a compressed format of its own.",
        phase="Unpack",
        target=name,
    )


def damaged(
    blob: Path, error: Exception, hint: str = "Build the image again.", phase: str = "Unpack"
) -> PhaseFailed:
    """The error for a layer that cannot be read."""
    return PhaseFailed(
        "LayerDamaged",
        f"The layer {blob.name[:12]} is no readable archive: {error}.",
        hint=hint,
        phase=phase,
        target=blob.name,
    )
