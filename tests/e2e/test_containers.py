"""The container target on real engines: what users of `mooring up --target container` see."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from engines import docker, podman
from sdk_support import bare_environment, inference_config, register, write_app
from support import WS, RunningServer, eventually, kill_all

from azureml.core import Environment, Workspace
from azureml.core.environment import DockerBuildContext
from azureml.core.image import ContainerImage
from azureml.core.model import InferenceConfig, Model
from azureml.core.webservice import Webservice
from mooring_runtime.engine.client import Engine

# On a busy machine a start of an engine and a base image take their time.
pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]
BASE = "debian12-python3.11"  # what `mooring base build` makes
EXAMPLES = Path(__file__).parents[2] / "examples" / "diabetes"

SCORE = b"""
import json
import os


def init():
    print("starting as", os.getuid())


def run(data):
    asked = json.loads(data)
    if asked == "memory":
        taken = bytearray(1 << 30)
        for place in range(0, len(taken), 4096):
            taken[place] = 1
    if asked == "exit":
        os._exit(7)
    if asked == "where":
        status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
        open("/tmp/mine", "w").close()
        try:
            open("/mine", "w").close()
            writable = True
        except OSError:
            writable = False
        return {
            "user": os.getuid(), "capabilities": status["CapEff"].strip(), "no_new": status["NoNewPrivs"].strip(),
            "writable": writable, "pid1": open("/proc/1/cmdline").read().split("\\0")[2],
            "greeting": os.environ["GREETING"],
            "service": os.environ["SERVICE_NAME"], "home": os.environ["HOME"],
        }
    return asked
"""
ECHO = b"""
import json


def init():
    pass


def run(data):
    return json.loads(data)
