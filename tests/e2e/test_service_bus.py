"""The Service Bus broker, by the official SDK as it comes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import (
    AutoLockRenewer,
    ServiceBusMessage,
    ServiceBusReceiveMode,
    ServiceBusSubQueue,
    exceptions,
)
from azure.servicebus.aio import ServiceBusClient as AsyncClient
from bus_support import (
    GROUP,
    NAMESPACE,
    RULE,
    BusServer,
    body_of,
    bus_server,
    client,
    receive_all,
    send,
    sockets_left_by_the_sdk,
)
from support import eventually

# The first test of a machine compiles Proton.
pytestmark = [pytest.mark.full, pytest.mark.timeout(1800), sockets_left_by_the_sdk]
SUB = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    with bus_server(tmp_path_factory.mktemp("bus") / "home") as running:
        running.namespace()
        yield running


@pytest.fixture
def connection(bus: BusServer) -> str:
    return bus.namespace()


@pytest.fixture
def queue(bus: BusServer, request: pytest.FixtureRequest) -> str:
    return bus.queue(request.node.name.strip("]").replace("[", "-"), maxDeliveryCount=3)


def test_a_message_and_its_properties(connection: str, queue: str) -> None:
    send(
        connection,
        queue,
        '{"a": 1}',
        application_properties={"k": "v", "n": 3},
        message_id="m1",
        correlation_id="c1",
        content_type="application/json",
        subject="s",
        reply_to="elsewhere",
    )
    with client(connection) as bus, bus.get_queue_receiver(queue) as receiver:
        (message,) = receiver.receive_messages()
        assert body_of(message) == '{"a": 1}'
        assert (message.message_id, message.correlation_id, message.content_type) == (
            "m1",
            "c1",
            "application/json",
        )
        assert (message.subject, message.reply_to) == ("s", "elsewhere")
        assert message.application_properties == {b"k": b"v", b"n": 3}
        assert message.delivery_count == 0
        now = datetime.now(timezone.utc)
        assert message.enqueued_time_utc is not None
        assert abs((now - message.enqueued_time_utc).total_seconds()) < 30
        assert message.locked_until_utc is not None
        assert message.locked_until_utc > now
        receiver.complete_message(message)
    assert receive_all(connection, queue) == []


def test_abandoned_too_often_it_is_dead_lettered(bus: BusServer, connection: str, queue: str) -> None:
    send(connection, queue, "ab")
    with client(connection) as sdk, sdk.get_queue_receiver(queue) as receiver:
        for count in range(3):
            (message,) = receiver.receive_messages()
            assert message.delivery_count == count
            receiver.abandon_message(message)
    assert bus.counts(queue)["deadLetterMessageCount"] == 1
    with (
        client(connection) as sdk,
        sdk.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead,
    ):
        (message,) = dead.receive_messages()
        assert message.dead_letter_reason == "MaxDeliveryCountExceeded"
        assert message.dead_letter_error_description == (
            "Message could not be consumed after 3 delivery attempts."
        )
        dead.complete_message(message)
    assert bus.counts(queue)["deadLetterMessageCount"] == 0


def test_dead_lettered_by_its_receiver(connection: str, queue: str) -> None:
    send(connection, queue, "bad", application_properties={"mine": "too"})
    with client(connection) as sdk, sdk.get_queue_receiver(queue) as receiver:
        (message,) = receiver.receive_messages()
        receiver.dead_letter_message(message, reason="Unreadable", error_description="no JSON")
    with (
        client(connection) as sdk,
        sdk.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead,
    ):
        (message,) = dead.receive_messages()
        assert (message.dead_letter_reason, message.dead_letter_error_description) == (
            "Unreadable",
            "no JSON",
        )
        assert message.dead_letter_source == queue
        assert (message.application_properties or {})[b"mine"] == b"too"


def test_deferred_and_got_by_its_number(connection: str, queue: str) -> None:
    send(connection, queue, "later", "now")
    with client(connection) as sdk, sdk.get_queue_receiver(queue) as receiver:
        (message,) = receiver.receive_messages()
        number = message.sequence_number
        assert number is not None
        receiver.defer_message(message)
        (other,) = receiver.receive_messages()
        assert body_of(other) == "now"
        receiver.complete_message(other)
        (again,) = receiver.receive_deferred_messages(number)
        assert body_of(again) == "later"
        receiver.complete_message(again)
        with pytest.raises(exceptions.MessageNotFoundError):
            receiver.receive_deferred_messages(number)


def test_batches(connection: str, queue: str) -> None:
    with client(connection) as sdk, sdk.get_queue_sender(queue) as sender:
        batch = sender.create_message_batch()
        for number in range(50):
            batch.add_message(ServiceBusMessage(f"b{number}", message_id=str(number)))
        sender.send_messages(batch)
        sender.send_messages([ServiceBusMessage("of one")])
    assert receive_all(connection, queue) == [*(f"b{number}" for number in range(50)), "of one"]


def test_a_message_with_a_message_as_its_body_is_no_batch(connection: str, queue: str) -> None:
    inner = b"\x00\x53\x75\xa0\x05inner"
    send(connection, queue, inner)
    with client(connection) as sdk, sdk.get_queue_receiver(queue) as receiver:
        (message,) = receiver.receive_messages()
        assert b"".join(message.body) == inner
        receiver.complete_message(message)


def test_peek_changes_nothing_and_locks_can_be_renewed(connection: str, queue: str) -> None:
    send(connection, queue, "p1", "p2")
    with client(connection) as sdk, sdk.get_queue_receiver(queue) as receiver:
        assert [body_of(m) for m in receiver.peek_messages(10)] == ["p1", "p2"]
        (message,) = receiver.receive_messages()
        before = message.locked_until_utc
        after = receiver.renew_message_lock(message)
        assert before is not None
        assert after > before
        receiver.complete_message(message)


def test_scheduled_and_cancelled(connection: str, queue: str) -> None:
    soon = datetime.now(timezone.utc) + timedelta(seconds=2)
    with client(connection) as sdk, sdk.get_queue_sender(queue) as sender:
        sender.schedule_messages(ServiceBusMessage("scheduled"), soon)
        never = sender.schedule_messages(ServiceBusMessage("never"), soon)
        sender.cancel_scheduled_messages(never)
        sender.send_messages(ServiceBusMessage("by property", scheduled_enqueue_time_utc=soon))
    with client(connection) as sdk, sdk.get_queue_receiver(queue, max_wait_time=30) as receiver:
        found = []
        while len(found) < 2:
            for message in receiver.receive_messages(10):
                assert datetime.now(timezone.utc) >= soon
                found.append(body_of(message))
                receiver.complete_message(message)
    assert sorted(found) == ["by property", "scheduled"]
    assert receive_all(connection, queue) == []


def test_received_and_deleted(bus: BusServer, connection: str, queue: str) -> None:
    send(connection, queue, "gone")
    with (
        client(connection) as sdk,
        sdk.get_queue_receiver(queue, receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE) as receiver,
    ):
        assert [body_of(m) for m in receiver.receive_messages()] == ["gone"]
    assert bus.counts(queue)["activeMessageCount"] == 0


@pytest.mark.parametrize("size", [1, 200_000, 1_048_576])
def test_messages_up_to_a_megabyte(connection: str, bus: BusServer, size: int) -> None:
    name = bus.queue(f"size-{size}")
    send(connection, name, b"x" * size)
    with client(connection) as sdk, sdk.get_queue_receiver(name) as receiver:
        (message,) = receiver.receive_messages()
        assert sum(map(len, message.body)) == size
        receiver.complete_message(message)


def test_a_larger_one_is_refused(connection: str, queue: str) -> None:
    with pytest.raises(exceptions.MessageSizeExceededError):
        send(connection, queue, b"x" * 1_200_000)
    assert receive_all(connection, queue) == []


def test_expired_messages(bus: BusServer, connection: str, queue: str) -> None:
    with client(connection) as sdk, sdk.get_queue_sender(queue) as sender:
        sender.send_messages(ServiceBusMessage("brief", time_to_live=timedelta(seconds=1)))
    eventually(lambda: bus.counts(queue)["activeMessageCount"] == 0, "it expires")
    bus.queue(queue, deadLetteringOnMessageExpiration=True, defaultMessageTimeToLive="PT1S")
    send(connection, queue, "kept")
    eventually(lambda: bus.counts(queue)["deadLetterMessageCount"] == 1, "it is dead-lettered")
    with (
        client(connection) as sdk,
        sdk.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead,
    ):
        (message,) = dead.receive_messages()
        assert message.dead_letter_reason == "TTLExpiredException"


def test_a_lock_that_ends_and_one_that_is_kept_alive(bus: BusServer, connection: str) -> None:
    name = bus.queue("locks", lockDuration="PT5S")
    send(connection, name, "a")
    with client(connection) as sdk, sdk.get_queue_receiver(name, max_wait_time=30) as receiver:
        (first,) = receiver.receive_messages()
        (again,) = receiver.receive_messages()
        assert again.delivery_count == 1
        with pytest.raises(exceptions.MessageLockLostError):
            receiver.complete_message(first)
        with AutoLockRenewer() as renewer:
            renewer.register(receiver, again, max_lock_renewal_duration=30)
            assert receiver.receive_messages(max_wait_time=8) == []
            receiver.complete_message(again)


def test_async_client(connection: str, queue: str) -> None:
    async def both() -> str:
        async with AsyncClient.from_connection_string(connection) as sdk:
            async with sdk.get_queue_sender(queue) as sender:
                await sender.send_messages([ServiceBusMessage("one"), ServiceBusMessage("two")])
            async with sdk.get_queue_receiver(queue, max_wait_time=10) as receiver:
                found = []
                async for message in receiver:
                    found.append(body_of(message))
                    await receiver.complete_message(message)
                    if len(found) == 2:
                        return ",".join(found)
        raise AssertionError(found)

    assert asyncio.run(both()) == "one,two"


def actions(sdk: Any, queue: str) -> dict[str, Any]:
    def send_one() -> None:
        with sdk.get_queue_sender(queue) as sender:
            sender.send_messages(ServiceBusMessage("x"))

    def schedule() -> None:
        with sdk.get_queue_sender(queue) as sender:
            sender.schedule_messages(ServiceBusMessage("x"), datetime.now(timezone.utc))

    def receive() -> None:
        with sdk.get_queue_receiver(queue, max_wait_time=5) as receiver:
            receiver.receive_messages()

    def peek() -> None:
        with sdk.get_queue_receiver(queue, max_wait_time=5) as receiver:
            receiver.peek_messages()

    return {"send": send_one, "schedule": schedule, "receive": receive, "peek": peek}


@pytest.mark.parametrize("action", ["send", "schedule", "receive", "peek"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_unknown_queue(connection: str, action: str) -> None:
    with (
        client(connection, retry_total=0) as sdk,
        pytest.raises(exceptions.MessagingEntityNotFoundError, match="nowhere"),
    ):
        actions(sdk, "nowhere")[action]()


@pytest.mark.parametrize("action", ["send", "schedule", "receive", "peek"])
def test_a_wrong_key(connection: str, queue: str, action: str) -> None:
    key = connection.partition(";SharedAccessKey=")[2].partition(";")[0]
    with (
        client(connection.replace(key, "d3Jvbmc="), retry_total=0) as sdk,
        pytest.raises(exceptions.ServiceBusAuthenticationError),
    ):
        actions(sdk, queue)[action]()


def test_a_rule_gives_its_rights_and_no_more(bus: BusServer, connection: str, queue: str) -> None:
    path = f"{NAMESPACE}/queues/{queue}/authorizationRules/sender"
    assert bus.client.put(path, json={"rights": ["Send"]}).status_code == 201
    keys = bus.client.post(f"{path}/listKeys").json()
    narrow = keys["primaryConnectionString"].partition(";EntityPath")[0]
    with client(narrow, retry_total=0) as sdk:
        actions(sdk, queue)["send"]()
        for action in ("receive", "peek"):
            with pytest.raises(exceptions.ServiceBusAuthorizationError):
                actions(sdk, queue)[action]()
        other = bus.queue("other-queue")
        with pytest.raises(exceptions.ServiceBusError):
            actions(sdk, other)["send"]()
    bus.client.delete(path)
    with client(narrow, retry_total=0) as sdk, pytest.raises(exceptions.ServiceBusAuthenticationError):
        actions(sdk, queue)["send"]()
    assert receive_all(connection, queue) == ["x"]


def test_a_renewed_key_and_a_deleted_queue_end_open_links(bus: BusServer) -> None:
    connection = bus.namespace("mybus-2")
    path = f"{GROUP}/serviceBusNamespaces/mybus-2"
    assert bus.client.put(f"{path}/queues/q", json={}).status_code == 201
    with client(connection, retry_total=0) as sdk, sdk.get_queue_sender("q") as sender:
        sender.send_messages(ServiceBusMessage("x"))
        assert bus.client.delete(f"{path}/queues/q").status_code == 204
        with pytest.raises(exceptions.ServiceBusError):
            sender.send_messages(ServiceBusMessage("x"))
    assert bus.client.put(f"{path}/queues/q", json={}).status_code == 201
    assert bus.client.get(f"{path}/queues/q").json()["messageCount"] == 0, "it is another queue"
    with client(connection, retry_total=0) as sdk, sdk.get_queue_sender("q") as sender:
        sender.send_messages(ServiceBusMessage("x"))
        renewed = bus.client.post(f"{path}/{RULE}/regenerateKeys", json={"keyType": "PrimaryKey"})
        assert renewed.status_code == 200
        with pytest.raises(exceptions.ServiceBusError):
            sender.send_messages(ServiceBusMessage("x"))
    assert receive_all(renewed.json()["primaryConnectionString"], "q") == ["x"]


def test_namespaces_do_not_see_each_other(bus: BusServer, connection: str, queue: str) -> None:
    other = bus.namespace("mybus-3")
    path = f"{GROUP}/serviceBusNamespaces/mybus-3"
    assert bus.client.put(f"{path}/queues/{queue}", json={}).status_code == 201
    send(connection, queue, "mine")
    assert receive_all(other, queue) == []
    assert receive_all(connection, queue) == ["mine"]
    bus.client.delete(path)


def test_sessions_are_refused(connection: str, queue: str) -> None:
    with (
        client(connection, retry_total=0) as sdk,
        pytest.raises(exceptions.ServiceBusError, match="sessions"),
        sdk.get_queue_receiver(queue, session_id="mine", max_wait_time=5) as receiver,
    ):
        receiver.receive_messages()


def test_a_full_queue(bus: BusServer, connection: str) -> None:
    name = bus.queue("full", maxSizeInMegabytes=1)
    send(connection, name, b"x" * 900_000, b"x" * 200_000)
    with client(connection, retry_total=0) as sdk, sdk.get_queue_sender(name) as sender:
        with pytest.raises(exceptions.ServiceBusQuotaExceededError):
            sender.send_messages(ServiceBusMessage("one more"))
        assert len(receive_all(connection, name)) == 2
        sender.send_messages(ServiceBusMessage("there is room again"))


def test_the_command_line(bus: BusServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOORING_HOME", str(bus.home))

    def mooring(*arguments: str) -> Any:
        import json

        program = str(Path(sys.executable).with_name("mooring"))
        done = subprocess.run(
            [program, "servicebus", *arguments, "--output", "json"],
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    made = mooring("namespace", "create", "-n", "frombash", "-g", "rg")
    assert made["provisioningState"] == "Succeeded"
    assert made["id"].startswith(f"/subscriptions/{SUB}/resourceGroups/rg/")
    where = ("--namespace-name", "frombash", "-g", "rg")
    assert (
        mooring("queue", "create", "-n", "in", *where, "--lock-duration", "PT30S")["lockDuration"] == "PT30S"
    )
    keys = mooring(
        "namespace", "authorization-rule", "keys", "list", "-n", "RootManageSharedAccessKey", *where
    )
    send(keys["primaryConnectionString"], "in", "hello")
    assert mooring("queue", "show", "-n", "in", *where)["countDetails"]["activeMessageCount"] == 1
    assert [q["name"] for q in mooring("queue", "list", *where)] == ["in"]
    assert "frombash" in [n["name"] for n in mooring("namespace", "list")]
    assert mooring("namespace", "show", "-n", "frombash", "-g", "rg")["status"] == "Active"
    mooring("queue", "delete", "-n", "in", *where, "--yes")
    mooring("namespace", "delete", "-n", "frombash", "-g", "rg", "--yes")
    assert "frombash" not in [n["name"] for n in mooring("namespace", "list")]
