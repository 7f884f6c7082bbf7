"""examples/functions runs as it is: the packages with the SDK, the rest with `mooring`'s own verbs (az: test_az.py)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from functions_support import GROUP, App, Storage, until
from support import RunningServer

EXAMPLES = Path(__file__).parents[2] / "examples" / "functions"
MOORING = str(Path(sys.executable).with_name("mooring"))


@pytest.fixture
def folder(tmp_path: Path, sdk_home: Path) -> Path:
    """The examples, with a model."""
    place = tmp_path / "functions"
    shutil.copytree(EXAMPLES, place)
    run(place, sys.executable, "train.py")
    return place


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def registry_of(folder: Path, location: str) -> dict[str, str]:
    """What `mooring acr` tells of a package: its tagged name, and the registry's user and password."""
    acrinstance, _, digest = location.partition("/package@")
    assert digest.startswith("sha256:")
    name = acrinstance.rpartition("/")[2]
    shown = json.loads(run(folder, MOORING, "acr", "credential", "show", "--name", name, "-o", "json"))
    assert shown["username"] == name
    assert [password["name"] for password in shown["passwords"]] == ["password", "password2"]
    command = ("acr", "repository", "show-tags", "--name", name, "--repository", "package", "-o", "json")
    tag = json.loads(run(folder, MOORING, *command))[-1]
    assert len(tag) == len("20190827195524")
    password = shown["passwords"][0]["value"]
    return {
        "image": f"{acrinstance}/package:{tag}",
        "registryUsername": name,
        "registryPassword": password,
    }


@pytest.fixture
def app(server: RunningServer, folder: Path) -> Iterator[App]:
    assert server.client.put(GROUP, json={"location": "West Europe"}).is_success
    made = App(server, "exampleapp", storageAccount=Storage(server, "examplejobs").name)
    yield made
    made.client.delete(made.path)
    made.status("Gone")


# The guide, which runs with every `make test`, has a blob as well.
@pytest.mark.parametrize(
    "script", ["package_http.py", pytest.param("package_blob.py", marks=pytest.mark.full)]
)
def test_an_example_is_packaged_and_answers(
    app: App, server: RunningServer, folder: Path, script: str
) -> None:
    said = run(folder, sys.executable, script)
    assert "Package creation Succeeded" in said
    storage = Storage(server, "exampletrigger")
    storage.containers("input")
    app.set(TriggerConnectionString=storage.connection)
    container = registry_of(folder, said.split()[-1])
    assert app.client.put(f"{app.path}/container", json=container).is_success
    sample = (folder / "sample_input.json").read_bytes()
    shown = app.status("Running")
    if script == "package_http.py":
        keys = app.client.post(f"{app.path}/listkeys").json()
        with httpx.Client(base_url=shown["url"], timeout=60) as caller:
            code = {"code": keys["functionKeys"]["default"]}
            answer = until(
                lambda: caller.post("/api/score", params=code, content=sample),
                lambda answer: answer.status_code == 200,
                "the answer",
            ).json()
    else:
        storage.put("input", "sample_input.json", sample)
        answer = json.loads(
            until(lambda: storage.read("output", "sample_input_out.json"), bool, "the output")
        )
    assert len(answer) == 2
    assert all(isinstance(value, float) for value in answer)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("credential show --name absent", "RegistryNotFound"),
        ("repository show-tags --name absent", "RegistryNotFound"),
    ],
)
def test_unknown_registries(sdk_home: Path, tmp_path: Path, command: str, code: str) -> None:
    done = subprocess.run(
        [MOORING, "acr", *command.split()], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert code in done.stderr
    assert "mooring workspace show" in done.stderr