"""
RESOURCES = {"containerResourceRequirements": {"cpu": 1.0, "memoryInGB": 0.25}}


class Place:
    """A server whose models run in containers, and its engine."""

    def __init__(self, server: RunningServer, engine: Engine) -> None:
        self.server = server
        self.engine = engine

    def client(self, *arguments: str) -> str:
        """A command of Docker's own client, which Podman's service answers as well."""
        whole = ["docker", "--host", f"unix://{self.engine.path}", *arguments]
        done = subprocess.run(whole, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def deploy(self, name: str, script: bytes = SCORE, **more: Any) -> dict[str, Any]:
        """A service once its operation has ended, whatever came of it."""
        view = self.server.deploy(name, script, **{"computeType": "ACI", **RESOURCES, **more})
        operation = self.server.wait(view)
        return {**self.view(name), "operation": operation}

    def view(self, name: str) -> dict[str, Any]:
        view: dict[str, Any] = self.server.client.get(f"{WS}/services/{name}").json()
        return view

    def logs(self, name: str) -> str:
        return str(self.server.client.get(f"{WS}/services/{name}/logs").json()["content"])

    def delete(self, name: str) -> None:
        answer = self.server.client.delete(f"{WS}/services/{name}")
        assert answer.status_code == 202, answer.text
        assert self.server.wait(answer.json())["state"] == "Succeeded"

    def containers(self, service: str) -> list[dict[str, Any]]:
        return self.engine.containers(f"dev.mooring.name={service}")


@pytest.fixture(scope="module", params=["podman", "docker"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    if shutil.which("mmdebstrap") is None:
        pytest.skip("mmdebstrap, which builds the base image, is not installed")
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "docker":
        with serving(folder, docker()) as made:
            yield made
        return
    with podman(folder) as engine, serving(folder, Engine(engine.socket)) as made:
        yield made


class serving:  # noqa: N801 - a context manager
    def __init__(self, folder: Path, engine: Engine, **variables: str) -> None:
        given = {"DOCKER_HOST": f"unix://{engine.path}", "MOORING_GC_INTERVAL_SECONDS": "0.5", **variables}
        self.running = RunningServer(folder / "home", "--target", "container", variables=given)
        self.engine = engine

    def __enter__(self) -> Place:
        try:
            self.running.start()
            assert self.running.client.put(WS, json={}).status_code == 201
            image = self.running.client.post(
                f"{WS}/images", json={"name": "baseless", **self.running.request(SCORE)}
            )
            assert self.running.wait(image.json())["state"] == "Succeeded"
            answer = self.running.client.post("/mooring/v1/bases", json={}, timeout=900)
            assert answer.status_code == 200, answer.text
            assert '"error"' not in answer.text, answer.text
        except BaseException:
            kill_all(self.running.home)
            raise
        return Place(self.running, self.engine)

    def __exit__(self, *_: object) -> None:
        try:
            self.running.close()
            names = [c["Names"] for c in self.engine.containers("dev.mooring.name")]
            assert not names, names
        finally:
            kill_all(self.running.home)


def score(view: dict[str, Any], asked: Any, status: int = 200) -> Any:
    answer = httpx.post(view["scoringUri"], content=json.dumps(asked), timeout=60)
    assert answer.status_code == status, answer.text
    return answer.json() if status == 200 else answer.text


def healthy(view: dict[str, Any]) -> dict[str, Any]:
    assert view["state"] == "Healthy", json.dumps(view, indent=1)
    return view


def test_a_service_in_a_container_has_no_rights(place: Place) -> None:
    view = healthy(place.deploy("rights"))
    assert view["isolation"] == "container"
    found = score(view, "where")
    assert found == {
        "user": 10001,
        "capabilities": "0000000000000000",
        "no_new": "1",
        "writable": False,
        "pid1": "/opt/mooring/runtime/worker/launcher.py",
        "greeting": "hello",
        "service": "rights",
        "home": "/tmp",
    }
    [container] = place.containers("rights")
    host = place.engine.inspect(container["Id"])["HostConfig"]
    assert host["Memory"] == 1 << 28
    assert "starting as 10001" in place.logs("rights")
    place.delete("rights")
    assert place.containers("rights") == []


def test_an_update_loses_no_request(place: Place) -> None:
    view = healthy(place.deploy("busy"))
    [before] = place.containers("busy")
    stop, answers = threading.Event(), []

    def ask() -> None:
        with httpx.Client(timeout=60) as client:
            while not stop.is_set():
                answers.append(client.post(view["scoringUri"], content=b"1").text)

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    try:
        request = {"imageRequest": place.server.request(SCORE.replace(b"return asked", b"return asked + 1"))}
        answer = place.server.client.patch(f"{WS}/services/busy", json=request)
        assert answer.status_code == 202, answer.text
        assert place.server.wait(answer.json())["state"] == "Succeeded"
        seen = len(answers)
        eventually(lambda: len(answers) > seen + 20, "requests after the update")
    finally:
        stop.set()
        for asker in askers:
            asker.join()
    assert set(answers) == {"1", "2"}
    assert answers[0] == "1"
    assert answers[-1] == "2"
    eventually(lambda: len(place.containers("busy")) == 1, "the old container is gone")
    assert place.containers("busy")[0]["Id"] != before["Id"]
    place.delete("busy")


def test_what_kills_a_worker_is_told_and_it_comes_back(place: Place) -> None:
    view = healthy(place.deploy("fragile"))
    [container] = place.containers("fragile")
    score(view, "exit", 502)
    exits(place, "fragile", 1, "exit status 7")
    score(view, "memory", 502)
    exits(place, "fragile", 2, "signal 9 (SIGKILL), out of memory (limit 256 MiB)")
    assert [c["Id"] for c in place.containers("fragile")] == [
        container["Id"]
    ]  # a worker each, not the container
    place.engine.kill(container["Id"])
    exits(place, "fragile", 3, "signal 9 (SIGKILL)")
    assert score(view, "again") == "again"
    assert [c["Id"] for c in place.containers("fragile")] != [container["Id"]]
    place.delete("fragile")


def exits(place: Place, name: str, restarts: int, how: str) -> None:
    state = place.server.home / "services"

    def again() -> bool:
        for path in state.glob("*/state.json"):
            found = json.loads(path.read_text())
            if found["service"] == name and found["phase"] == "Ready":
                [worker] = found["workers"]
                return bool(worker["restarts"] == restarts and worker["last_exit"] == how)
        return False

    eventually(again, f"{name} is ready again after {how}", 240)


def test_out_of_memory_in_init_is_explained(place: Place) -> None:
    script = SCORE.replace(b'print("starting as", os.getuid())', b"run('\"memory\"')")
    view = place.deploy("hungry", script)
    assert view["operation"]["state"] == "Failed"
    error = view["operation"]["error"]
    assert error["code"] == "OutOfMemory"
    assert "may use 256 MiB" in error["message"]
    place.delete("hungry")


def test_a_revision_that_fails_leaves_the_old_one_serving(place: Place) -> None:
    view = healthy(place.deploy("steady"))
    request = {
        "imageRequest": place.server.request(b"def init():\n    1 / 0\n\n\ndef run(data):\n    return 1\n")
    }
    answer = place.server.client.patch(f"{WS}/services/steady", json=request)
    error = place.server.wait(answer.json())["error"]
    assert error["code"] == "InitRaised"
    assert "ZeroDivisionError" in error["evidence"]["traceback"]
    assert score(view, 5) == 5
    eventually(lambda: len(place.containers("steady")) == 1, "the failed container is gone")
    place.delete("steady")


def test_several_workers_share_a_container_and_its_limits(place: Place) -> None:
    request = place.server.request(SCORE, environment={"environmentVariables": {"WORKER_COUNT": "2"}})
    answer = place.server.client.post(
        f"{WS}/services", json={"name": "pair", "computeType": "ACI", "imageRequest": request, **RESOURCES}
    )
    assert place.server.wait(answer.json())["state"] == "Succeeded"
    assert len(place.containers("pair")) == 1
    assert score(place.view("pair"), [1]) == [1]
    place.delete("pair")


def test_a_server_that_was_killed_finds_its_containers_again(place: Place) -> None:
    view = healthy(place.deploy("kept"))
    [container] = place.containers("kept")
    place.server.kill()
    assert score(view, 1) == 1
    place.server.start()
    eventually(lambda: place.view("kept")["state"] == "Healthy", "the service is known again")
    assert [c["Id"] for c in place.containers("kept")] == [container["Id"]]
    assert score(view, 2) == 2
    place.delete("kept")


def test_a_supervisor_that_was_killed_leaves_no_container(place: Place) -> None:
    view = healthy(place.deploy("orphan"))
    [container] = place.containers("orphan")
    [state] = [
        found
        for path in (place.server.home / "services").glob("*/state.json")
        if (found := json.loads(path.read_text()))["service"] == "orphan"
    ]
    kill(state["pid"])
    eventually(
        lambda: [c["Id"] for c in place.containers("orphan")] not in ([], [container["Id"]]), "a new one", 60
    )
    eventually(lambda: len(place.containers("orphan")) == 1, "only the new one")
    eventually(lambda: answers(view), "it answers on its port", 240)
    place.delete("orphan")


def answers(view: dict[str, Any]) -> bool:
    try:
        return httpx.post(view["scoringUri"], content=b"3", timeout=60).status_code == 200
    except httpx.TransportError:
        return False


def kill(pid: int) -> None:
    import os
    import signal

    os.kill(pid, signal.SIGKILL)


def test_an_image_that_somebody_removed_is_handed_over_again(place: Place) -> None:
    view = healthy(place.deploy("removed"))
    [container] = place.containers("removed")
    image = place.engine.inspect(container["Id"])["Config"]["Image"]
    place.engine._json("DELETE", f"/images/{image}", {"force": "true"})  # nothing of ours forces it
    if place.containers("removed"):  # Podman ends what uses it, Docker only takes the name away
        place.engine.kill(container["Id"])
    eventually(lambda: answers(view) and place.engine.image(image) is not None, "it is back", 240)
    place.delete("removed")


def test_images_go_when_nothing_uses_them(place: Place) -> None:
    view = healthy(place.deploy("passing", SCORE + b"# one\n"))
    [container] = place.containers("passing")
    image = place.engine.inspect(container["Id"])["Config"]["Image"]
    assert view["state"] == "Healthy"
    place.delete("passing")
    eventually(lambda: place.engine.image(image) is None, "its image is gone from the engine", 240)


@pytest.fixture
def workspace(place: Place, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("MOORING_HOME", str(place.server.home))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{place.engine.path}")
    monkeypatch.delenv("MOORING_ENDPOINT", raising=False)
    if shutil.which("docker") is None:
        pytest.skip("Docker's client is not installed")
    return Workspace.get("ws", subscription_id="sub", resource_group="rg")


# Scores from inside: where published ports appear is the engine's business.
ASK = """
import time, urllib.request
headers = {"Content-Type": "application/json"}
for left in reversed(range(600)):
    try:
        request = urllib.request.Request("http://127.0.0.1:5001/score", data=DATA, headers=headers, method="POST")
        print(urllib.request.urlopen(request).read().decode())
        break
    except OSError:
        if not left:
            raise
        time.sleep(0.1)
