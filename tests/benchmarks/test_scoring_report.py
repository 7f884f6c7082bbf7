"""Ratios and targets of the scoring benchmark."""

from __future__ import annotations

from benchmarks.scoring import report
from benchmarks.scoring.load import Sample
from benchmarks.scoring.peers import BARE, BATCHING, MOORING, REFERENCE
from benchmarks.scoring.run import CONNECTIONS, Visit


def visit(rate: float, p99: float = 0.01, memory: int = 100 << 20) -> Visit:
    return Visit(1.0, memory, dict.fromkeys(CONNECTIONS, Sample(rate, 0.005, p99, 0.1)))


def lines(targets: list[report.Target]) -> dict[str, str]:
    return {target.what.strip(): target.line().split()[-1] for target in targets}


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    visits = {"a": [visit(300), visit(10), visit(400)], "b": [visit(100), visit(5), visit(100)]}
    assert report.ratio(visits, "a", "b", report.rate(16)) == 3


def test_targets_of_the_cheap_model() -> None:
    visits = {
        MOORING: [visit(4000, 0.006, 200)],
        BATCHING: [visit(9000)],
        BARE: [visit(5000)],
        REFERENCE: [visit(1400, 0.02, 190)],
        "KServe": [visit(1900, 0.012, 300)],
    }
    assert lines(report.cheap_targets(visits)) == {
        f"requests/s, of {REFERENCE}'s": "MISSED",
        "requests/s, of KServe's": "met",
        "p99, of the best peer's": "met",
        "requests/s, of bare granian's": "met",
        "memory, of the reference's": "MISSED",
        "requests/s with batching, of bare granian's": "met",
        "the ambition": "MISSED",
    }


def test_the_heavy_model_is_compared_with_the_fastest_peer() -> None:
    visits = {MOORING: [visit(90)], REFERENCE: [visit(80)], "MLflow": [visit(100)]}
    targets = report.heavy_targets(visits)
    assert [target.ratio for target in targets] == [0.9] * 3
    assert not any(target.met for target in targets)


def test_servers_that_are_missing_have_no_targets() -> None:
    assert report.cheap_targets({BARE: [visit(1)]}) == []
    assert report.heavy_targets({MOORING: [visit(1)]}) == []


def test_the_table_has_medians() -> None:
    line = report.table({MOORING: [visit(1000), visit(3000), visit(2000)]})[-1]
    assert line.split() == [MOORING, *["2,000", "5.00", "10.00"] * 3, "100", "1.00"]
