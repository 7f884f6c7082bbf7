"""Service Bus triggers, end to end: a package, the broker, an app, messages in and messages out."""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusSubQueue
from bus_support import (
    BusServer,
    body_of,
    bus_server,
    client,
    receive_all,
    send,
    sockets_left_by_the_sdk,
)
from functions_support import DOUBLE, GROUP, App, Storage, make_package, until
from support import WS
from test_functions_blob import front_of

from azureml.contrib.functions import package_service_bus_queue
from azureml.core import Workspace

# The first test of a machine compiles Proton.
pytestmark = [pytest.mark.full, pytest.mark.timeout(1800), sockets_left_by_the_sdk]
NUMBERS = itertools.count(1)
RAW = """
import json

from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse


def init():
    pass


@rawhttp
def run(request):
    body = request.get_data()
    names = ("message-id", "delivery-count", "application-properties", "subject")
    seen = {name: request.headers.get("servicebus-" + name) for name in names}
    return AMLResponse(json.dumps({"bytes": list(body), "type": request.content_type, **seen}), 200)
"""


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    with bus_server(tmp_path_factory.mktemp("bus") / "home") as running:
        running.namespace()
        assert running.client.put(WS, json={}).status_code == 201
        running.client.put(GROUP, json={"location": "West Europe"})
        yield running


@pytest.fixture
def names(bus: BusServer) -> tuple[str, str]:
    """An input and an output queue of a test's own."""
    number = next(NUMBERS)
    settings = {"maxDeliveryCount": 3, "lockDuration": "PT5S"}
    return bus.queue(f"in-{number}", **settings), bus.queue(f"out-{number}")


