"""The limit on failures: exact, per address, in bounded memory."""

import hypothesis.strategies as st
from hypothesis import given

from mooring_server.edges.attempts import LIMIT, LOOPBACK_LIMIT, WINDOW_SECONDS, Attempts


class Clock:
    time = 100.0

    def __call__(self) -> float:
        return self.time


def test_the_eleventh_failure_in_a_minute_has_to_wait_and_a_minute_later_it_is_forgotten() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    assert [attempts.failed("192.0.2.1") for _ in range(LIMIT)] == [(0, False)] * LIMIT
    assert attempts.failed("192.0.2.1") == (60, True)
    clock.time += 20
    assert attempts.failed("192.0.2.1") == (40, False)
    assert attempts.failed("192.0.2.2") == (0, False)
    clock.time += 40
    assert attempts.failed("192.0.2.1") == (0, False)


def test_loopback_is_counted_but_generously_and_all_its_forms_are_one() -> None:
    attempts = Attempts(Clock())
    names = ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1")
    results = [attempts.failed(names[i % 4])[0] for i in range(LOOPBACK_LIMIT + 1)]
    assert results == [0] * LOOPBACK_LIMIT + [60]


def test_a_network_of_ipv6_is_one_address() -> None:
    attempts = Attempts(Clock())
    assert [attempts.failed(f"2001:db8::{i:x}")[0] for i in range(LIMIT + 1)][-1] > 0
    assert attempts.failed("2001:db8:0:1::1") == (0, False)


@given(st.lists(st.tuples(st.integers(0, 40), st.floats(0, 30)), max_size=200))
def test_memory_is_bounded_and_nobody_waits_longer_than_the_window(steps: "list[tuple[int, float]]") -> None:
    clock = Clock()
    attempts = Attempts(clock, size=16)
    for number, passed in steps:
        clock.time += passed
        pause, first = attempts.failed(f"192.0.2.{number}")
        assert 0 <= pause <= WINDOW_SECONDS
        assert pause or not first
        assert len(attempts) <= 16
