"""The caller's TCP connection, beside the HTTP engine.

Granian takes the parts of a streamed body without limit and cannot cut a connection, so both are done here: how far
the caller has got is known to the kernel (``TCP_INFO``), and a connection that is shut down cannot say any more that
the body is complete.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import struct
from pathlib import Path

# Offset and format of tcpi_bytes_acked (linux/tcp.h).
ACKED = struct.Struct("120xQ")
TCP_INFO_BYTES = 192
# What may be on its way to a caller.
WINDOW = 4 << 20
POLL_SECONDS = 0.01
FLUSH_SECONDS = 1.0


class CallerStalled(Exception):
    """The caller has taken nothing for too long."""


class Connection:
    """The connection from a caller; without effect if it is gone.

    Args:
        client: its address and port, as ``address:port``.
    """

    def __init__(self, client: str) -> None:
        self._socket = _find(client)
        self._before = self._acked()
        self._sent = 0

    def _acked(self) -> int:
        if self._socket is None:
            return 0
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
        except OSError:
            return 0
        return int(ACKED.unpack_from(info)[0]) if len(info) >= ACKED.size else 0

    def _pending(self) -> int:
        return self._sent - (self._acked() - self._before)

    async def room(self, size: int, patience: float) -> None:
        """Waits until another part of ``size`` bytes may be sent.

        Raises:
            CallerStalled: nothing moved for ``patience`` seconds.
        """
        self._sent += size
        if self._socket is None or self._sent <= WINDOW:
            return
        pending, waited = self._pending(), 0.0
        while pending > WINDOW and pending > size:
            await asyncio.sleep(POLL_SECONDS)
            waited += POLL_SECONDS
            now = self._pending()
            if now < pending:
                pending, waited = now, 0.0
            elif waited > patience:
                raise CallerStalled

    async def cut(self) -> None:
        """Ends the connection when what was sent has arrived, or soon."""
        waited = 0.0
        while self._socket is not None and self._pending() > 0 and waited < FLUSH_SECONDS:
            await asyncio.sleep(POLL_SECONDS)
            waited += POLL_SECONDS
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # the caller was faster

    def close(self) -> None:
        """Gives up our hold on it; the engine keeps its own."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _find(client: str) -> socket.socket | None:
    address, _, port = client.rpartition(":")
    wanted = (address.strip("[]"), int(port)) if port.isdigit() else None
    for entry in Path("/proc/self/fd").iterdir():
        descriptor = int(entry.name)
        try:
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            found = socket.socket(fileno=os.dup(descriptor))
        except OSError:
            continue  # closed meanwhile
        if _peer(found) == wanted:
            return found
        found.close()
    return None


def _peer(connection: socket.socket) -> object:
    try:
        return connection.getpeername()[:2]
    except OSError:
        return None  # it listens, or was closed
