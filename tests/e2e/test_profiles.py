"""Model.profile against a real server: the user's requests, the real image, and what it used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sdk_support import bare_environment, register, write_app
from support import WS, RunningServer, eventually

from azureml.core import Workspace
from azureml.core.model import InferenceConfig, Model
from azureml.core.profile import ModelProfile
from azureml.exceptions import WebserviceException

BUSY = """
import json
import time

ballast = []


def init():
    ballast.append(bytearray(b"x" * (120 << 20)))
    print("loaded")


def run(data):
    asked = json.loads(data)
    if asked == "wrong":
        raise ValueError("this is no request of mine")
    if asked == "more":
        ballast.append(bytearray(b"x" * (600 << 20)))
    end = time.process_time() + 0.02
    while time.process_time() < end:
        pass
    return asked
"""


class Column:
    """As much of a table with one column as pandas shows."""

    def __init__(self, values: list[str]) -> None:
        self.columns = ["requests"]
        self.iloc = self
        self._values = values

    def __getitem__(self, _: object) -> Column:
        return self

    def tolist(self) -> list[str]:
        return self._values

    def to_pandas_dataframe(self) -> Column:
        return self


def config(tmp_path: Path, script: str = BUSY) -> InferenceConfig:
    (tmp_path / "busy").mkdir(exist_ok=True)
    (tmp_path / "busy" / "score.py").write_text(script)
    return InferenceConfig(
        "score.py", source_directory=str(tmp_path / "busy"), environment=bare_environment()
    )


@pytest.fixture
def ws(sdk_home: Path) -> Workspace:
    return Workspace("sub", "rg", "ws")


def left(server: RunningServer) -> set[str]:
    """What runs, for a profile or as a service, and the images of profiles."""
    running = {folder.name for folder in (server.home / "services").glob("[0-9a-f]*")}
    images = (image["name"] for image in server.client.get(f"{WS}/images").json()["value"])
    return running | {name for name in images if name.startswith("profile-")}


@pytest.mark.azureml("Model.profile")
def test_what_it_uses_is_measured_and_recommended(
    server: RunningServer, ws: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = left(server)
    write_app(tmp_path)
    model = register(ws, tmp_path, "profiled")
    rows = [json.dumps({"data": [n]}) for n in range(7)] + ['"wrong"']
    profile = Model.profile(
        ws, "busy", [model], config(tmp_path), Column(rows), cpu=1.0, memory_in_gb=1.0, description="mine"
    )
    profile.wait_for_completion(show_output=True)
    assert profile.state == "Succeeded"
    shown = capsys.readouterr().out
    assert "Measure ..." in shown
    assert "recommended: cpu_cores=" in shown
    found: dict[str, Any] = ModelProfile(ws, "busy").get_details()
    assert (found["name"], found["description"], found["state"]) == ("busy", "mine", "Succeeded")
    assert (found["requestedCpu"], found["requestedMemoryInGB"]) == (1.0, 1.0)
    assert found["totalQueries"] >= 8
    assert 80 <= found["successRate"] < 100  # one of eight is wrong
    assert found["latencyPercentile50InMs"] >= 20  # what the script takes of a processor
    assert found["latencyPercentile50InMs"] <= found["latencyPercentile99InMs"]
    assert found["maxUtilizedCpu"] > 0
    assert 0.12 <= found["maxUtilizedMemoryInGB"] < 0.5
    assert found["maxUtilizedMemoryInGB"] < found["recommendedMemoryInGB"] <= 0.6
    assert 0.1 <= found["recommendedCpu"] <= 1.0
    assert profile.serialize()["workspaceName"] == "ws"
    assert left(server) <= before


def test_what_cannot_be_measured_is_told(server: RunningServer, ws: Workspace, tmp_path: Path) -> None:
    def failed(*texts: str, script: str = BUSY) -> WebserviceException:
        profile = Model.profile(
            ws, "failing", [], config(tmp_path, script), list(texts), cpu=1, memory_in_gb=0.4
        )
        with pytest.raises(WebserviceException) as caught:
            profile.wait_for_completion()
        assert profile.state == "Failed"
        assert profile.get_details()["error"]["code"]
        assert left(server) <= before
        return caught.value

    before = left(server)
    wrong = failed('"wrong"')
    assert wrong.code == "ProfileFailed"
    assert "None of the" in wrong.message
    broken = failed("1", script="def init():\n    raise OSError('no weights')\ndef run(data):\n    pass\n")
    assert broken.code == "InitRaised"
    larger = failed('"more"')
    assert larger.code == "OutOfMemory"
    with pytest.raises(WebserviceException, match="ProfileNotFound"):
        ModelProfile(ws, "nobody")
    for given, why in (([], "empty"), ([1], "row 0 is int"), (7, "it is int")):
        with pytest.raises(WebserviceException, match=why):
            Model.profile(ws, "none", [], config(tmp_path), given)
    with pytest.raises(WebserviceException, match=r"between 0\.1 and 3\.5"):
        Model.profile(ws, "none", [], config(tmp_path), ["1"], cpu=4)


@pytest.mark.full
def test_one_that_was_cut_short_is_made_again(own_server: RunningServer) -> None:
    script = b"import time\ndef init():\n    pass\ndef run(data):\n    time.sleep(0.05)\n    return 1\n"
    inputs = own_server.upload(json.dumps(["1"]).encode())
    body = {"name": "again", "inputs": inputs, "imageRequest": own_server.request(script)}
    view = own_server.client.post(f"{WS}/profiles", json=body).json()
    assert own_server.client.post(f"{WS}/profiles", json=body).json()["error"]["code"] == "ProfileExists"
    base = f"{WS}/operations/{view['operationId']}"
    eventually(
        lambda: any(
            phase["name"] == "Measure" and phase["state"] == "Running"
            for phase in own_server.client.get(base).json()["phases"]
        ),
        "it is measured",
    )
    own_server.kill()
    own_server.start()
    assert own_server.wait(view)["state"] == "Succeeded"
    assert own_server.client.get(f"{WS}/profiles/again").json()["result"]["successRate"] == 100
    assert own_server.client.delete(f"{WS}/profiles/again").status_code == 204
    assert own_server.client.get(f"{WS}/profiles").json()["value"] == []


@pytest.mark.full
def test_one_that_is_deleted_ends(own_server: RunningServer) -> None:
    script = b"import time\ndef init():\n    time.sleep(30000)\ndef run(data):\n    return 1\n"
    inputs = own_server.upload(json.dumps(["1"]).encode())
    body = {"name": "gone", "inputs": inputs, "imageRequest": own_server.request(script)}
    view = own_server.client.post(f"{WS}/profiles", json=body).json()
    base = f"{WS}/operations/{view['operationId']}"
    eventually(
        lambda: any(
            phase["name"] == "Init" and phase["state"] == "Running"
            for phase in own_server.client.get(base).json()["phases"]
        ),
        "init() runs",
    )
    assert own_server.client.delete(f"{WS}/profiles/gone").status_code == 204
    assert own_server.wait(view)["state"] == "Cancelled"
    eventually(lambda: not left(own_server), "nothing is left")
