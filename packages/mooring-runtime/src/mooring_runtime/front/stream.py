"""A body that a worker sends in parts."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

# What may wait for a slow caller; the worker is made to wait beyond it.
HIGH_WATER = 1 << 20
LOW_WATER = 1 << 18


class StreamBroken(Exception):
    """The body will not come to its end."""


class BodyStream:
    """The parts between a worker's channel, which feeds them, and the caller's connection, which takes them.

    Args:
        first: the part that came with the head.
        flow: called with False when the worker shall wait, with True when it may go on.
        cancelled: called when nobody takes the parts any more.
    """

    def __init__(self, first: bytes, flow: Callable[[bool], None], cancelled: Callable[[], None]) -> None:
        self._parts = deque([first])
        self._size = len(first)
        self._flow = flow
        self._cancelled = cancelled
        self._flowing = True
        self._failure: StreamBroken | None = None
        self._ended = False
        self._dropped = False
        self._news: asyncio.Future[None] | None = None

    def feed(self, part: bytes) -> None:
        """Takes a part."""
        if self._dropped:
            return
        self._parts.append(part)
        self._size += len(part)
        if self._flowing and self._size > HIGH_WATER:
            self._flowing = False
            self._flow(False)
        self._wake()

    def end(self, failure: str | None = None) -> None:
        """No more parts come; ``failure`` says why they are not all."""
        if not self._ended:
            self._ended = True
            self._failure = None if failure is None else StreamBroken(failure)
            self._wake()

    def drop(self) -> None:
        """Nobody takes the parts any more."""
        if self._dropped:
            return
        self._dropped = True
        self._parts.clear()
        self._wake()
        if not self._ended:
            if not self._flowing:
                self._flowing = True
                self._flow(True)
            self._cancelled()

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def next(self) -> bytes | None:
        """The next part; None after the last, or when nobody takes them any more.

        Raises:
            StreamBroken: the worker died, ran too long, or the user's generator raised.
        """
        while not self._parts:
            if self._dropped:
                return None
            if self._failure is not None:
                raise self._failure
            if self._ended:
                return None
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        part = self._parts.popleft()
        self._size -= len(part)
        if not self._flowing and self._size < LOW_WATER and not self._ended:
            self._flowing = True
            self._flow(True)
        return part
