"""Runs reconcilers: a queue of things to look at, a few threads that look at them."""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Iterable
from typing import Protocol

log = logging.getLogger(__name__)


class Reconciler(Protocol):
    """Drives the things of one kind to what users asked for.

    `reconcile` is level-triggered and idempotent: it looks at what is asked for and what is there, takes the next
    steps, and may be interrupted at any instruction and called again.
    """

    name: str

    def known(self) -> Iterable[int]:
        """Everything that may need a look after a start."""
        ...

    def reconcile(self, key: int) -> float | None:
        """Look at one thing. Returns the seconds after which to look again, or None."""
        ...


class Runner:
    """Threads for one reconciler. One key is never looked at by two threads at once."""

    _BACKOFF = (0.2, 1.0, 5.0, 30.0)

    def __init__(self, reconciler: Reconciler, threads: int) -> None:
        self._reconciler = reconciler
        self._condition = threading.Condition()
        self._due: dict[int, float] = {}
        self._heap: list[tuple[float, int]] = []
        self._busy: set[int] = set()
        self._failures: dict[int, int] = {}
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{reconciler.name}-{i}", daemon=True)
            for i in range(threads)
        ]

    def start(self) -> None:
        """Look at everything, and from now on at what is woken."""
        for key in self._reconciler.known():
            self.wake(key)
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float) -> None:
        """Take nothing new; wait up to ``timeout`` seconds for what runs. What does not end then has crashed."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))

    def wake(self, key: int, delay: float = 0.0) -> None:
        """Look at ``key`` after ``delay`` seconds, or earlier if that was planned."""
        due = time.monotonic() + delay
        with self._condition:
            if self._due.get(key, float("inf")) <= due:
                return
            self._due[key] = due
            heapq.heappush(self._heap, (due, key))
            self._condition.notify()

    def _work(self) -> None:
        while (key := self._take()) is not None:
            again: float | None
            try:
                again = self._reconciler.reconcile(key)
                self._failures.pop(key, None)
            except Exception:
                count = self._failures.get(key, 0)
                self._failures[key] = count + 1
                again = self._BACKOFF[min(count, len(self._BACKOFF) - 1)]
                log.exception("%s %s: looking again in %.1f s", self._reconciler.name, key, again)
            with self._condition:
                self._busy.discard(key)
                self._condition.notify()
            if again is not None:
                self.wake(key, again)

    def _take(self) -> int | None:
        """Wait for the next key that is due and not busy; None when stopping."""
        with self._condition:
            while not self._stopping:
                now = time.monotonic()
                skipped: list[tuple[float, int]] = []
                taken: int | None = None
                while self._heap and self._heap[0][0] <= now:
                    due, key = heapq.heappop(self._heap)
                    if self._due.get(key) != due:
                        continue  # planned anew since
                    if key in self._busy:
                        skipped.append((due, key))
                        continue
                    taken = key
                    break
                for entry in skipped:
                    heapq.heappush(self._heap, entry)
                if taken is not None:
                    del self._due[taken]
                    self._busy.add(taken)
                    return taken
                # What is due but busy is looked at when its thread is done and notifies.
                future = min((due for due, _ in self._heap if due > now), default=None)
                self._condition.wait(None if future is None else max(0.0, future - now))
            return None
