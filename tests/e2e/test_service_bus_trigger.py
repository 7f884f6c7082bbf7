"""The Service Bus trigger of function apps with the real SDK and broker; the function is a coroutine of the test's."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusSubQueue
from bus_support import BusServer, body_of, bus_server, client, receive_all, send, sockets_left_by_the_sdk
from support import eventually

from mooring_runtime.functions.definition import Function, HostFile
from mooring_runtime.functions.problem import FunctionInvalid
from mooring_runtime.functions.service_bus import ServiceBusTrigger
from mooring_runtime.functions.settings import AppSettings
from mooring_runtime.functions.trigger import Event, Outcome, Setup, TriggerState

# The first test of a machine compiles Proton.
pytestmark = [pytest.mark.full, pytest.mark.timeout(1800), sockets_left_by_the_sdk]
Invoked = Callable[[Event], Awaitable[Outcome]]


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    with bus_server(tmp_path_factory.mktemp("bus") / "home") as running:
        running.namespace()
        yield running


def setup(connection: str, invoke: Invoked, source: str, target: str, **extensions: object) -> Setup:
    binding = {"connection": "Bus"}
    function = Function(
        "score",
        {"type": "serviceBusTrigger", "direction": "in", "queueName": source, **binding},
        ({"type": "serviceBus", "direction": "out", "queueName": target, **binding},),
    )
    return Setup(
        function,
        HostFile({"serviceBus": extensions}),
        AppSettings({"AzureWebJobsBus": connection}),
        "host",
        invoke,
        lambda: 3,
        lambda _state: None,
        lambda _line: None,
    )


@asynccontextmanager
async def running(made: Setup) -> AsyncIterator[list[TriggerState]]:
    states: list[TriggerState] = []
    trigger = ServiceBusTrigger(replace(made, report=states.append))
    trigger.start()
    try:
        yield states
    finally:
        await trigger.drain()
        await trigger.stop()


async def until(condition: Callable[[], object], what: str) -> None:
    for _ in range(6000):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"not within 120 s: {what}")


async def echo(event: Event) -> Outcome:
    return Outcome(b'{"of": ' + event.body + b"}", "application/json", None)


def test_a_message_in_and_its_answer_out(bus: BusServer) -> None:
    connection = bus.namespace()
    source, target = bus.queue("in-1"), bus.queue("out-1")
    events: list[Event] = []

    async def invoke(event: Event) -> Outcome:
        events.append(event)
        return await echo(event)

    async def go() -> None:
        async with running(setup(connection, invoke, source, target)):
            await until(lambda: len(events) >= 2, "both are run")

    with client(connection) as sdk, sdk.get_queue_sender(source) as sender:
        properties = {"k": "v", "n": 2}
        sender.send_messages(
            ServiceBusMessage("1", message_id="m1", subject="größe", application_properties=properties)
        )
        sender.send_messages(ServiceBusMessage("2"))
    asyncio.run(go())
    first = next(event for event in events if event.body == b"1")
    headers = dict(first.headers)
    assert headers["servicebus-message-id"] == "m1"
    assert headers["servicebus-delivery-count"] == "1"
    assert json.loads(headers["servicebus-application-properties"]) == {"k": "v", "n": 2}
    assert all(value.isascii() for value in headers.values())
    with client(connection) as sdk, sdk.get_queue_receiver(target, max_wait_time=5) as receiver:
        answers = {body_of(m): m for m in receiver.receive_messages(5)}
    assert set(answers) == {'{"of": 1}', '{"of": 2}'}
    answer = answers['{"of": 1}']
    assert (answer.correlation_id, answer.content_type) == ("m1", "application/json")
    assert bus.counts(source)["activeMessageCount"] == 0


def test_a_message_that_always_fails_is_dead_lettered_and_the_others_are_answered(bus: BusServer) -> None:
    connection = bus.namespace()
    source, target = bus.queue("in-2", maxDeliveryCount=3), bus.queue("out-2")
    tries: Counter[bytes] = Counter()

    async def invoke(event: Event) -> Outcome:
        tries[event.body] += 1
        return Outcome(b"", "text/plain", "run() raised") if event.body == b"bad" else await echo(event)

    async def go() -> None:
        async with running(setup(connection, invoke, source, target)):
            await until(lambda: bus.counts(source)["deadLetterMessageCount"] == 1, "it is dead-lettered")
            await until(lambda: bus.counts(target)["activeMessageCount"] == 2, "the others are answered")

    send(connection, source, "bad", "1", "2")
    asyncio.run(go())
    assert tries == {b"bad": 3, b"1": 1, b"2": 1}
    with (
        client(connection) as sdk,
        sdk.get_queue_receiver(source, sub_queue=ServiceBusSubQueue.DEAD_LETTER, max_wait_time=5) as dead,
    ):
        (message,) = dead.receive_messages()
        assert message.dead_letter_reason == "MaxDeliveryCountExceeded"


def test_an_answer_that_is_too_large_is_the_messages_failure(bus: BusServer) -> None:
    connection = bus.namespace()
    source, target = bus.queue("in-5", maxDeliveryCount=2), bus.queue("out-5")

    async def invoke(_event: Event) -> Outcome:
        return Outcome(b"x" * 1_500_000, "text/plain", None)

    async def go() -> list[TriggerState]:
        async with running(setup(connection, invoke, source, target)) as states:
            await until(lambda: bus.counts(source)["deadLetterMessageCount"] == 1, "it is dead-lettered")
            return states

    send(connection, source, "1")
    assert {state.state for state in asyncio.run(go())} == {"Running"}


def test_an_output_queue_that_is_not_there_shows_and_costs_no_message(bus: BusServer) -> None:
    connection, source = bus.namespace(), bus.queue("in-6", lockDuration="PT2S")

    async def go() -> None:
        async with running(setup(connection, echo, source, "out-6")) as states:
            await until(lambda: states and states[-1].code == "TriggerQueueNotFound", "it says so")
            assert "out-6" in states[-1].message
            await asyncio.to_thread(bus.queue, "out-6")
            await until(lambda: bus.counts("out-6")["activeMessageCount"] == 1, "it is answered")
            await until(lambda: states[-1].state == "Running", "it says so")

    send(connection, source, "1")
    asyncio.run(go())


def test_a_run_that_is_longer_than_its_lock_is_delivered_again(bus: BusServer) -> None:
    connection = bus.namespace()
    source, target = bus.queue("in-7", lockDuration="PT2S"), bus.queue("out-7")
    runs, lines = 0, []

    async def invoke(event: Event) -> Outcome:
        nonlocal runs
        runs += 1
        if runs == 1:
            await until(lambda: runs == 2, "it is delivered to another")
        return await echo(event)

    async def go() -> None:
        made = setup(connection, invoke, source, target, maxAutoLockRenewalDuration="00:00:00")
        async with running(replace(made, log=lines.append)):
            await until(lambda: lines, "it is logged")
            await until(lambda: bus.counts(source)["activeMessageCount"] == 0, "it is done")

    send(connection, source, "1")
    asyncio.run(go())
    assert "longer than its lock" in lines[0]
    assert runs == 2
    assert bus.counts(target)["activeMessageCount"] == 2, "at least once"


def test_a_long_run_keeps_its_lock_and_calls_are_bounded(bus: BusServer) -> None:
    connection = bus.namespace()
    source, target = bus.queue("in-3", lockDuration="PT2S"), bus.queue("out-3")
    now, most, runs = 0, 0, 0

    async def invoke(event: Event) -> Outcome:
        nonlocal now, most, runs
        now, runs = now + 1, runs + 1
        most = max(most, now)
        await asyncio.sleep(6)  # what is tested: three times the lock
        now -= 1
        return await echo(event)

    async def go() -> None:
        async with running(setup(connection, invoke, source, target, maxConcurrentCalls=2)):
            await until(lambda: bus.counts(target)["activeMessageCount"] == 4, "all are answered")

    send(connection, source, "1", "2", "3", "4")
    asyncio.run(go())
    assert (most, runs) == (2, 4), "none was delivered twice"


def test_it_waits_for_its_queue_and_goes_on(bus: BusServer) -> None:
    connection, target = bus.namespace(), bus.queue("out-4")

    async def go() -> list[TriggerState]:
        async with running(setup(connection, echo, "in-4", target)) as states:
            await until(lambda: states and states[-1].code == "TriggerQueueNotFound", "it says so")
            await asyncio.to_thread(bus.queue, "in-4")
            await asyncio.to_thread(send, connection, "in-4", "1")
            await until(lambda: bus.counts(target)["activeMessageCount"] == 1, "it is answered")
            os.kill(bus.broker(), signal.SIGKILL)
            await asyncio.to_thread(send, connection, "in-4", "2")
            await until(lambda: bus.counts(target)["activeMessageCount"] == 2, "also after a restart")
            return states

    states = asyncio.run(go())
    assert "Running" in [state.state for state in states]


def test_a_connection_string_that_is_none() -> None:
    with pytest.raises(FunctionInvalid) as caught:
        ServiceBusTrigger(setup("nonsense", echo, "a", "b"))
    assert caught.value.code == "ConnectionStringInvalid"


HOST = """
import asyncio, sys
sys.path[:0] = sys.argv[3:]
from test_service_bus_trigger import echo, setup
from mooring_runtime.functions.service_bus import ServiceBusTrigger

