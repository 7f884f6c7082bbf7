"""The bytes of a pickle: from a plain or compressed file, without ever holding all of them."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import IO

CHUNK = 1 << 20
MOST_INFLATED = 2 << 30
_LZMA_MEMORY = 256 << 20
_ZFILE_HEAD = 2 + 19


class Stopped(Exception):
    """The rest of the file was not looked at; the text says why."""


class Inflated(io.RawIOBase):
    """A stream over decompressed pieces; ends with `Stopped` after `MOST_INFLATED` bytes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""
        self._total = 0

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """See `io.RawIOBase`; raises `Stopped`."""
        while not self._rest:
            try:
                piece = next(self._pieces, None)
            except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
                raise Stopped(f"the compressed data are damaged: {error}") from error
            if piece is None:
                return 0
            self._rest = piece
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        self._total += size
        if self._total > MOST_INFLATED:
            raise Stopped(f"only the first {MOST_INFLATED >> 30} GiB of what unpacks from it were looked at")
        return size


def unpacked(file: IO[bytes]) -> tuple[IO[bytes], str]:
    """A stream of the file's content, and the name of the compression; the file stands at its beginning.

    The compressions are those of `joblib.dump` and the usual ones around it.

    Raises:
        Stopped: a compression that the standard library cannot read.
    """
    head = file.read(_ZFILE_HEAD + 1)
    file.seek(0)
    for magic, name in ((b"\x04\x22\x4d\x18", "lz4"), (b"\x28\xb5\x2f\xfd", "zstandard")):
        if head.startswith(magic):
            raise Stopped(f"it is compressed with {name}, which is not read here")
    found = _engine(head, file)
    if found is None:
        return file, ""
    name, pieces = found
    return io.BufferedReader(Inflated(pieces), CHUNK), name


def _engine(head: bytes, file: IO[bytes]) -> tuple[str, Iterator[bytes]] | None:
    xz, alone = lzma.FORMAT_XZ, lzma.FORMAT_ALONE
    engines: tuple[tuple[bytes, str, Callable[[], Iterator[bytes]]], ...] = (
        (b"\x1f\x8b", "gzip", lambda: _inflate(file, 31)),
        (b"BZh", "bz2", lambda: _decode(file, bz2.BZ2Decompressor())),
        (b"\xfd7zXZ\0", "xz", lambda: _decode(file, lzma.LZMADecompressor(xz, memlimit=_LZMA_MEMORY))),
        (b"\x5d\0\0", "lzma", lambda: _decode(file, lzma.LZMADecompressor(alone, memlimit=_LZMA_MEMORY))),
    )
    for magic, name, start in engines:
        if head.startswith(magic):
            return name, start()
    if head.startswith(b"ZF"):
        # joblib before 0.10: the length in hexadecimal, one place wider when Python 2 wrote it.
        file.seek(_ZFILE_HEAD + (head[_ZFILE_HEAD:] == b" "))
        return "zlib", _inflate(file, 15)
    # The two bytes that begin a zlib stream are a multiple of 31 (RFC 1950).
    if len(head) > 1 and head[0] == 0x78 and int.from_bytes(head[:2], "big") % 31 == 0:
        return "zlib", _inflate(file, 15)
    return None


def _inflate(file: IO[bytes], window: int) -> Iterator[bytes]:
    engine = zlib.decompressobj(window)
    while not engine.eof and (data := engine.unconsumed_tail or file.read(CHUNK)):
        yield engine.decompress(data, CHUNK)


def _decode(file: IO[bytes], engine: bz2.BZ2Decompressor | lzma.LZMADecompressor) -> Iterator[bytes]:
    while not engine.eof:
        data = file.read(CHUNK) if engine.needs_input else b""
        if engine.needs_input and not data:
            return
        yield engine.decompress(data, CHUNK)


class Source:
    """Reads a stream to the byte; what is skipped is never held."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.read: Callable[[int], bytes] = stream.read
        self._end: int | None = None
        if isinstance(stream, io.BufferedReader) and not isinstance(stream.raw, Inflated):
            here = stream.tell()
            self._end = stream.seek(0, io.SEEK_END)
            stream.seek(here)

    def exactly(self, size: int) -> bytes:
        """That many bytes.

        Raises:
            Stopped: there are fewer.
        """
        data = self.read(size)
        if len(data) < size:
            raise Stopped("it ends in the middle")
        return data

    def skip(self, size: int) -> None:
        """Pass over that many bytes.

        Raises:
            Stopped: there are fewer.
        """
        if self._end is not None:
            if self._stream.tell() + size > self._end:
                raise Stopped("it ends in the middle")
            self._stream.seek(size, io.SEEK_CUR)
            return
        while size:
            size -= len(self.exactly(min(size, CHUNK)))

    def line(self, limit: int) -> bytes | None:
        """A line with its end; None, passed over, when it is longer than the limit.

        Raises:
            Stopped: the line has no end.
        """
        line = self._stream.readline(limit)
        if line.endswith(b"\n"):
            return line
        while piece := self._stream.readline(CHUNK):
            if piece.endswith(b"\n"):
                return None
        raise Stopped("it ends in the middle")
