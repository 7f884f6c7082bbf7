"""Tells waiters that something changed, from any thread to the event loop."""

from __future__ import annotations

import asyncio
from collections import defaultdict


class Signals:
    """Wake-ups by key. Level-triggered: a waiter looks again after waking, so a spurious one is harmless."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiters: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._stopping = False

    def attach(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Name the loop on which `wait` is called; None when it stops."""
        self._loop = loop

    def notify(self, key: str) -> None:
        """Wake everyone who waits for ``key``; callable from any thread."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._wake, key)

    def subscribe(self, key: str) -> asyncio.Event:
        """An event that `notify` sets. Subscribe, look, then wait: nothing is missed in between."""
        waiter = asyncio.Event()
        self._waiters[key].add(waiter)
        return waiter

    async def woken(self, waiter: asyncio.Event, seconds: float) -> bool:
        """Wait for `notify`. False when ``seconds`` have passed or the server stops: then nobody waits longer."""
        if self._stopping:
            return False
        try:
            await asyncio.wait_for(waiter.wait(), seconds)
        except (TimeoutError, asyncio.TimeoutError):
            return False
        return not self._stopping

    def stop(self) -> None:
        """The server stops: whoever waits answers with what there is. On the loop."""
        self._stopping = True
        for key in self._waiters:
            self._wake(key)

    def unsubscribe(self, key: str, waiter: asyncio.Event) -> None:
        """Forget the waiter."""
        waiters = self._waiters[key]
        waiters.discard(waiter)
        if not waiters:
            del self._waiters[key]

    def _wake(self, key: str) -> None:
        for waiter in self._waiters.get(key, ()):
            waiter.set()
