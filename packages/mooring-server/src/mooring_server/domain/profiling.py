"""What a profile says: latencies, what was used, and how much of a processor and memory to ask for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

GB = 1024**3
# What is recommended above what was used: the next request may be larger than those measured.
MARGIN = 1.2
_STEP = 0.1  # of processors and GB, in which Azure's configurations count
_PERCENTILES = {"50": 0.5, "90": 0.9, "95": 0.95, "99": 0.99, "999": 0.999}


@dataclass(frozen=True)
class Measured:
    """What was seen while requests were sent, one after the other.

    Attributes:
        latencies: seconds of the requests that succeeded, as their caller saw them.
        failures: how many did not succeed.
        seconds: from the first request to the last answer.
        cores: the most processors in use over a moment.
        memory: the most bytes of memory in use, ``init()`` included.
    """

    latencies: Sequence[float]
    failures: int
    seconds: float
    cores: float
    memory: int


def result(measured: Measured, cpu: float, memory_gb: float) -> dict[str, float]:
    """The members of Azure's profile that tell of the measurement.

    Args:
        measured: at least one request.
        cpu: the limit under which it was measured, in cores.
        memory_gb: likewise.
    """
    total = len(measured.latencies) + measured.failures
    latencies = sorted(measured.latencies)
    used = measured.memory / GB
    return {
        "totalQueries": float(total),
        "successQueries": float(len(latencies)),
        "successRate": round(100.0 * len(latencies) / total, 2),
        "averageLatencyInMs": _ms(sum(latencies) / len(latencies)) if latencies else 0.0,
        **{
            f"latencyPercentile{name}InMs": _ms(percentile(latencies, share)) if latencies else 0.0
            for name, share in _PERCENTILES.items()
        },
        "measuredQueriesPerSecond": round(total / measured.seconds, 2) if measured.seconds else 0.0,
        "maxUtilizedCpu": round(measured.cores, 3),
        "maxUtilizedMemoryInGB": round(used, 4),
        "recommendedCpu": recommended(measured.cores, cpu),
        "recommendedMemoryInGB": recommended(used, memory_gb),
    }


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that is not below ``share`` of all (nearest rank)."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def recommended(used: float, limit: float) -> float:
    """What was used with a margin, in steps of 0.1; not more than there was."""
    steps = max(1, math.ceil(used * MARGIN / _STEP - 1e-9))
    return min(round(steps * _STEP, 1), limit)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
