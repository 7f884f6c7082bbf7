"""How long to wait before a process is started again."""

from __future__ import annotations

from random import Random

BASE_SECONDS = 0.1
CAP_SECONDS = 30.0


class Backoff:
    """Exponential, with jitter, so that what fell together does not rise together.

    Attributes:
        count: failures since the last `reset`.
    """

    def __init__(self, random: Random, base: float = BASE_SECONDS, cap: float = CAP_SECONDS) -> None:
        self._random = random
        self._base = base
        self._cap = cap
        self.count = 0

    def failed(self) -> float:
        """Counts a failure; the seconds to wait: from half to all of ``base * 2 ** n``, at most the cap."""
        span = min(self._cap, self._base * 2.0 ** min(self.count, 32))
        self.count += 1
        return span * (0.5 + self._random.random() / 2)

    def reset(self) -> None:
        """Forgets the failures: what was started was stable."""
        self.count = 0
