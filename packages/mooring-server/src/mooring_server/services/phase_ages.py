"""How long phases have been running, by a clock that nobody can set."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection


class PhaseAges:
    """Ages of running phases by the monotonic clock, from when this server first saw them running.

    Times of day are recorded for people. They do not decide anything: they jump when a clock is set, a laptop
    wakes up or a virtual machine moves. After a restart of the server a phase is allowed its time once more.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[str, float]] = {}

    def age(self, operation_id: str, phase: str) -> float:
        """Seconds since ``phase`` of the operation was first asked for here; 0 the first time."""
        now = self._clock()
        with self._lock:
            name, since = self._seen.get(operation_id, (None, now))
            if name != phase:
                since = now
                self._seen[operation_id] = (phase, since)
        return now - since

    def keep(self, operation_ids: Collection[str]) -> None:
        """Forget all other operations: they have ended."""
        with self._lock:
            for operation_id in self._seen.keys() - set(operation_ids):
                del self._seen[operation_id]
