"""Wrong steps on the way to a function app: each has Azure's code and a sentence, and the right step mends it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from functions_support import GROUP, App, Storage, make_package, until
from support import RunningServer

from azureml.contrib.functions import BLOB_TRIGGER, package
from azureml.core import Workspace

# Bytes are JSON or not; what is neither fails before the script sees it, or in it.
SCORE = """
import json


def init():
    pass


def run(data):
    return {"double": json.loads(data)["x"] * 2}
"""
BYTES = """
from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse


def init():
    pass


@rawhttp
def run(request):
    body = request.get_data()
    if body[:4] != b"PNG!":
        return AMLResponse("no picture", 400)
    return AMLResponse(body[::-1], 200)
"""


@pytest.fixture(scope="module")
def group(server: RunningServer) -> str:
    server.client.put(GROUP, json={"location": "West Europe"})
    return GROUP


def remove(app: App) -> None:
    app.client.delete(app.path)
    app.status("Gone")


def contain(app: App, **container: str) -> None:
    answer = app.client.put(f"{app.path}/container", json=container)
    assert answer.status_code == 200, answer.text


def waits_for(app: App, code: str) -> dict[str, Any]:
    """The app's error once it has this code; it answers meanwhile, and goes on by itself."""
    shown = until(app.show, lambda a: (a["error"] or {}).get("code") == code, code)
    assert shown["status"] == "Running"
    return dict(shown["error"])


@pytest.fixture
def app(server: RunningServer, group: str) -> Iterator[App]:
    made = App(server, "wrongsteps")
    yield made
    remove(made)


def test_each_wrong_step_is_told_and_the_right_one_mends_it(
    app: App, server: RunningServer, sdk_home: Path, tmp_path: Path
) -> None:
    ws = Workspace("sub", "rg", "functions")
    lacking = {entry["name"]: entry for entry in app.status("Inactive")["missing"]}
    assert "--storage-account" in lacking["AzureWebJobsStorage"]["hint"]
    answer = app.client.put(app.path, json={"storageAccount": "absentaccount"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "StorageAccountNotFound")
    assert app.client.put(app.path, json={"storageAccount": Storage(server, "wrongjobs").name}).is_success

    # The app is there before its image.
    made = make_package(ws, tmp_path / "app", SCORE, trigger=BLOB_TRIGGER)
    registry = made.get_container_registry()
    login = {"registryUsername": registry.username, "registryPassword": registry.password}
    repository = made.location.partition("@")[0]
    contain(app, image=f"{repository}:20190827195524", **login)
    error = app.status("Failed")["error"]
    assert (error["phase"], error["code"]) == ("Pull", "ImageNotFound")
    assert made.label in error["evidence"]["tags"]
    contain(app, image="myacr.azurecr.io/package:20190827195524")
    assert app.status("Failed")["error"]["code"] == "RegistryNotReachable"
    contain(app, image=made.location, registryPassword=registry.password[:-1])
    error = app.status("Failed")["error"]
    assert (error["code"], error["target"]) == ("RegistryCredentialsWrong", registry.username)

    contain(app, **login)
    (lack,) = app.status("Inactive")["missing"]
    assert lack["name"] == "TriggerConnectionString"
    storage = Storage(server, "wrongtrigger")
    app.set(TriggerConectionString=storage.connection)
    (lack,) = app.status("Inactive")["missing"]
    assert "There is a setting TriggerConectionString; is it meant?" in lack["message"]

    key = storage.connection.partition("AccountKey=")[2].partition(";")[0]
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = "http://127.0.0.1:{1}".format(*closed.getsockname())
    for typo, code, sentence in (
        (storage.connection.replace("AccountKey=", "AcountKey="), "ConnectionStringInvalid", "AccountKey is"),
        (storage.connection.replace(key, f"{key}!"), "ConnectionStringInvalid", "AccountKey is not Base64"),
        (storage.connection.replace(key, key[4:]), "StorageAuthenticationFailed", "authenticate"),
        (storage.connection.replace(server.url, nowhere), "StorageNotReachable", nowhere[7:]),
        (storage.connection, "TriggerContainerNotFound", "'input'"),
    ):
        app.set("TriggerConectionString", TriggerConnectionString=typo)
        error = waits_for(app, code)
        assert sentence in error["message"]
        assert error["hint"]
        assert key not in json.dumps(error)
    storage.containers("input")
    shown = until(app.show, lambda a: a["error"] is None, "the trigger goes on by itself")
    assert shown["functions"]["score"]["state"] == "Running"

    # Settings that no binding names are the functions' own.
    app.set(SomethingElse="1")
    answer = app.client.patch(f"{app.path}/appsettings", json={"properties": {"not allowed": "1"}})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "AppSettingInvalid")
    assert "'not allowed'" in answer.json()["error"]["message"]

    # What the model cannot read holds up nothing behind it.
    poison = {"text.json": b"\xff\xfe\x00", "empty.json": b"", "other.json": b'{"y": 1}'}
    for name, body in poison.items():
        storage.put("input", name, body)
    storage.put("input", "behind.json", b'{"x": 21}')
    until(
        lambda: storage.read("output", "behind_out.json"), lambda body: body == b'{"double": 42}', "the good"
    )
    messages = until(storage.poison, lambda found: len(found) == len(poison), "the poison queue")
    assert {json.loads(message)["BlobName"] for message in messages} == set(poison)
    assert storage.names("output") == {"behind_out.json"}


