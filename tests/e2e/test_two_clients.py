"""Two processes with the SDK at once: of different names, and of the same ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from crashing import assert_settled
from support import WS, RunningServer, kill_all

# Registers, deploys, updates and deletes, a few times. What the other one of the same name may have done in between
# is told by an orderly error, and by nothing else.
SCRIPT = """
import sys
from pathlib import Path
from azureml.core import Environment, Model, Workspace
from azureml.core.model import InferenceConfig
from azureml.exceptions import WebserviceException
ORDERLY = {
    "ServiceExists", "ServiceDeleting", "WebserviceNotFound", "Superseded", "OperationNotFound", "ModelInUse",
}
name, me, rounds, alone = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "alone"
ws = Workspace.get("ws", subscription_id="sub", resource_group="rg")
code = Path(me)
code.mkdir()
(code / "score.py").write_text(f"def init(): pass\\ndef run(data): return {me!r}\\n")
versions, told = [], []

def attempt(step):
    try:
        return step()
    except WebserviceException as error:
        told.append(error.code)
        if alone or error.code not in ORDERLY:
            raise
        return None

def config(comment):
    (code / "score.py").write_text(f"def init(): pass\\ndef run(data): return {me!r}\\n# {comment}\\n")
    environment = Environment("plain")
    environment.python.conda_dependencies.set_python_version("%d.%d" % sys.version_info[:2])
    return InferenceConfig(entry_script="score.py", source_directory=str(code), environment=environment)

def deploy(number):
    service = Model.deploy(ws, name, [model], config(f"{number} first"), overwrite=not alone)
    service.wait_for_deployment(show_output=False)
    return service

for number in range(rounds):
    Path(f"{me}.bin").write_text(f"{me} {number}")
    model = Model.register(ws, f"{me}.bin", "shared")
    versions.append(model.version)
    service = attempt(lambda: deploy(number))
    if service is None:
        continue
    if alone:
        assert me in str(service.run("1")), service.run("1")

    def update():
        service.update(inference_config=config(f"{number} second"), models=[model])
        service.wait_for_deployment(show_output=False)
    attempt(update)
    attempt(service.delete)
print("versions", *versions)
print("told", *told)
"""


def run_two(server: RunningServer, folder: Path, names: list[str], rounds: int) -> list[str]:
    alone = "alone" if len(set(names)) == len(names) else "together"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, name, f"client-{index}", str(rounds), alone],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index, name in enumerate(names)
    ]
    printed = []
    for process in processes:
        output, errors = process.communicate(timeout=280)
        assert process.returncode == 0, (
            f"{output}\n{errors}\n{(server.home / 'output.log').read_text()[-3000:]}"
        )
        printed.append(output)
    return printed


@pytest.mark.parametrize("names", [("first", "second"), ("same", "same")], ids=["different", "same"])
def test_two_at_once(
    own_server: RunningServer, tmp_path: Path, names: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOORING_HOME", str(own_server.home))
    monkeypatch.delenv("MOORING_ENDPOINT", raising=False)
    try:
        printed = run_two(own_server, tmp_path, list(names), rounds=2)
        versions = [int(v) for text in printed for v in text.partition("versions")[2].splitlines()[0].split()]
        assert sorted(versions) == [1, 2, 3, 4]  # each exactly once
        assert_settled(own_server, deep=True)
        left = own_server.client.get(f"{WS}/services").json()["value"]
        assert len(left) <= (1 if len(set(names)) == 1 else 0), left
    finally:
        if own_server.process is None:
            kill_all(own_server.home)
