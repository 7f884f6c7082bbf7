"""What a profile says of a measurement."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mooring_server.domain.profiling import GB, Measured, percentile, recommended, result


def test_the_members_of_azures_profile() -> None:
    measured = Measured([0.001 * n for n in range(1, 100)], 1, 4.0, 0.42, GB // 4)
    assert result(measured, 1.0, 2.0) == {
        "totalQueries": 100.0,
        "successQueries": 99.0,
        "successRate": 99.0,
        "averageLatencyInMs": 50.0,
        "latencyPercentile50InMs": 50.0,
        "latencyPercentile90InMs": 90.0,
        "latencyPercentile95InMs": 95.0,
        "latencyPercentile99InMs": 99.0,
        "latencyPercentile999InMs": 99.0,
        "measuredQueriesPerSecond": 25.0,
        "maxUtilizedCpu": 0.42,
        "maxUtilizedMemoryInGB": 0.25,
        "recommendedCpu": 0.6,
        "recommendedMemoryInGB": 0.3,
    }


def test_nothing_more_than_there_was_is_recommended() -> None:
    assert recommended(0.0, 1.0) == 0.1
    assert recommended(0.25, 1.0) == 0.3
    assert recommended(0.99, 1.0) == 1.0
    assert recommended(0.5, 0.35) == 0.35


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_one_of_the_values_and_not_below_its_share(values: list[float], share: float) -> None:
    ordered = sorted(values)
    found = percentile(ordered, share)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= share * len(ordered) - 1e-6


@given(st.floats(0, 100), st.floats(0.1, 100))
def test_a_recommendation_leaves_a_margin_below_the_limit(used: float, limit: float) -> None:
    found = recommended(used, limit)
    assert 0.1 <= found <= limit
    assert found == limit or found >= used
