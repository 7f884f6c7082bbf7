"""Keeps garbage collection away while somebody reads what may have become garbage meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Retention:
    """Holders and the collector exclude each other; any number may hold at once.

    A hold waits for a collection that runs; a collection does not wait for holders, it is left out.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._holders = 0
        self._collecting = False

    def hold(self) -> None:
        """Nothing is collected until `release`."""
        with self._condition:
            self._condition.wait_for(lambda: not self._collecting)
            self._holders += 1

    def release(self) -> None:
        """The end of one `hold`."""
        with self._condition:
            self._holders -= 1

    @contextmanager
    def collecting(self) -> Iterator[bool]:
        """Gives whether the caller may collect; while it does, `hold` waits."""
        with self._condition:
            allowed = self._holders == 0 and not self._collecting
            self._collecting = self._collecting or allowed
        try:
            yield allowed
        finally:
            if allowed:
                with self._condition:
                    self._collecting = False
                    self._condition.notify_all()
