"""The command as users run it: a process of its own, against a real server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import RunningServer

MOORING = str(Path(sys.executable).with_name("mooring"))
WORKSPACE = ["-w", "cli", "-g", "rg", "--subscription-id", "sub"]
SCORE = """
import json, os
def init():
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.txt")) as file:
        global factor
        factor = float(file.read())
    print("factor", factor, flush=True)
def run(body):
    return [factor * number for number in json.loads(body)["data"]]
"""
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "score.py").write_text(SCORE)
    (tmp_path / "model.txt").write_text("2")
    python = "{}.{}".format(*sys.version_info[:2])
    (tmp_path / "myenv.yml").write_text(f"dependencies:\n- python={python}\n")
    (tmp_path / "inferenceconfig.json").write_text(
        json.dumps({"entryScript": "score.py", "runtime": "python", "condaFile": "myenv.yml"})
    )
    (tmp_path / "deploymentconfig.json").write_text(
        json.dumps(
            {
                "computeType": "aci",
                "authEnabled": True,
                "containerResourceRequirements": {"cpu": 1, "memoryInGB": 1},
            }
        )
    )
    return tmp_path


@pytest.fixture
def mooring(project: Path, server: RunningServer, sdk_home: Path) -> Run:
    base = "/mooring/v1/subscriptions/sub/resourceGroups/rg/workspaces/cli"
    assert server.client.put(base, json={"existOk": True}).status_code in {200, 201}

    def run(*arguments: str, status: int = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [MOORING, *arguments, *WORKSPACE],
            cwd=project,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
            input=stdin,
        )
        assert done.returncode == status, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done

    return run


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


def test_register_deploy_score_update_delete(mooring: Run, project: Path) -> None:
    registered = mooring(
        "model", "register", "-n", "factor", "-p", "model.txt", "--tag", "kind=toy", "-t", "model.json"
    )
    model = answer(registered)
    assert model["tags"] == {"kind": "toy"}
    assert json.loads((project / "model.json").read_text()) == {"modelId": model["id"]}

    deployed = mooring(
        "model", "deploy", "-n", "times", "-f", "model.json", "--ic", "inferenceconfig.json",
        "--dc", "deploymentconfig.json",
    )  # fmt: skip
    service = answer(deployed)
    assert service["state"] == "Healthy"
    assert "Init" in deployed.stderr
    assert " s" in deployed.stderr
    assert "\x1b" not in deployed.stderr

    assert answer(mooring("service", "run", "-n", "times", "-d", '{"data": [1, 2]}')) == [2, 4]
    assert answer(mooring("service", "run", "-n", "times", "-d", "-", stdin='{"data": [3]}')) == [6]
    (project / "data.json").write_text('{"data": [4]}')
    assert answer(mooring("service", "run", "-n", "times", "-d", "@data.json")) == [8]
    assert "factor 2.0" in mooring("service", "get-logs", "-n", "times", "-l", "50").stdout

    keys = answer(mooring("service", "get-keys", "-n", "times"))
    assert set(keys) == {"primaryKey", "secondaryKey"}
    changed = answer(mooring("service", "regen-key", "-n", "times", "-k", "secondary"))
    assert changed["primaryKey"] == keys["primaryKey"]
    assert changed["secondaryKey"] != keys["secondaryKey"]

    (project / "model.txt").write_text("10")
    second = answer(mooring("model", "register", "-n", "factor", "-p", "model.txt"))
    arguments = ("-m", second["id"], "--ic", "inferenceconfig.json", "--add-tag", "stage=test")
    updated = answer(mooring("service", "update", "-n", "times", *arguments))
    assert updated["state"] == "Healthy"
    assert updated["tags"]["stage"] == "test"
    assert answer(mooring("service", "run", "-n", "times", "-d", '{"data": [1]}')) == [10]
    assert answer(mooring("service", "get-keys", "-n", "times")) == changed
    assert answer(mooring("service", "show", "-n", "times"))["scoringUri"] == service["scoringUri"]

    listed = mooring("service", "list", "-o", "table").stdout.splitlines()
    assert listed[0].split() == ["NAME", "STATE", "TYPE", "MODELS", "URL"]
    assert any(line.split()[:2] == ["times", "Healthy"] for line in listed)
    refused = mooring("model", "delete", "-i", second["id"], "--yes", "-o", "json", status=1)
    assert json.loads(refused.stderr)["error"]["code"] == "ModelInUse"

    assert "times" in mooring("service", "delete", "-n", "times", "--dry-run").stderr
    mooring("service", "delete", "-n", "times", status=1)
    mooring("service", "delete", "-n", "times", "--yes")
    gone = mooring("service", "show", "-n", "times", "-o", "json", status=1)
    assert json.loads(gone.stderr)["error"]["code"] == "WebserviceNotFound"


def test_a_failing_init_is_told_with_its_traceback(mooring: Run, project: Path) -> None:
    (project / "score.py").write_text(
        "def init():\n    raise ValueError('no factor')\ndef run(x):\n    return x\n"
    )
    model = answer(mooring("model", "register", "-n", "broken", "-p", "model.txt"))
    arguments = (
        "model",
        "deploy",
        "-n",
        "broken",
        "-m",
        model["id"],
        "--ic",
        "inferenceconfig.json",
        "--overwrite",
    )
    failed = mooring(*arguments, status=1)
    assert failed.stderr.count("Traceback") >= 1
    assert "ValueError: no factor" in failed.stderr
    error = json.loads(mooring(*arguments, "-o", "json", status=1).stderr)["error"]
    assert (error["code"], error["phase"]) == ("InitRaised", "Init")
    assert error["hint"]
    shown = mooring("service", "show", "-n", "broken", "-o", "table").stdout
    assert "InitRaised" in shown
    mooring("service", "delete", "-n", "broken", "--yes")


def test_local_services_have_a_place_of_their_own(mooring: Run, project: Path) -> None:
    (project / "local.yml").write_text("computeType: local\n")
    model = answer(mooring("model", "register", "-n", "factor", "-p", "model.txt"))
    service = answer(
        mooring(
            "model",
            "deploy",
            "-n",
            "here",
            "-m",
            model["id"],
            "--ic",
            "inferenceconfig.json",
            "--dc",
            "local.yml",
        )
    )
    assert service["computeType"] == "LOCAL"
    assert answer(mooring("service", "run", "-n", "here", "-d", '{"data": [1]}')) == [2]
    assert "here" in [row["name"] for row in answer(mooring("service", "list", "--compute-type", "local"))]
    mooring("service", "delete", "-n", "here", "--yes")


def test_environments_and_images(mooring: Run, project: Path) -> None:
    first = answer(mooring("environment", "register", "-n", "bare", "--conda-file", "myenv.yml"))
    again = answer(mooring("environment", "register", "-n", "bare", "--conda-file", "myenv.yml"))
    assert first["version"] == again["version"]
    assert "bare" in [row["name"] for row in answer(mooring("environment", "list"))]
    mooring("environment", "download", "-n", "bare", "-d", "bare")
    assert answer(mooring("environment", "register", "-d", "bare"))["version"] == first["version"]
    model = answer(mooring("model", "register", "-n", "factor", "-p", "model.txt"))
    service = answer(
        mooring(
            "model",
            "deploy",
            "-n",
            "with-env",
            "-m",
            model["id"],
            "--es",
            "score.py",
            "-e",
            "bare",
            "--overwrite",
        )
    )
    image = answer(mooring("image", "show", "-i", service["imageId"]))
    assert image["imageDigest"].startswith("sha256:")
    assert "Built sha256:" in mooring("image", "log", "-i", image["id"]).stdout
    mooring("service", "delete", "-n", "with-env", "--yes")


def test_models(mooring: Run, project: Path) -> None:
    (project / "folder").mkdir()
    (project / "folder" / "a.txt").write_text("a")
    model = answer(mooring("model", "register", "-n", "folder", "-p", "folder", "--property", "origin=test"))
    assert model["properties"] == {"origin": "test"}
    shown = answer(mooring("model", "show", "-n", "folder"))
    assert [file["path"] for file in shown["files"]] == ["folder/a.txt"]
    mooring("model", "update", "-i", model["id"], "--add-tag", "k=v", "--description", "two words")
    found = answer(mooring("model", "list", "--tag", "k=v"))
    assert [row["description"] for row in found] == ["two words"]
    path = Path(answer(mooring("model", "download", "-i", model["id"], "-t", "there"))["path"])
    assert (project / path / "a.txt").read_text() == "a"
    mooring("model", "delete", "-i", model["id"], "--yes")
    mooring("model", "show", "-i", model["id"], status=1)


def test_workspaces(mooring: Run, project: Path) -> None:
    details = answer(mooring("workspace", "show", "--write-config"))
    assert details["name"] == "cli"
    config = json.loads((project / ".azureml" / "config.json").read_text())
    assert config["workspace_name"] == "cli"
    assert "cli" in [row["name"] for row in answer(mooring("workspace", "list"))]
    again = mooring("workspace", "create", "-o", "json", status=1)
    assert json.loads(again.stderr)["error"]["code"] == "WorkspaceExists"
    mooring("workspace", "create", "--exist-ok")
