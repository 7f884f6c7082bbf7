from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring_server.servicebus.codec import Int, Malformed, Symbol, Timestamp, UInt, decode, encode
from mooring_server.servicebus.queue import FOREVER, Message
from mooring_server.servicebus.sections import (
    BATCH_FORMAT,
    messages_of,
    read_head,
    read_request,
    render,
    split,
    write_reply,
)


def section(code: int, value: object) -> bytes:
    return bytes((0, 0x53, code)) + encode(value)


DATA = section(0x75, b"body")


def parts(raw: bytes) -> dict[int, object]:
    return {s.code: decode(raw, s.body)[0] for s in split(raw)}


def test_a_delivery_has_the_brokers_annotations_and_the_senders_bytes() -> None:
    middle = section(0x73, ["id"]) + section(0x74, {"k": 1.5}) + DATA + section(0x78, {})
    # A priority of type ubyte, an annotation of type short: what is kept is kept in its type.
    header = b"\x00\x53\x70\xc0\x04\x02\x41\x50\x07"
    note = b"\x00\x53\x72\xc1\x09\x02\xa3\x03own\x61\x00\x05"
    message = Message(9, 1, 12.5, deliveries=2, until=20.0)
    out = render(header + note + middle, message, locked=True, source="q")
    assert out.endswith(middle)
    found = parts(out)
    assert found[0x70] == [True, 7, None, None, 2]
    assert b"\xa3\x03own\x61\x00\x05" in out
    assert b"\x50\x07" in out
    assert found[0x72] == {
        "own": 5,
        "x-opt-sequence-number": 9,
        "x-opt-enqueued-time": Timestamp(12500),
        "x-opt-enqueue-sequence-number": 9,
        "x-opt-message-state": Int(0),
        "x-opt-locked-until": Timestamp(20000),
    }


@pytest.mark.parametrize("properties", [b"", section(0x74, {"mine": 1, "DeadLetterReason": "old"})])
def test_a_dead_lettered_message_says_why_and_whence(properties: bytes) -> None:
    message = Message(1, 1, 0.0, reason="Bad", description="It is bad.")
    found = parts(render(section(0x73, ["id"]) + properties + DATA, message, locked=False, source="q"))
    told = found[0x74]
    assert isinstance(told, dict)
    assert (told["DeadLetterReason"], told["DeadLetterErrorDescription"]) == ("Bad", "It is bad.")
    assert ("mine" in told) == bool(properties)
    assert found[0x72]["x-opt-deadletter-source"] == "q"  # type: ignore[index]
    assert found[0x73] == ["id"]
    assert found[0x75] == b"body"


@pytest.mark.parametrize(
    "body", [DATA, DATA + DATA, section(0x77, {"a": [1, None]}), section(0x76, [1]) + section(0x76, [2])]
)
def test_bodies_of_all_kinds_pass(body: bytes) -> None:
    out = render(body, Message(1, 1, 0.0), locked=False, source="q")
    assert out.endswith(body)
    assert messages_of(body, 0) == [body]


def test_a_batch_is_its_messages_only_if_its_format_says_so() -> None:
    inner = [section(0x73, ["a"]) + DATA, DATA]
    batch = section(0x72, {Symbol("x-opt-partition-key"): "p"}) + b"".join(section(0x75, i) for i in inner)
    assert messages_of(batch, BATCH_FORMAT) == inner
    assert messages_of(batch, 0) == [batch], "a message may hold messages in its body"
    for wrong in (section(0x77, "x"), section(0x75, b"no message"), section(0x72, {})):
        with pytest.raises(Malformed):
            messages_of(wrong, BATCH_FORMAT)


def test_time_to_live_and_schedule() -> None:
    assert read_head(DATA).ttl == FOREVER
    header = section(0x70, [None, None, UInt(1500)])
    note = section(0x72, {Symbol("x-opt-scheduled-enqueue-time"): Timestamp(5000)})
    head = read_head(header + note + DATA)
    assert (head.ttl, head.scheduled) == (1.5, 5.0)
    for wrong in (section(0x70, "x"), section(0x72, [1])):
        with pytest.raises(Malformed):
            read_head(wrong + DATA)


@pytest.mark.parametrize("raw", [b"", section(0x73, []), DATA + section(0x73, []), b"text", section(0x79, 1)])
def test_what_is_no_message(raw: bytes) -> None:
    with pytest.raises(Malformed):
        split(raw)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_message_or_malformed(data: bytes) -> None:
    for raw in (data, section(0x70, []) + data, b"\x00\x53\x72" + data + DATA):
        try:
            messages_of(raw, BATCH_FORMAT)
            read_head(raw)
            read_request(raw)
            render(raw, Message(1, 1, 0.0, reason="r"), locked=True, source="q")
        except Malformed:
            continue


def test_requests_and_replies() -> None:
    identity = uuid4()
    raw = section(0x73, [identity]) + section(0x74, {"operation": "x"}) + section(0x77, {"n": 1})
    request = read_request(raw)
    assert (request.message_id, request.properties, request.value) == (identity, {"operation": "x"}, {"n": 1})
    found = parts(write_reply(request, {"statusCode": Int(200)}, None))
    assert found[0x73] == [None] * 5 + [identity]
    assert found[0x74] == {"statusCode": 200}
