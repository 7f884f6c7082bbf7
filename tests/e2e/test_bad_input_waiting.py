"""Two who want the same name at once, and those who stop waiting."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from bad_input import BASE, NAME, WHERE, Desk
from support import RunningServer, eventually

from azureml.core.model import InferenceConfig, Model
from azureml.exceptions import WebserviceException

PYTHON = "{}.{}".format(*sys.version_info[:2])
MOORING = str(Path(sys.executable).with_name("mooring"))
SCORE = "def init():\n    pass\ndef run(data):\n    return data\n"
SCRIPT = f"""
import sys
from azureml.core import Workspace
from azureml.core.model import InferenceConfig, Model
from azureml.exceptions import WebserviceException
ws = Workspace("sub", "rg", {NAME!r})
config = InferenceConfig("score.py", runtime="python", conda_file="myenv.yml")
models = [Model.register(ws, "weights.txt", "waiting")]
print("ready", flush=True)
sys.stdin.readline()
try:
    service = Model.deploy(ws, sys.argv[1], models, config)
except WebserviceException as error:
    print(error.code)
else:
    service.wait_for_deployment(show_output=True)
    print(service.state)
"""


@pytest.fixture
def desk(server: RunningServer, sdk_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "score.py").write_text(SCORE)
    (tmp_path / "weights.txt").write_text("1")
    (tmp_path / "myenv.yml").write_text(f"dependencies:\n- python={PYTHON}\n")
    (tmp_path / "script.py").write_text(SCRIPT)
    return Desk(server, tmp_path)


def start(desk: Desk, *command: str) -> subprocess.Popen[str]:
    """A process that takes Ctrl+C as one in the foreground does, however these tests were started."""
    return subprocess.Popen(
        command,
        cwd=desk.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


def one_winner(desk: Desk, name: str, codes: list[str]) -> None:
    """One service that works, with one directory and one supervisor."""
    assert sorted(codes) == ["Healthy", *["ServiceExists"] * (len(codes) - 1)]
    view = desk.server.client.get(f"{BASE}/services/{name}").json()
    assert (view["state"], view["revision"]) == ("Healthy", 1)
    operation = desk.server.client.get(f"{BASE}/operations/{view['operationId']}").json()
    assert (operation["operationType"], operation["state"]) == ("CreateService", "Succeeded")
    directories = list((desk.server.home / "services").iterdir())
    supervised = [
        json.loads((place / "spec.json").read_text())["service"]
        for place in directories
        if (place / "spec.json").exists()
    ]
    assert supervised.count(name) == 1


def test_threads_that_deploy_one_name_at_once(desk: Desk) -> None:
    before = desk.state()
    (desk.folder / "score.py").write_text(SCORE)
    model = Model.register(desk.ws, "weights.txt", "racing")
    barrier = threading.Barrier(6)
    codes: list[str] = []

    def deploy() -> None:
        config = InferenceConfig("score.py", runtime="python", conda_file="myenv.yml")
        barrier.wait(60)
        try:
            service = Model.deploy(desk.ws, "race-threads", [model], config)
            service.wait_for_deployment()
            codes.append(str(service.state))
        except WebserviceException as error:
            codes.append(error.code)

    threads = [threading.Thread(target=deploy) for _ in range(barrier.parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    one_winner(desk, "race-threads", codes)
    desk.drop("race-threads")
    model.delete()
    desk.unchanged(before)


def test_processes_that_deploy_one_name_at_once(desk: Desk) -> None:
    processes = [start(desk, sys.executable, "script.py", "race-processes") for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        while (line := process.stdout.readline()) != "ready\n":
            assert line, process.communicate()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    codes = []
    for process in processes:
        output, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
        codes.append(output.splitlines()[-1])
    one_winner(desk, "race-processes", codes)
    desk.drop("race-processes")


def gated(desk: Desk) -> Path:
    """An `init()` that waits for a file."""
    gate = desk.gate
    wait = f"    while not os.path.exists({str(gate)!r}):\n        time.sleep(0.05)\n"
    (desk.folder / "score.py").write_text("import os, time\n" + SCORE.replace("    pass\n", wait))
    return gate


def await_output(process: subprocess.Popen[str], text: str) -> None:
    """Until a process has written this text to its standard output."""
    assert process.stdout is not None
    seen = b""
    while text.encode() not in seen:
        piece = os.read(process.stdout.fileno(), 4096)
        assert piece, (seen, process.communicate())
        seen += piece


def interrupted(desk: Desk, process: subprocess.Popen[str], name: str) -> tuple[str, str]:
    """Ctrl+C while ``init()`` runs; the operation must go on."""

    def in_init() -> Any:
        assert process.poll() is None, process.communicate()
        view = desk.server.client.get(f"{BASE}/services/{name}")
        if view.status_code != 200:
            return None
        operation = desk.server.client.get(f"{BASE}/operations/{view.json()['operationId']}").json()
        return operation if operation["phases"][-1]["state"] == "Running" else None

    operation = eventually(in_init, "init() runs")
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    after = desk.server.client.get(f"{BASE}/operations/{operation['id']}").json()
    assert after["state"] == "Running"
    desk.gate.touch()
    assert desk.server.wait({"operationId": operation["id"]}, BASE)["state"] == "Succeeded"
    desk.drop(name)
    return output, errors


def test_ctrl_c_in_a_script(desk: Desk) -> None:
    gated(desk)
    process = start(desk, sys.executable, "script.py", "ctrl-c-script")
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    # Before that it may still be in `deploy()`, where Ctrl+C is an ordinary KeyboardInterrupt.
    await_output(process, "Init ...")
    _output, errors = interrupted(desk, process, "ctrl-c-script")
    assert process.returncode in {-signal.SIGINT, 130}
    assert "the operation goes on in the server" in errors
    assert "mooring service show -n ctrl-c-script" in errors


@pytest.mark.parametrize("output", ["table", "json"])
def test_ctrl_c_on_the_command_line(desk: Desk, output: str) -> None:
    gated(desk)
    model = Model.register(desk.ws, "weights.txt", "waiting")
    name = f"ctrl-c-{output}"
    process = start(
        desk,
        *(MOORING, "model", "deploy", "-n", name, "-m", model.id, "--entry-script", "score.py"),
        *("--runtime", "python", "--conda-file", "myenv.yml", "--output", output, *WHERE),
    )
    shown, errors = interrupted(desk, process, name)
    assert process.returncode == 130, errors
    assert not shown
    if output == "json":
        error = json.loads(errors[errors.index("{") :])["error"]
        assert error["code"] == "WaitStopped"
        assert error["hint"] == f"Look at it with: mooring service show -n {name}"
    else:
        assert f"Deploying {name} goes on in the server" in errors
        assert f"What to do: Look at it with: mooring service show -n {name}" in errors
    assert "Traceback" not in errors
