"""What is written to a transport, in slices."""

from __future__ import annotations

import asyncio
from collections import deque

# Longer bodies are written piece by piece, so that the event loop has turns for others in between.
SLICE = 1 << 20


class Outlet:
    """Writes to a transport in the order of the calls, and of long bodies only what it takes.

    Args:
        transport: whose protocol calls `pause` and `resume`.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._waiting: deque[memoryview] = deque()
        self._paused = False

    def write(self, data: bytes) -> None:
        """Writes, now or after what waits."""
        if not self._waiting and len(data) <= SLICE:
            self._transport.write(data)
            return
        idle = not self._waiting
        view = memoryview(data)
        self._waiting.extend(view[start : start + SLICE] for start in range(0, len(data), SLICE))
        if idle and not self._paused:
            self._go_on()

    def pause(self) -> None:
        """The transport has enough."""
        self._paused = True

    def resume(self) -> None:
        """The transport takes more."""
        self._paused = False
        self._go_on()

    def close(self) -> None:
        """What waits is of no use any more."""
        self._waiting.clear()

    def _go_on(self) -> None:
        if self._paused or not self._waiting:
            return
        self._transport.write(self._waiting.popleft())
        if self._waiting and not self._paused:
            asyncio.get_running_loop().call_soon(self._go_on)
