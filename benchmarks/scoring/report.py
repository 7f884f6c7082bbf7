"""The tables: absolute values, and ratios beside the targets of the scoring server."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.scoring.peers import BARE, BATCHING, MOORING, PEERS, REFERENCE
from benchmarks.scoring.run import CONNECTIONS, Visit

# Of each server, its visits in the order of the rounds.
Visits = Mapping[str, Sequence[Visit]]
Figure = Callable[[Visit], float]
MIB = 1 << 20


@dataclass(frozen=True)
class Target:
    """A ratio that is aimed at; met when it is at least, or for ``most`` at most, the limit."""

    what: str
    ratio: float
    limit: float
    most: bool = False

    @property
    def met(self) -> bool:
        """As shown, to two digits."""
        shown = round(self.ratio, 2)
        return shown <= self.limit if self.most else shown >= self.limit

    def line(self) -> str:
        """For the table."""
        sign = "<=" if self.most else ">="
        return f"{self.what:<66}{self.ratio:7.2f}  {sign} {self.limit:<5g}{'met' if self.met else 'MISSED'}"


def rate(connections: int) -> Figure:
    """Requests a second."""
    return lambda visit: visit.samples[connections].rate


def p99(connections: int) -> Figure:
    """Seconds."""
    return lambda visit: visit.samples[connections].p99


def memory(visit: Visit) -> float:
    """Bytes."""
    return visit.memory


def ratio(visits: Visits, one: str, other: str, figure: Figure) -> float:
    """The median of the rounds' ratios: what disturbs a round disturbs both."""
    pairs = zip(visits[one], visits[other], strict=True)
    return statistics.median(figure(a) / figure(b) for a, b in pairs)


def table(visits: Visits) -> list[str]:
    """Medians of all figures, a line a server."""
    head = f"{'':<32}" + "".join(f"{f'{n} connections':^27}" for n in CONNECTIONS)
    columns = f"{'':<32}" + f"{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}" * len(CONNECTIONS)
    return [head.rstrip(), columns + f"{'MiB':>8}{'start s':>9}", *(_line(*item) for item in visits.items())]


def _line(name: str, seen: Sequence[Visit]) -> str:
    cells = [f"{name:<32}"]
    for connections in CONNECTIONS:
        samples = [visit.samples[connections] for visit in seen]
        cells.append(f"{statistics.median(s.rate for s in samples):9,.0f}")
        cells.append(f"{statistics.median(s.p50 for s in samples) * 1000:9.2f}")
        cells.append(f"{statistics.median(s.p99 for s in samples) * 1000:9.2f}")
    cells.append(f"{statistics.median(visit.memory for visit in seen) / MIB:8.0f}")
    cells.append(f"{statistics.median(visit.start for visit in seen):9.2f}")
    return "".join(cells)


def cheap_targets(visits: Visits) -> list[Target]:
    """Those of the cheap model, at 16 connections; of servers that were measured."""
    targets = []
    at_16 = rate(16)
    if MOORING in visits:
        for peer, limit in (
            (REFERENCE, 3.0),
            ("KServe", 2.0),
            ("BentoML", 7.0),
            ("LitServe", 7.0),
            ("MLflow", 7.0),
        ):
            if peer in visits:
                targets.append(Target(f"requests/s, of {peer}'s", ratio(visits, MOORING, peer, at_16), limit))
        peers = [peer for peer in PEERS if peer in visits]
        if peers:
            worst = max(ratio(visits, MOORING, peer, p99(16)) for peer in peers)
            targets.append(Target("p99, of the best peer's", worst, 0.5, most=True))
        if BARE in visits:
            targets.append(Target("requests/s, of bare granian's", ratio(visits, MOORING, BARE, at_16), 0.8))
        if REFERENCE in visits:
            share = ratio(visits, MOORING, REFERENCE, memory)
            targets.append(Target("memory, of the reference's", share, 1.0, most=True))
    if BATCHING in visits and BARE in visits:
        share = ratio(visits, BATCHING, BARE, at_16)
        targets.append(Target("requests/s with batching, of bare granian's", share, 1.5))
        targets.append(Target("  the ambition", share, 2.0))
    return targets


def heavy_targets(visits: Visits) -> list[Target]:
    """Those of the heavy model: never slower than any peer."""
    peers = [peer for peer in PEERS if peer in visits]
    if MOORING not in visits or not peers:
        return []
    return [
        Target(
            f"requests/s at {connections}, of the fastest peer's",
            min(ratio(visits, MOORING, peer, rate(connections)) for peer in peers),
            1.0,
        )
        for connections in CONNECTIONS
    ]