"""


def ask(place: Place, container: str, asked: Any) -> Any:
    code = ASK.replace("DATA", repr(json.dumps(asked).encode()))
    command = ["exec", container, "/opt/mooring/env/bin/python", "-c", code]
    whole = ["docker", "--host", f"unix://{place.engine.path}", *command]
    done = subprocess.run(whole, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + place.engine.logs(container, 50)
    return json.loads(done.stdout)


def serves(place: Place, image: str) -> Any:
    """What a container of the image answers, run as a careful user runs it."""
    name = f"mooring-test-{uuid.uuid4().hex[:8]}"
    rights = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    limits = ["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096", "--memory", "512m"]
    place.client("run", "--detach", "--name", name, *rights, *limits, image)
    try:
        return ask(place, name, {"data": [1, 2]})
    finally:
        place.client("rm", "--force", name)
        place.client("rmi", "--force", image)


def test_the_examples_run_unchanged(place: Place, workspace: Workspace, tmp_path: Path) -> None:
    assert workspace.name == "ws"
    folder = tmp_path / "diabetes"
    shutil.copytree(EXAMPLES, folder)
    for script in ("train.py", "script_2018.py", "script_2019.py", "local_webservice.py"):
        done = subprocess.run(
            [sys.executable, script], cwd=folder, capture_output=True, text=True, check=False, timeout=900
        )
        assert done.returncode == 0, done.stdout + done.stderr


EXTRA_SCORE = """
import json
import os

