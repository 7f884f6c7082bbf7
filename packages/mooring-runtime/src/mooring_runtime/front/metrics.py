"""What the front counts: plain numbers, so that a request pays less than a microsecond for them.

Rendering is `mooring_runtime.front.scrape`'s business, when somebody asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

# Seconds; from what an idle service with a cheap model takes to the longest usual time limit.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
REQUESTS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
# nginx's status for a caller that went away before it was answered.
CALLER_GONE = 499


class Histogram:
    """Observations in buckets.

    Args:
        bounds: the buckets' upper bounds, inclusive, ascending; one for all above them is added.

    Attributes:
        counts: observations by bucket, not cumulative.
        total: the sum of all observations.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Adds an observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Metrics:
    """The counts of one front's life.

    Attributes:
        begun: requests for ``/score``.
        by_status: those that have been answered.
        whole: from the head of a request to its answer, streamed bodies included.
        queue_wait: from the whole body to a worker. Requests that met an idle worker are in the first bucket.
        run: the calls of ``run()`` that returned, as the worker measured them.
        batch: requests in one call of ``run()``; empty without batching.
        refused: requests that never met a worker, by reason.
    """

    __slots__ = ("batch", "begun", "by_status", "queue_wait", "refused", "run", "whole")

    def __init__(self) -> None:
        self.begun = 0
        self.by_status: dict[int, int] = {}
        self.whole = Histogram(SECONDS)
        self.queue_wait = Histogram(SECONDS)
        self.run = Histogram(SECONDS)
        self.batch = Histogram(REQUESTS)
        self.refused: dict[str, int] = {}

    def answered(self, status: int, seconds: float) -> None:
        """A request for ``/score`` has been dealt with; status 0 if nobody was there any more to be answered."""
        status = status or CALLER_GONE
        self.by_status[status] = self.by_status.get(status, 0) + 1
        self.whole.observe(seconds)

    def refuse(self, reason: str) -> None:
        """A request will not be given to a worker."""
        self.refused[reason] = self.refused.get(reason, 0) + 1

    @property
    def in_progress(self) -> int:
        """Requests for ``/score`` that have not been dealt with."""
        return self.begun - sum(self.by_status.values())
