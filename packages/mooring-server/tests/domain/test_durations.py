import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_server.domain.durations import FOREVER, format_duration, parse_duration
from mooring_server.domain.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT1M", 60),
        ("PT30S", 30),
        ("P14D", 14 * 86400),
        ("P1DT2H3M4.5S", 86400 + 2 * 3600 + 3 * 60 + 4.5),
        ("PT0S", 0),
        (FOREVER, float("inf")),
    ],
)
def test_a_duration_and_its_seconds(text: str, seconds: float) -> None:
    assert parse_duration("x", text) == seconds
    assert format_duration(seconds) == text


@pytest.mark.parametrize("text", ["", "P", "PT", "1M", "PT1", "PT-1S", "P1Y", "PT1M ", "00:01:00", "P1DT"])
def test_what_is_none_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_duration("lockDuration", text)
    assert caught.value.code == "DurationInvalid"
    assert caught.value.target == "lockDuration"


@given(st.integers(0, 10**9), st.integers(0, 999))
def test_what_is_written_is_read(seconds: int, milliseconds: int) -> None:
    value = seconds + milliseconds / 1000
    assert parse_duration("x", format_duration(value)) == pytest.approx(value, abs=1e-6)
