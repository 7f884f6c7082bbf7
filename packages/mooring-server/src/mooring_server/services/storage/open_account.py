"""A storage account whose data are open: reads and writes for callers on the event loop, bodies as streams."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, TypeVar

from mooring_server.domain.storage.errors import StorageError
from mooring_server.services.storage.accounts import Credentials
from mooring_server.store.storage.bodies import BodyWriter
from mooring_server.store.storage.extents import data as inline_data
from mooring_server.store.storage.ledger import Ledger, Tx
from mooring_server.store.storage.records import Piece

T = TypeVar("T")
# Bodies up to this size are in the database: one file less to sync.
INLINE = 128 * 1024
# Larger ones are written and read in pieces of this size.
CHUNK = 1024 * 1024


class Received:
    """A body that has arrived: in memory when small, on disk otherwise. Either `OpenAccount.keep` or `abort` ends it.

    Attributes:
        piece: what it becomes.
        md5: its MD5 in base64.
    """

    def __init__(self, piece: Piece, md5: str, writer: BodyWriter | None) -> None:
        self.piece = piece
        self.md5 = md5
        self._writer = writer

    def settle(self, future: Future[object]) -> None:
        """The write has ended: the body is the database's, or nobody's."""
        if self._writer is None:
            return
        if future.cancelled() or future.exception() is not None:
            self._writer.abort()
        else:
            self._writer.release()

    def abort(self) -> None:
        """Throw it away."""
        if self._writer is not None:
            self._writer.abort()


class OpenAccount:
    """One account's data plane.

    Args:
        credentials: its name and keys.
        ledger: its data.
        pool: threads for what may wait for the disk.
    """

    def __init__(self, credentials: Credentials, ledger: Ledger, pool: ThreadPoolExecutor) -> None:
        self.credentials = credentials
        self.ledger = ledger
        self._pool = pool

    async def write(self, change: Callable[[Tx], T]) -> T:
        """Make a change; it is on disk when this returns."""
        return await asyncio.wrap_future(self.ledger.write(change))

    async def keep(self, received: Received, change: Callable[[Tx], T]) -> T:
        """The same with a body, which stays if the change is made, and goes otherwise, whoever has left meanwhile."""
        try:
            future = self.ledger.write(change)
        except BaseException:
            received.abort()
            raise
        future.add_done_callback(received.settle)  # type: ignore[arg-type]
        return await asyncio.wrap_future(future)

    async def read(self, look: Callable[[sqlite3.Connection], T]) -> T:
        """Read in another thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self.look, look)

    def look(self, look: Callable[[sqlite3.Connection], T]) -> T:
        """Read in this thread."""
        with self.ledger.read() as sql:
            return look(sql)

    async def receive(self, stream: AsyncIterator[bytes], limit: int) -> Received:
        """Take a body in; what does not fit into memory goes to disk as it comes.

        Raises:
            StorageError: ``RequestBodyTooLarge``.
        """
        run = asyncio.get_running_loop().run_in_executor
        digest = hashlib.md5(usedforsecurity=False)
        buffer = bytearray()
        size = 0
        writer: BodyWriter | None = None

        def flush(data: bytearray) -> None:
            nonlocal writer
            if writer is None:
                writer = self.ledger.bodies.writer()
            digest.update(data)
            writer.write(data)

        try:
            async for data in stream:
                size += len(data)
                _check_size(size, limit)
                buffer += data
                if len(buffer) >= CHUNK:
                    await run(self._pool, flush, buffer)
                    buffer = bytearray()
            if size <= INLINE:
                digest.update(buffer)
                return Received(Piece(size, None, bytes(buffer)), _text(digest), None)
            if buffer:
                await run(self._pool, flush, buffer)
            assert writer is not None  # noqa: S101 - it is larger than what stays in memory
            await run(self._pool, writer.commit)
        except BaseException:
            if writer is not None:
                writer.abort()
            raise
        return Received(Piece(size, writer.name, None), _text(digest), writer)

    def _open(self, name: str, first: int) -> BinaryIO:
        file = self.ledger.bodies.open(name)
        file.seek(first)
        return file

    async def stream(
        self, identity: int, pieces: list[Piece], first: int, count: int
    ) -> AsyncGenerator[bytes, None]:
        """``count`` bytes of a blob's content from ``first`` on.

        Raises:
            FileNotFoundError: the blob was replaced before its body was open.
        """
        run = asyncio.get_running_loop().run_in_executor
        files = [piece.file for piece in pieces if piece.file is not None]
        with self.ledger.bodies.reading(files):
            for place, piece in enumerate(pieces):
                if count <= 0:
                    return
                if first >= piece.size:
                    first -= piece.size
                    continue
                take = min(count, piece.size - first)
                if piece.file is None:
                    data = await self.read(lambda sql, n=place: inline_data(sql, identity, n))  # type: ignore[misc]
                    yield data[first : first + take]
                else:
                    file = await run(self._pool, self._open, piece.file, first)
                    try:
                        left = take
                        while left:
                            data = await run(self._pool, file.read, min(CHUNK, left))
                            if not data:
                                raise FileNotFoundError(piece.file)
                            left -= len(data)
                            yield data
                    finally:
                        file.close()
                count -= take
                first = 0


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise StorageError("RequestBodyTooLarge", MaxLimit=str(limit))


def _text(digest: hashlib._Hash) -> str:
    return base64.b64encode(digest.digest()).decode()
