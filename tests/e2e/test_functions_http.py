"""HTTP functions and the life of a function app: what it lacks, its keys, its settings, stop and start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from functions_support import GROUP, App, Storage, make_package, until
from support import RunningServer

from azureml.contrib.functions import HTTP_TRIGGER
from azureml.core import Workspace
from azureml.exceptions import WebserviceException

SCORE = """
import os


def init():
    pass


def run(data):
    if data == "bad":
        raise ValueError("bad data")
    secret = "DOCKER_REGISTRY_SERVER_PASSWORD" in os.environ
    return {"data": data, "setting": os.environ.get("MY_SETTING"), "password": secret}
"""


@pytest.fixture
def made(sdk_home: Path, server: RunningServer, tmp_path: Path) -> Any:
    server.client.put(GROUP, json={"location": "West Europe"})
    ws = Workspace("sub", "rg", "functions")
    return make_package(ws, tmp_path / "http", SCORE, trigger=HTTP_TRIGGER)


@pytest.fixture
def app(made: Any, server: RunningServer) -> Iterator[App]:
    app = App(server, "httpapp", storageAccount=Storage(server, "webjobs2").name)
    yield app
    app.client.delete(app.path)
    until(lambda: app.client.get(app.path).status_code, lambda status: status == 404, "the app's end")


def test_an_http_function_from_nothing_to_its_end(app: App, made: Any) -> None:
    lacking = {entry["name"] for entry in app.status("Inactive")["missing"]}
    assert lacking == {"image", "DOCKER_REGISTRY_SERVER_USERNAME", "DOCKER_REGISTRY_SERVER_PASSWORD"}
    wrong = {
        "image": made.location,
        "registryUsername": made.get_container_registry().username,
        "registryPassword": "wrong",
    }
    app.client.put(f"{app.path}/container", json=wrong)
    assert app.status("Failed")["error"]["code"] == "RegistryCredentialsWrong"
    app.contain(made)
    shown = app.status("Running")
    assert shown["missing"] == []
    assert shown["error"] is None
    keys = app.client.post(f"{app.path}/listkeys").json()
    with httpx.Client(base_url=shown["url"], timeout=60) as caller:
        until(lambda: caller.post("/api/score").status_code, lambda status: status == 401, "the route")
        assert caller.post("/api/score", params={"code": "wrong"}).status_code == 401
        answer = caller.post("/api/score", params={"code": keys["functionKeys"]["default"]}, content="x")
        assert answer.json() == {"data": "x", "setting": None, "password": False}
        master = {"x-functions-key": keys["masterKey"]}
        assert caller.post("/api/score", headers=master, content="bad").status_code == 500
        assert caller.put("/api/score", headers=master).status_code == 404
        assert caller.post("/score", headers=master).status_code == 404
        default = {"x-functions-key": keys["functionKeys"]["default"]}
        assert caller.get("/admin/host/status", headers=default).status_code == 401
        status = caller.get("/admin/host/status", headers=master).json()
        assert (status["id"], status["state"]) == ("httpapp", "Running")
        assert status["functions"]["score"]["type"] == "httpTrigger"
        app.set(MY_SETTING="new")
        changed = until(
            lambda: caller.post("/api/score", headers=master).json(),
            lambda said: said["setting"],
            "the setting",
        )
        assert changed["setting"] == "new"
    assert "ValueError: bad data" in app.logs()
    app.client.post(f"{app.path}/stop")
    assert app.status("Stopped")["state"] == "Stopped"
    app.client.post(f"{app.path}/start")
    app.status("Running")


def test_bad_packages_are_refused_before_anything_is_built(sdk_home: Path, tmp_path: Path) -> None:
    ws = Workspace("sub", "rg", "functions")
    for options, text in (
        ({"trigger": "timer"}, "Invalid trigger timer, valid options are"),
        ({"trigger": HTTP_TRIGGER, "input_path": "x"}, "Invalid option input_path for trigger http"),
        ({"trigger": "blob", "output_path": "input/{blobname}.json"}, "would be an input again"),
    ):
        with pytest.raises(WebserviceException, match=text):
            make_package(ws, tmp_path, **options)
