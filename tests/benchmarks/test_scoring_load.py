"""What the benchmark reads out of wrk."""

from __future__ import annotations

import json

import pytest

from benchmarks.scoring import load
from benchmarks.scoring.load import FAULTS, Silent, Wrong

SEEN = {
    "requests": 3000,
    "duration": 2_000_000,
    "p50": 1500,
    "p99": 4200,
    "max": 9000,
    **dict.fromkeys(FAULTS, 0),
}


def output(**changes: int) -> str:
    return f"Running 2s test @ http://127.0.0.1:1/score\n  1 threads\n{json.dumps({**SEEN, **changes})}\n"


def test_the_exact_figures_are_read() -> None:
    sample = load.parse(output())
    assert sample == load.Sample(rate=1500.0, p50=0.0015, p99=0.0042, longest=0.009)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_request_that_fails_fails_the_run(fault: str) -> None:
    with pytest.raises(Wrong, match=f"3000 requests, errors: 2 of kind '{fault}'"):
        load.parse(output(**{fault: 2}))


def test_nothing_answered_is_no_figure() -> None:
    with pytest.raises(Silent, match=r"no request was answered in 2\.0 s"):
        load.parse(output(requests=0))


def test_output_without_figures_is_shown() -> None:
    with pytest.raises(Wrong, match="unable to connect"):
        load.parse("unable to connect to 127.0.0.1:1 Connection refused\n")


def test_the_script_sends_body_and_headers_as_they_are() -> None:
    text = load.script('{"data": [[1, "]]"]]}', {"Authorization": "Bearer k"})
    assert 'wrk.body = [==[{"data": [[1, "]]"]]}]==]' in text
    assert 'wrk.headers["Authorization"] = "Bearer k"' in text
    assert "%d" in text
    assert "%%" not in text