import extra


def init():
    print("upon a Dockerfile")


def run(data):
    numbers = json.loads(data)["data"]
    return [extra.FACTOR * n for n in numbers] + [os.environ["FROM_STEPS"], open("/made/by-run").read()]
"""
# The default base has no shell; a list of words needs none.
STEPS = """
RUN ["/usr/bin/python3", "-c", "import os; os.mkdir('/made'); open('/made/by-run', 'w').write('made')"]
ENV FROM_STEPS=yes
"""


def test_services_upon_a_dockerfile(place: Place, workspace: Workspace, tmp_path: Path) -> None:
    if not (shutil.which("buildah") or shutil.which("podman")):
        pytest.skip("neither buildah nor Podman is installed")
    folder = tmp_path / "context"
    (folder / "lib").mkdir(parents=True)
    (folder / "lib" / "extra.py").write_text("FACTOR = 5\n")
    (folder / "Dockerfile").write_text(
        f"FROM {BASE}\n{STEPS}COPY lib /usr/local/lib/python3.11/dist-packages\n"
    )
    (tmp_path / "score.py").write_text(EXTRA_SCORE)
    context = DockerBuildContext.from_local_directory(workspace, str(folder))
    environment = Environment.from_docker_build_context("built", context).register(workspace)
    shutil.rmtree(folder)  # the server has it
    config = InferenceConfig(
        "score.py", source_directory=str(tmp_path), environment=Environment.get(workspace, environment.name)
    )
    service = Model.deploy(workspace, "dockerfiled", [], config)
    service.wait_for_deployment()
    assert service.run(json.dumps({"data": [1, 2]})) == [5, 10, "yes", "made"]
    service.delete()


def test_docker_steps_of_2018_run_on_the_default_base(
    place: Place, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (shutil.which("buildah") or shutil.which("podman")):
        pytest.skip("neither buildah nor Podman is installed")
    monkeypatch.chdir(tmp_path)
    Path("steps").write_text(STEPS)
    Path("extra.py").write_text("FACTOR = 7\n")
    Path("score.py").write_text(EXTRA_SCORE)
    config = ContainerImage.image_configuration(
        "score.py", "python", docker_file="steps", dependencies=["extra.py"]
    )
    image = ContainerImage.create(workspace, "stepped", [], config)
    image.wait_for_creation()
    service = Webservice.deploy_from_image(workspace, "stepped", image)
    service.wait_for_deployment()
    assert service.run(json.dumps({"data": [1]})) == [7, "yes", "made"]
    service.delete()


def test_a_package_is_pulled_and_serves(
    place: Place, workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_app(tmp_path, weight=2, factor=10)
    model = register(workspace, tmp_path, "packed")
    package = Model.package(workspace, [model], inference_config(tmp_path))
    package.wait_for_creation(show_output=True)
    shown = capsys.readouterr().out
    assert "Build ..." in shown
    assert shown.endswith("Package creation Succeeded\n")
    assert package.state == "Succeeded"
    assert package.location == package.serialize()["location"]
    assert "/package@sha256:" in str(package.location)
    assert "Layer model packed/1" in package.get_logs()
    registry = package.get_container_registry()
    assert str(package.location).startswith(f"{registry.address}/")
    assert registry.username
    assert registry.password
    assert serves(place, package.pull()) == [20, 40]


def test_a_package_with_a_dockerfile_is_built_and_serves(
    place: Place, workspace: Workspace, tmp_path: Path
) -> None:
    write_app(tmp_path, weight=3, factor=1)
    model = register(workspace, tmp_path, "written")
    package = Model.package(
        workspace, [model], inference_config(tmp_path), generate_dockerfile=True, image_name="takeaway"
    )
    package.wait_for_creation()
    context = tmp_path / "context"
    package.save(str(context))
    assert sorted(path.name for path in context.iterdir()) == ["Dockerfile", "azureml-app", "layers"]
    assert (context / "azureml-app/azureml-models/written/1/model.txt").read_text() == "3"
    # It is the user's from here on.
    (context / "azureml-app/app/helper.py").write_text("FACTOR = 100\n")
    place.client("build", "--tag", "localhost/takeaway:mine", str(context))
    assert serves(place, "localhost/takeaway:mine") == [300, 600]


def test_a_profile_is_measured_in_a_container(place: Place, workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "score.py").write_bytes(
        SCORE.replace(b"def init():", b"ballast = b'x' * (100 << 20)\n\n\ndef init():")
    )
    config = InferenceConfig("score.py", source_directory=str(tmp_path), environment=bare_environment())
    profile = Model.profile(workspace, "contained", [], config, ["1", "2"], cpu=0.5, memory_in_gb=0.5)
    profile.wait_for_completion()
    found = profile.get_details()
    assert found["successRate"] == 100
    assert 0.09 < found["maxUtilizedMemoryInGB"] < 0.3
    assert found["maxUtilizedCpu"] > 0
    assert not place.containers("contained")


def test_an_image_without_a_base_is_refused(place: Place) -> None:
    body = {"name": "baseless", "computeType": "ACI", "imageId": "baseless:1", **RESOURCES}
    answer = place.server.client.post(f"{WS}/services", json=body)
    error = place.server.wait(answer.json())["error"]
    assert error["code"] == "ImageHasNoBase"
    assert "mooring base build" in error["hint"]
    answer = place.server.client.get(f"{WS}/images/baseless:1/archive")
    assert answer.json()["error"]["code"] == "ImageHasNoBase"
    place.delete("baseless")


def test_podman_may_stop_without_its_containers(tmp_path: Path) -> None:
    with podman(tmp_path) as engine, serving(tmp_path, Engine(engine.socket)) as place:
        view = healthy(place.deploy("alone"))
        engine.stop()
        assert score(view, 1) == 1
        failed = place.deploy("other", SCORE + b"# other\n")
        error = failed["operation"]["error"]
        assert error["code"] == "EngineNotFound"
        assert str(engine.socket) in error["evidence"]["tried"]
        assert score(view, 2) == 2
        engine.start()
        assert place.deploy("other", SCORE + b"# other\n", overwrite=True)["state"] == "Healthy"


def test_a_service_moves_between_targets_on_its_address(tmp_path: Path) -> None:
    with podman(tmp_path) as engine, serving(tmp_path, Engine(engine.socket)) as place:
        view = healthy(place.deploy("mover"))
        for target, isolated in (("process", False), ("container", True)):
            assert place.server.stop() == 0
            place.server.arguments = ("--target", target)
            place.server.start()
            assert score(view, 1) == 1
            request = {"imageRequest": place.server.request(SCORE + f"# {target}\n".encode())}
            answer = place.server.client.patch(f"{WS}/services/mover", json=request)
            assert place.server.wait(answer.json())["state"] == "Succeeded"
            moved = healthy(place.view("mover"))
            assert (moved["isolation"] == "container") is isolated
            assert moved["scoringUri"] == view["scoringUri"]
            assert score(moved, 2) == 2
            eventually(lambda n=int(isolated): len(place.containers("mover")) == n, "only what is needed")
