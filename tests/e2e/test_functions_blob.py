"""Blob triggers, end to end: a package, storage of our own, an app, blobs in and blobs out."""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from functions_support import GROUP, App, Storage, make_package, until
from support import RunningServer

from azureml.contrib.functions import BLOB_TRIGGER
from azureml.core import Workspace

NUMBERS = itertools.count(1)


@pytest.fixture
def app(sdk_home: Path, server: RunningServer, tmp_path: Path) -> Iterator[App]:
    """A running app with a blob trigger, and its storage as ``app.storage``."""
    server.client.put(GROUP, json={"location": "West Europe"})
    made = make_package(
        Workspace("sub", "rg", "functions"),
        tmp_path,
        trigger=BLOB_TRIGGER,
        input_path="input/{blobname}.json",
        output_path="output/{blobname}_out.json",
    )
    # Names of a test's own: what a test before left must be no input.
    jobs, storage = Storage(server, f"webjobs{next(NUMBERS)}"), Storage(server, f"trigger{next(NUMBERS)}")
    storage.containers("input", "output")
    app = App(server, "blobapp", storageAccount=jobs.name)
    app.storage = storage  # type: ignore[attr-defined]
    app.set(TriggerConnectionString=storage.connection)
    app.contain(made)
    yield app
    app.client.delete(app.path)
    app.status("Gone")


def test_a_blob_becomes_a_blob_and_poison_blocks_nothing(app: App) -> None:
    storage: Storage = app.storage  # type: ignore[attr-defined]
    storage.put("input", "a.json", b'{"x": 2}')
    storage.put("input", "bad.json", b'"bad"')
    storage.put("input", "other.txt", b'{"x": 1}')
    shown = app.status("Running", "Failed")
    assert (shown["status"], shown["missing"], shown["error"]) == ("Running", [], None)
    until(lambda: storage.names("output"), lambda names: "a_out.json" in names, "the first output")
    assert json.loads(storage.read("output", "a_out.json") or b"") == {"double": 4}
    for number in range(10):
        storage.put("input", f"many/{number}.json", json.dumps({"x": number}).encode())
    storage.put("input", "a.json", b'{"x": 21}')
    until(
        lambda: storage.read("output", "a_out.json"),
        lambda body: body == b'{"double": 42}',
        "the changed blob",
    )
    until(lambda: len(storage.names("output")), lambda count: count == 11, "all outputs")
    (message,) = until(storage.poison, len, "a poison message")
    said = json.loads(message)
    assert said.pop("ETag").startswith('"')
    assert said == {
        "Type": "BlobTrigger",
        "FunctionId": "Host.Functions.score",
        "BlobType": "BlockBlob",
        "ContainerName": "input",
        "BlobName": "bad.json",
    }
    assert app.logs().count("ValueError: bad data") == 5
    until(app.show, lambda a: a["functions"]["score"]["state"] == "Running", "the trigger's state")


def test_a_killed_host_and_a_new_revision_lose_nothing(app: App, server: RunningServer) -> None:
    storage: Storage = app.storage  # type: ignore[attr-defined]
    app.status("Running")
    expected = set()
    for name in ("before", "killed", "swapped"):
        for number in range(15):
            storage.put("input", f"{name}{number}.json", b'{"x": 1}')
            expected.add(f"{name}{number}_out.json")
        if name == "killed":
            os.kill(front_of(server.home, "blobapp"), signal.SIGKILL)
        if name == "swapped":
            app.set(SOMETHING="new")
    until(lambda: expected - storage.names("output"), lambda late: not late, "all outputs")
    assert storage.poison() == []


def front_of(home: Path, service: str) -> int:
    """The process id of a service's front."""
    states = [json.loads(path.read_text()) for path in (home / "services").glob("*/state.json")]
    return int(next(state["front"]["pid"] for state in states if state["service"] == service))