@pytest.fixture
def workspace(bus: BusServer, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("MOORING_HOME", str(bus.home))
    monkeypatch.delenv("MOORING_ENDPOINT", raising=False)
    monkeypatch.delenv("MOORING_TOKEN", raising=False)
    return Workspace("sub", "rg", "ws")


@pytest.fixture
def deployed(
    bus: BusServer, workspace: Workspace, names: tuple[str, str], tmp_path: Path
) -> Iterator[tuple[App, str]]:
    """An app that doubles, and the connection string it has."""
    app = App(bus, f"busapp{next(NUMBERS)}", storageAccount=Storage(bus, "webjobs").name)
    connection = bus.namespace()
    app.set(TriggerConnectionString=connection)
    app.contain(packaged(workspace, tmp_path, *names))
    app.status("Running")
    yield app, connection
    app.client.delete(app.path)
    app.status("Gone")


def packaged(workspace: Workspace, directory: Path, source: str, target: str, score: str = DOUBLE) -> object:
    return make_package(
        workspace,
        directory,
        score,
        trigger="service_bus_queue",
        input_queue_name=source,
        output_queue_name=target,
    )


def test_a_message_is_answered_and_a_bad_one_dead_lettered(
    bus: BusServer, names: tuple[str, str], deployed: tuple[App, str]
) -> None:
    source, target = names
    app, connection = deployed
    with client(connection) as sdk, sdk.get_queue_sender(source) as sender:
        sender.send_messages(ServiceBusMessage('{"x": 2}', message_id="two"))
        sender.send_messages(ServiceBusMessage('"bad"'))
        sender.send_messages([ServiceBusMessage(json.dumps({"x": n})) for n in range(10)])
    with client(connection) as sdk, sdk.get_queue_receiver(target) as receiver:
        answers = []
        while len(answers) < 11:
            for message in receiver.receive_messages(20, max_wait_time=90):
                answers.append((message.correlation_id, json.loads(body_of(message))))
                receiver.complete_message(message)
    assert ("two", {"double": 4}) in answers
    assert sorted(answer["double"] for _, answer in answers) == sorted([4, *range(0, 20, 2)])
    until(lambda: bus.counts(source)["deadLetterMessageCount"], lambda count: count == 1, "the dead letter")
    dead_letters = ServiceBusSubQueue.DEAD_LETTER
    with client(connection) as sdk, sdk.get_queue_receiver(source, sub_queue=dead_letters) as dead:
        (message,) = dead.receive_messages(max_wait_time=30)
        assert body_of(message) == '"bad"'
        assert message.dead_letter_reason == "MaxDeliveryCountExceeded"
        dead.complete_message(message)
    assert app.logs().count("ValueError: bad data") == 3
    until(app.show, lambda a: a["functions"]["score"]["state"] == "Running", "the trigger's state")


def test_a_killed_host_and_a_new_revision_lose_nothing(
    bus: BusServer, names: tuple[str, str], deployed: tuple[App, str]
) -> None:
    source, target = names
    app, connection = deployed
    name = app.path.rpartition("/")[2]
    bus.queue(source, maxDeliveryCount=50, lockDuration="PT5S")
    sent = 0
    for what in ("running", "killed", "changed"):
        if what == "killed":
            os.kill(front_of(bus.home, name), signal.SIGKILL)
        if what == "changed":
            app.set(SOMETHING="new")
        with client(connection) as sdk, sdk.get_queue_sender(source) as sender:
            sender.send_messages([ServiceBusMessage(json.dumps({"x": sent + n})) for n in range(50)])
        sent += 50
    until(lambda: bus.counts(source)["activeMessageCount"], lambda count: count == 0, "all are answered")
    answers = Counter(json.loads(text)["double"] for text in receive_all(connection, target))
    twice = sum(answers.values()) - len(answers)
    print(f"{sent} messages, lost {sent - len(answers)}, answered twice {twice}")  # noqa: T201
    assert sorted(answers) == [2 * n for n in range(sent)]
    assert bus.counts(source)["deadLetterMessageCount"] == 0


def test_a_request_has_the_body_as_it_is_and_the_properties(
    bus: BusServer, workspace: Workspace, names: tuple[str, str], tmp_path: Path
) -> None:
    source, target = names
    app = App(bus, "rawbusapp", storageAccount=Storage(bus, "webjobs").name)
    connection = bus.namespace()
    app.set(TriggerConnectionString=connection)
    app.contain(packaged(workspace, tmp_path, source, target, RAW))
    send(
        connection,
        source,
        b"\x00\xff\xfe",
        content_type="image/png",
        message_id="m1",
        subject="größe",
        application_properties={"k": "v"},
    )
    with client(connection) as sdk, sdk.get_queue_receiver(target) as receiver:
        (message,) = receiver.receive_messages(max_wait_time=120)
        said = json.loads(body_of(message))
        receiver.complete_message(message)
    assert said["bytes"] == [0, 255, 254]
    assert (said["type"], said["message-id"], said["delivery-count"]) == ("image/png", "m1", "1")
    assert json.loads(said["application-properties"]) == {"k": "v"}
    assert message.correlation_id == "m1"
    app.client.delete(app.path)
    app.status("Gone")


def test_what_it_waits_for_is_said(bus: BusServer, workspace: Workspace, tmp_path: Path) -> None:
    app = App(bus, "waitingbusapp", storageAccount=Storage(bus, "webjobs").name)
    connection = bus.namespace()
    key = connection.partition(";SharedAccessKey=")[2].partition(";")[0]
    app.set(TriggerConnectionString=connection.replace(key, "d3Jvbmc="))
    app.contain(packaged(workspace, tmp_path, "later-in", "later-out"))

    def code() -> str:
        return str(app.show()["functions"].get("score", {}).get("code"))

    until(code, lambda seen: seen == "TriggerNotAuthorized", "with a wrong key")
    app.set(TriggerConnectionString=connection)
    until(code, lambda seen: seen == "TriggerQueueNotFound", "without the queue")
    for name in ("later-in", "later-out"):
        bus.queue(name)
    send(connection, "later-in", '{"x": 4}')
    until(lambda: bus.counts("later-out")["activeMessageCount"], lambda count: count == 1, "its answer")
    until(code, lambda seen: seen == "", "nothing is wrong any more")
    app.client.delete(app.path)
    app.status("Gone")


def test_the_shorter_name(workspace: Workspace, tmp_path: Path) -> None:
    from sdk_support import inference_config, register, write_app

    write_app(tmp_path, score=DOUBLE)
    made = package_service_bus_queue(
        workspace,
        [register(workspace, tmp_path)],
        inference_config(tmp_path),
        input_queue_name="a",
        output_queue_name="b",
    )
    made.wait_for_creation(show_output=False)
    assert made.location
