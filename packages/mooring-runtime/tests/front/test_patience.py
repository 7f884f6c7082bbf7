"""How long callers are waited for, by a clock of our own."""

from __future__ import annotations

from mooring_runtime.front.patience import BODY_SECONDS, BYTES_PER_SECOND, Patience


def test_a_byte_a_minute_is_as_good_as_nothing() -> None:
    patience = Patience(0)
    patience.body(0)
    for now in range(0, 6000, 59):
        patience.received(now, 1)
    assert patience.until < BODY_SECONDS + 1


def test_a_body_that_comes_steadily_may_take_as_long_as_it_likes() -> None:
    patience = Patience(0)
    patience.body(0)
    for now in range(1, 100000):
        patience.received(now, BYTES_PER_SECOND)
        assert patience.until == now + BODY_SECONDS


def test_what_came_fast_gives_no_credit() -> None:
    patience = Patience(0)
    patience.body(0)
    patience.received(1, 1 << 30)
    assert patience.until == 1 + BODY_SECONDS


def test_a_head_has_a_time_of_its_own() -> None:
    patience = Patience(0)
    assert patience.until == 300
    patience.head(100)
    assert patience.until == 130
    patience.idle(120)
    assert patience.until == 420
