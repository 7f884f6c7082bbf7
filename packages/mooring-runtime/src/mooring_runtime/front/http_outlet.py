"""What goes out to a caller, as fast as the caller takes it."""

from __future__ import annotations

import asyncio
import socket
import struct

from mooring_runtime.front.outlet import SLICE

HIGH_WATER = 1 << 20
# A caller that takes nothing of a body for so long is given up: it holds a worker, or memory.
SEND_SECONDS = 60.0


class CallerStalled(Exception):
    """The caller has taken nothing for too long."""


class HttpOutlet:
    """Writes to a caller's transport.

    Args:
        transport: whose protocol calls `pause`, `resume` and `close`.

    Attributes:
        room: set while there is no room: done when there is.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._closed = False
        self.room: asyncio.Future[None] | None = None
        transport.set_write_buffer_limits(high=HIGH_WATER)

    def write(self, data: bytes | memoryview) -> None:
        """Sends bytes; nobody hears them once the caller has gone."""
        if not self._closed:
            self._transport.write(data)

    async def pour(self, data: bytes) -> None:
        """Sends bytes in slices; others have their turn after each.

        Raises:
            CallerStalled: nothing moved for too long.
        """
        view = memoryview(data)
        for start in range(0, len(data), SLICE):
            if start:
                await asyncio.sleep(0)
            if self._closed:
                return
            self._transport.write(view[start : start + SLICE])
            await self._taken()

    async def _taken(self) -> None:
        """Waits until more may be sent."""
        while self.room is not None:
            before = self._transport.get_write_buffer_size()
            await asyncio.wait((self.room,), timeout=SEND_SECONDS)
            if self.room is not None and self._transport.get_write_buffer_size() >= before:
                raise CallerStalled

    def pause(self) -> None:
        """The caller is slower than we are."""
        self.room = asyncio.get_running_loop().create_future()

    def resume(self) -> None:
        """It has caught up."""
        room, self.room = self.room, None
        if room is not None:
            room.set_result(None)

    def close(self) -> None:
        """The caller has gone."""
        self._closed = True
        self.resume()

    def cut(self, *, reset: bool) -> None:
        """Ends the connection so that the caller sees that the answer is not complete.

        Args:
            reset: throw away what is not sent yet; where the end of the connection would be that of the body.
        """
        if not reset:
            self._transport.close()
            return
        raw = self._transport.get_extra_info("socket")
        if raw is not None:
            # With a reset instead of an orderly end, which would look like the end of the body.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def refused(self) -> bool:
        """Whether a caller that sends no more has refused what it was sent; nothing is read that would tell."""
        raw = self._transport.get_extra_info("socket")
        return raw is not None and bool(raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
