"""Names, ranges, conditions and leases."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mooring_server.domain.storage import conditions, lease, ranges
from mooring_server.domain.storage.conditions import Conditions
from mooring_server.domain.storage.errors import ERRORS, StorageError
from mooring_server.domain.storage.lease import Lease
from mooring_server.domain.storage.names import (
    check_blob_name,
    check_container_name,
    check_metadata,
    check_queue_name,
)

# Machines that are busy are slow now and then.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("name", ["abc", "a-b-c", "0" * 63, "$root", "$web", "$logs"])
def test_names_of_containers(name: str) -> None:
    check_container_name(name)


@pytest.mark.parametrize(
    "name", ["ab", "a" * 64, "-abc", "abc-", "a--b", "Abc", "a_b", "a.b", "$other", "abc\n", "..."]
)
def test_names_that_containers_and_queues_cannot_have(name: str) -> None:
    for check in (check_container_name, check_queue_name):
        with pytest.raises(StorageError):
            check(name)
    with pytest.raises(StorageError):
        check_queue_name("$root")


def test_names_of_blobs_and_metadata() -> None:
    for name in ("a", "a" * 1024, "../x", "ä/€", "a b"):
        check_blob_name(name)
    for name in ("", "a" * 1025, "a\0b", "a\nb", "\udcff", "\x7f"):
        with pytest.raises(StorageError):
            check_blob_name(name)
    assert check_metadata({"a_1": "x", "_b": ""}) == {"a_1": "x", "_b": ""}
    for name, code in (("", "EmptyMetadataKey"), ("1a", "InvalidMetadata"), ("a-b", "InvalidMetadata")):
        with pytest.raises(StorageError, match=code):
            check_metadata({name: "x"})
    with pytest.raises(StorageError, match="MetadataTooLarge"):
        check_metadata({"a": "x" * 8192})


@patient
@given(st.binary(max_size=40), st.integers(0, 60), st.one_of(st.none(), st.integers(0, 60)))
def test_a_range_is_what_slicing_gives(data: bytes, first: int, last: int | None) -> None:
    text = f"bytes={first}-{'' if last is None else last}"
    if last is not None and last < first:
        assert ranges.parse(text, len(data)) is None
    elif first >= len(data):
        with pytest.raises(StorageError, match="InvalidRange"):
            ranges.parse(text, len(data))
    else:
        found = ranges.parse(text, len(data))
        assert found
        start, count = found
        assert data[start : start + count] == data[first : None if last is None else last + 1]


@patient
@given(st.text(max_size=30))
def test_what_is_no_range_is_the_whole(text: str) -> None:
    if not text.strip().startswith("bytes="):
        assert ranges.parse(text, 10) is None


@pytest.mark.parametrize(
    ("given_", "etag", "write", "read"),
    [
        (Conditions(), "1", None, None),
        (Conditions(if_match="1"), "1", None, None),
        (Conditions(if_match="*"), "1", None, None),
        (Conditions(if_match="2"), "1", "ConditionNotMet", "ConditionNotMet"),
        (Conditions(if_match="*"), None, "ConditionNotMet", ""),
        (Conditions(if_none_match="*"), None, None, ""),
        (Conditions(if_none_match="*"), "1", "BlobAlreadyExists", "ConditionNotMet"),
        (Conditions(if_none_match="1"), "1", "ConditionNotMet", "ConditionNotMet"),
        (Conditions(if_none_match="2"), "1", None, None),
        (Conditions(if_modified_since=100.0), "1", "ConditionNotMet", "ConditionNotMet"),
        (Conditions(if_modified_since=99.0), "1", None, None),
        (Conditions(if_unmodified_since=99.0), "1", "ConditionNotMet", "ConditionNotMet"),
        (Conditions(if_unmodified_since=100.0), "1", None, None),
    ],
)
def test_conditions(given_: Conditions, etag: str | None, write: str | None, read: str | None) -> None:
    """Of a resource that changed at second 100.7."""

    def outcome(act: Callable[[], Any]) -> str | None:
        try:
            act()
        except StorageError as error:
            return error.code
        return None

    assert outcome(lambda: given_.check_write(etag, 100.7)) == write
    if etag is not None:
        assert outcome(lambda: given_.check_read(etag, 100.7)) == read


def test_conditions_are_read_from_headers() -> None:
    found = conditions.parse({"if-match": '"0x1"', "if-modified-since": "Fri, 20 Nov 2026 10:00:00 GMT"})
    assert (found.if_match, found.if_modified_since) == ("0x1", 1795168800.0)
    with pytest.raises(StorageError, match="InvalidHeaderValue"):
        conditions.parse({"if-modified-since": "yesterday"})


def test_every_error_has_a_status_and_a_sentence() -> None:
    for status, text in ERRORS.values():
        assert 400 <= status < 600
        assert text.endswith(".")


IDS = [str(uuid.UUID(int=n)) for n in range(3)]


class Leasing(RuleBasedStateMachine):
    """Whatever is asked in whatever order: a lease is never lost to somebody who has not its id."""

    def __init__(self) -> None:
        super().__init__()
        self.held: Lease | None = None
        self.now = 1000.0

    def step(self, act: Callable[[], Lease | None]) -> None:
        try:
            self.held = act()
        except StorageError as error:
            assert error.code.startswith("Lease")

    @rule(seconds=st.integers(1, 70))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(identity=st.sampled_from(IDS), duration=st.sampled_from([-1, 15, 60]))
    def acquire(self, identity: str, duration: int) -> None:
        before = self.held
        self.step(lambda: lease.acquire(self.held, duration, identity, self.now))
        if lease.locked(before, self.now) and before is not None and before.id != identity:
            assert self.held == before

    @rule(identity=st.sampled_from(IDS))
    def renew(self, identity: str) -> None:
        self.step(lambda: lease.renew(self.held, identity, self.now))

    @rule(identity=st.sampled_from(IDS), other=st.sampled_from(IDS))
    def change(self, identity: str, other: str) -> None:
        self.step(lambda: lease.change(self.held, identity, other, self.now))

    @rule(identity=st.sampled_from(IDS))
    def release(self, identity: str) -> None:
        before = self.held
        self.step(lambda: lease.release(self.held, identity))
        if before is not None and before.id != identity:
            assert self.held == before

    @rule(period=st.sampled_from([None, 0, 10, 60]))
    def break_(self, period: int | None) -> None:
        if self.held is None:
            return
        was = self.held.state(self.now)
        self.held, left = lease.break_(self.held, period, self.now)
        assert 0 <= left <= 60
        if was in {"broken", "expired"}:
            assert left == 0
        assert self.held.state(self.now) in {"breaking", "broken"}

    @invariant()
    def only_the_holder_writes(self) -> None:
        state = lease.state(self.held, self.now)
        assert lease.locked(self.held, self.now) == (state in {"leased", "breaking"})
        for identity in [None, *IDS]:
            allowed = True
            try:
                lease.check(self.held, identity, self.now)
            except StorageError:
                allowed = False
            if state in {"leased", "breaking"}:
                assert self.held is not None
                assert allowed == (identity == self.held.id)
            else:
                assert allowed == (identity is None)


TestLeasing = Leasing.TestCase
TestLeasing.settings = patient


@pytest.mark.parametrize("duration", [0, 14, 61, -2])
def test_leases_last_15_to_60_seconds_or_for_ever(duration: int) -> None:
    with pytest.raises(StorageError, match="InvalidHeaderValue"):
        lease.acquire(None, duration, None, 0.0)
    with pytest.raises(StorageError, match="InvalidHeaderValue"):
        lease.acquire(None, 15, "no guid", 0.0)