def test_bytes_reach_the_model_as_they_are(
    server: RunningServer, group: str, sdk_home: Path, tmp_path: Path
) -> None:
    ws = Workspace("sub", "rg", "functions")
    made = make_package(
        ws,
        tmp_path,
        BYTES,
        trigger=BLOB_TRIGGER,
        input_path="pictures/{folder}/{name}.{kind}",
        output_path="results/{kind}/{name}",
    )
    storage = Storage(server, "bytestrigger")
    storage.containers("pictures")
    app = App(server, "bytes", storageAccount=storage.name)
    app.set(TriggerConnectionString=storage.connection)
    app.contain(made)
    try:
        picture = b"PNG!" + bytes(range(256))
        storage.put("pictures", "a/b/cat.png", picture)
        storage.put("pictures", "a/dog.bmp", b"BMP")
        storage.put("pictures", "nofolder.png", picture)
        until(lambda: storage.read("results", "png/cat"), lambda body: body == picture[::-1], "the output")
        (message,) = until(storage.poison, len, "a poison message")
        assert json.loads(message)["BlobName"] == "a/dog.bmp"
        assert storage.names("results") == {"png/cat"}
        logs = app.logs()
        assert "try 5 of 5 failed: run() answered with status 400: no picture" in logs
        assert "pictures/a/dog.bmp: given up, see the queue webjobs-blobtrigger-poison" in logs
    finally:
        remove(app)


def test_a_package_without_functions_is_no_function_app(
    app: App, server: RunningServer, sdk_home: Path, tmp_path: Path
) -> None:
    from sdk_support import inference_config, write_app

    write_app(tmp_path)
    ws = Workspace("sub", "rg", "functions")
    made = package(ws, [], inference_config(tmp_path), functions_enabled=False)
    made.wait_for_creation(show_output=False)
    assert "/package@sha256:" in made.location
    assert app.client.put(app.path, json={"storageAccount": Storage(server, "wrongjobs").name}).is_success
    app.contain(made)
    error = app.status("Failed")["error"]
    assert (error["phase"], error["code"]) == ("Pull", "FunctionMissing")
    assert "functions_enabled=True" in error["hint"]


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("functionApps/my_app", {}, "InvalidName"),
        ("functionApps/-myapp", {}, "InvalidName"),
        ("functionApps/app", {"plan": "absent"}, "PlanNotFound"),
        ("functionApps/app", {"image": "package:latest"}, "ImageReferenceInvalid"),
        ("serverFarms/my plan", {}, "InvalidName"),
        ("storageAccounts/triggerStorage", {}, "AccountNameInvalid"),
        ("storageAccounts/st", {}, "AccountNameInvalid"),
    ],
)
def test_names_that_azure_would_refuse(
    server: RunningServer, group: str, path: str, body: dict[str, str], code: str
) -> None:
    answer = server.client.put(f"{group}/{path}", json=body)
    error = answer.json()["error"]
    assert (answer.status_code // 100, error["code"]) == (4, code), answer.text
    assert error["hint"]


def test_a_group_must_be_there_first(server: RunningServer) -> None:
    answer = server.client.put(f"{GROUP}absent/functionApps/app", json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "ResourceGroupNotFound")