async def go():
    ServiceBusTrigger(setup(sys.argv[1], echo, sys.argv[2] + "-in", sys.argv[2] + "-out")).start()
    await asyncio.Event().wait()

asyncio.run(go())
"""


def test_a_killed_host_loses_none(bus: BusServer) -> None:
    connection = bus.namespace()
    source = bus.queue("killed-in", lockDuration="PT5S", maxDeliveryCount=100)
    target = bus.queue("killed-out")
    total = 300
    with client(connection) as sdk, sdk.get_queue_sender(source) as sender:
        sender.send_messages([ServiceBusMessage(str(n), message_id=str(n)) for n in range(total)])
    folders = [str(Path(__file__).parent)]
    command = [sys.executable, "-c", HOST, connection, "killed", *folders]
    for _ in range(4):
        before = bus.counts(target)["activeMessageCount"]
        host = subprocess.Popen(command)
        try:
            eventually(
                lambda n=before: bus.counts(target)["activeMessageCount"] >= min(n + 40, total),
                "answers",
                120,
            )
        finally:
            host.kill()
            host.wait()
    host = subprocess.Popen(command)
    try:
        eventually(lambda: bus.counts(source)["activeMessageCount"] == 0, "all is done", 240)
    finally:
        host.kill()
        host.wait()
    answers = Counter(receive_all(connection, target))
    twice = sum(answers.values()) - len(answers)
    print(f"{total} messages, lost {total - len(answers)}, answered twice {twice}")  # noqa: T201
    assert sorted(answers) == sorted(f'{{"of": {n}}}' for n in range(total))
