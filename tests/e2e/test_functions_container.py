"""Function apps whose workers run in a container, on a real engine: the host is outside, the model inside."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import httpx
import pytest
from engines import podman
from functions_support import GROUP, App, Storage, make_package, until
from test_containers import serving
from test_functions_blob import front_of

from azureml.contrib.functions import BLOB_TRIGGER, HTTP_TRIGGER
from azureml.core import Workspace
from mooring_runtime.engine.client import Engine

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

WHERE = """
import os


def init():
    pass


def run(data):
    if data == b"bad" or data == "bad":
        raise ValueError("bad data")
    return {"data": data, "user": os.getuid(), "site": os.path.exists("/home/site/wwwroot/host.json")}
"""


def test_functions_in_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("mmdebstrap") is None:
        pytest.skip("mmdebstrap, which builds the base image, is not installed")
    with podman(tmp_path) as engine, serving(tmp_path, Engine(engine.socket)) as place:
        server = place.server
        monkeypatch.setenv("MOORING_HOME", str(server.home))
        server.client.put(GROUP, json={"location": "local"})
        ws = Workspace("sub", "rg", "ws")
        storage = Storage(server, "containerstorage")
        storage.containers("input")

        app = App(server, "contained", storageAccount=storage.name)
        app.contain(make_package(ws, tmp_path / "http", WHERE, trigger=HTTP_TRIGGER))
        shown = app.status("Running", "Failed")
        assert (shown["status"], shown["error"]) == ("Running", None)
        assert len(place.containers("contained")) == 1
        master = {"x-functions-key": app.client.post(f"{app.path}/listkeys").json()["masterKey"]}
        with httpx.Client(base_url=shown["url"], timeout=60) as caller:
            answer = until(
                lambda: caller.post("/api/score", headers=master, content="x"),
                lambda answer: answer.status_code == 200,
                "the answer",
            )
        assert answer.json() == {"data": "x", "user": 10001, "site": True}

        # A new image, with another trigger, upon the same name.
        app.set(TriggerConnectionString=storage.connection)
        app.contain(make_package(ws, tmp_path / "blob", WHERE, trigger=BLOB_TRIGGER))
        storage.put("input", "a.json", b"y")
        storage.put("input", "bad.json", b"bad")
        body = until(lambda: storage.read("output", "a_out.json"), bool, "the output")
        assert json.loads(body or b"")["data"] == "y"
        (message,) = until(storage.poison, len, "a poison message")
        assert json.loads(message)["BlobName"] == "bad.json"
        os.kill(front_of(server.home, "contained"), signal.SIGKILL)
        storage.put("input", "b.json", b"z")
        until(lambda: storage.read("output", "b_out.json"), bool, "the output after the host was killed")
        app.client.delete(app.path)
        app.status("Gone")
