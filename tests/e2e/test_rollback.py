"""Updates that are bad, and rollbacks, under constant load: no request fails, and it is told why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sdk_support import bare_environment, inference_config, register, write_app
from support import eventually

from azureml.core import Environment, Workspace
from azureml.core.model import InferenceConfig, Model
from azureml.core.webservice import AciWebservice, LocalWebservice, Webservice
from azureml.exceptions import WebserviceException

MOORING = str(Path(sys.executable).with_name("mooring"))
pytestmark = pytest.mark.usefixtures("sdk_home")


@pytest.fixture
def workspace(server: Any) -> Workspace:
    return Workspace.create("ws-rollback", subscription_id="sub", resource_group="rg", exist_ok=True)


@contextmanager
def load(url: str, allowed: set[Any]) -> Iterator[list[Any]]:
    """Four callers all the time; at the end each of their requests has had one of the allowed answers."""
    stop = threading.Event()
    answers: list[Any] = []

    def one(client: httpx.Client) -> Any:
        try:
            answer = client.post(url, json={"data": [1]})
        except httpx.TransportError as error:
            return repr(error)
        return answer.json()[0] if answer.status_code == 200 else answer.status_code

    def call() -> None:
        with httpx.Client(timeout=60) as client:
            while not stop.is_set():
                answers.append(one(client))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield answers
        seen = len(answers)
        eventually(lambda: len(answers) > seen + 20, "callers go on")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(answers) <= allowed, set(answers) - allowed


def deploy(workspace: Workspace, folder: Path, name: str) -> Webservice:
    write_app(folder, weight=1)
    config = AciWebservice.deploy_configuration()
    model = register(workspace, folder, name)
    service = Model.deploy(workspace, name, [model], inference_config(folder), config, overwrite=True)
    service.wait_for_deployment()
    return service


def update(service: Webservice, folder: Path, weight: float) -> None:
    write_app(folder, weight=weight)
    model = register(service.workspace, folder, service.name)
    service.update(models=[model], inference_config=inference_config(folder))
    service.wait_for_deployment()


def test_rollbacks_under_load_lose_nothing(workspace: Workspace, tmp_path: Path) -> None:
    service = deploy(workspace, tmp_path, "roll-load")
    url = service.scoring_uri
    with load(url, {1.0, 2.0, 3.0}) as answers:
        update(service, tmp_path, 2)
        update(service, tmp_path, 3)
        service.rollback()
        assert service.state == "Transitioning"
        service.wait_for_deployment(show_output=True)
        eventually(lambda: answers[-1] == 2.0, "the second answers")
        service.rollback()
        service.wait_for_deployment()
        eventually(lambda: answers[-1] == 1.0, "the first answers")
        with pytest.raises(WebserviceException) as caught:
            service.rollback()
        assert caught.value.code == "NoPreviousRevision"
        service.rollback(revision=3)
        service.wait_for_deployment()
        eventually(lambda: answers[-1] == 3.0, "the third answers")
    assert len(answers) > 100
    assert service.scoring_uri == url
    assert [(r["revision"], r["state"]) for r in service.revisions] == [
        (3, "Active"),
        (2, "Withdrawn"),
        (1, "Good"),
    ]
    service.delete()


def workers(service: Webservice, revision: str) -> list[int]:
    """Process ids; those of another revision may still be draining."""
    return [w["pid"] for w in service.deployment_status["workers"] if w["revision"] == revision]


def test_no_new_workers_when_nothing_differs(workspace: Workspace, tmp_path: Path) -> None:
    service = deploy(workspace, tmp_path, "roll-same")
    update(service, tmp_path, 2)
    before = workers(service, "2")
    assert before
    service.rollback(revision=2)
    service.wait_for_deployment()
    assert workers(service, "2") == before
    service.delete()


RAISES = "def init():\n    raise RuntimeError('no good')\ndef run(data):\n    return data\n"


def bad_script(workspace: Workspace, folder: Path) -> dict[str, Any]:
    write_app(folder, score=RAISES)
    return {"inference_config": inference_config(folder)}


def bad_model(workspace: Workspace, folder: Path) -> dict[str, Any]:
    (folder / "model.txt").write_text("not a number")
    return {
        "models": [register(workspace, folder, "bad-model")],
        "inference_config": inference_config(folder),
    }


def bad_image(workspace: Workspace, folder: Path) -> dict[str, Any]:
    environment = Environment("unbuildable")
    environment.python.conda_dependencies = bare_environment().python.conda_dependencies
    environment.python.conda_dependencies.add_pip_package("mooring-no-such-package==9.9")
    write_app(folder)
    config = InferenceConfig("score.py", source_directory=str(folder / "app"), environment=environment)
    return {"inference_config": config}


@pytest.mark.parametrize(
    ("bad", "phase", "word"),
    [
        (bad_script, "Init", "no good"),
        (bad_model, "Init", "could not convert"),
        (bad_image, "Resolve", "mooring-no-such-package"),
    ],
)
def test_what_is_bad_never_replaces_what_is_good(
    workspace: Workspace, tmp_path: Path, bad: Any, phase: str, word: str
) -> None:
    service = deploy(workspace, tmp_path, bad.__name__.replace("_", "-"))
    image = service.image_id
    with load(service.scoring_uri, {1.0}):
        service.update(**bad(workspace, tmp_path))
        with pytest.raises(WebserviceException):
            service.wait_for_deployment()
        service.update_deployment_state()
        assert service.error["phase"] == phase
        assert word in json.dumps(service.error)
        eventually(lambda: service.update_deployment_state() or service.state == "Healthy", "healthy")
        assert service.image_id == image
        assert [(r["revision"], r["state"]) for r in service.revisions] == [(1, "Active")]
    # The reason stays until something works again.
    service.update_deployment_state()
    assert service.error["phase"] == phase
    service.delete()


def test_by_the_command_line_and_for_local_services(
    workspace: Workspace, tmp_path: Path, sdk_home: Path
) -> None:
    write_app(tmp_path, weight=1)
    model = register(workspace, tmp_path, "roll-local")
    config = LocalWebservice.deploy_configuration()
    service = Model.deploy(
        workspace, "roll-local", [model], inference_config(tmp_path), config, overwrite=True
    )
    service.wait_for_deployment()
    write_app(tmp_path, weight=5)
    model = register(workspace, tmp_path, "roll-local")
    service.update(models=[model])
    service.wait_for_deployment()
    assert service.run('{"data": [1]}') == [5.0]

    def mooring(*arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        options = ["-n", "roll-local", "-w", workspace.name, "-g", "rg", "--subscription-id", "sub"]
        done = subprocess.run(
            [MOORING, "service", *arguments, *options],
            env={**os.environ, "MOORING_HOME": str(sdk_home)},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done

    assert "Would return" in mooring("rollback", "--dry-run").stderr
    shown = json.loads(mooring("rollback", "-o", "json").stdout)
    assert [(r["revision"], r["state"]) for r in shown["revisions"]] == [(2, "Withdrawn"), (1, "Active")]
    assert service.run('{"data": [1]}') == [1.0]
    assert "1  Active" in mooring("show", "-o", "table").stdout
    assert "NoPreviousRevision" in mooring("rollback", status=1).stderr
    assert "RevisionNotFound" in mooring("rollback", "--revision", "7", status=1).stderr
    service.delete()
