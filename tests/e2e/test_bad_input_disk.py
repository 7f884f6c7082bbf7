"""A disk that is really full: a small one of its own for a server, in a mount name space of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bad_input import BASE, Desk, Expected
from support import RunningServer

from azureml.core import Environment
from azureml.core.conda_dependencies import CondaDependencies
from azureml.core.image import ContainerImage
from azureml.core.model import InferenceConfig, Model
from azureml.core.webservice import AciWebservice, Webservice
from azureml.exceptions import AzureMLException, WebserviceException

MIB = 1 << 20
SIZE = 64 * MIB
SCORE = "def init():\n    pass\ndef run(data):\n    return data\n"
MOUNT = 'mount -t tmpfs -o size="$1",mode=700 tmpfs "$2" && shift 2 && exec "$@"'


def _reason() -> str:
    """Why this machine cannot mount, or an empty text."""
    if os.geteuid() != 0:
        return "only root can mount a small disk"
    if not shutil.which("unshare"):
        return "unshare is not installed"
    tried = subprocess.run(
        ["unshare", "-m", "--propagation", "private", "sh", "-c", "mount -t tmpfs tmpfs /mnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"mounting is not permitted: {tried.stderr.strip()}" if tried.returncode else ""


REASON = _reason()
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON)


class SmallDisk(RunningServer):
    """A server whose data directory is a disk of `SIZE`; seen from outside through /proc."""

    def __init__(self, place: Path) -> None:
        place.mkdir()
        super().__init__(place)
        self.place = place

    def command(self) -> list[str]:
        inside = [sys.executable, *self.program, "--home", str(self.place)]
        unshare = ["unshare", "-m", "--propagation", "private"]
        return [*unshare, "sh", "-c", MOUNT, "sh", str(SIZE), str(self.place), *inside]

    def seen(self, process: subprocess.Popen[bytes]) -> Path:
        return Path(f"/proc/{process.pid}/root{self.place}")

    def free(self) -> int:
        return shutil.disk_usage(self.home).free

    def fill(self, leave: int) -> None:
        """Leave so many bytes."""
        with (self.home / "ballast").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, self.free() - leave)

    def make_room(self) -> None:
        (self.home / "ballast").unlink()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    running = SmallDisk(tmp_path_factory.mktemp("disk") / "home").start()
    try:
        yield running
        supervisors = list((running.home / "services").glob("*/state.json"))
        assert not supervisors
    finally:
        running.client.close()
        assert running.process is not None
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(30)


@pytest.fixture
def desk(small: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOORING_ENDPOINT", small.url)
    monkeypatch.setenv("MOORING_TOKEN", small.token)
    (tmp_path / "score.py").write_text(SCORE)
    made = Desk(small, tmp_path)
    yield made
    (small.home / "ballast").unlink(missing_ok=True)


def full(phase: str) -> Expected:
    return Expected(
        "DiskFull", phase, WebserviceException, "No space is left|disk is full", hint="[Ff]ree some space"
    )


def model_file(desk: Desk, size: int = 4 * MIB) -> str:
    path = desk.folder / "model.bin"
    path.write_bytes(os.urandom(size))
    return str(path)


def bare() -> Environment:
    environment = Environment("bare")
    environment.python.conda_dependencies = CondaDependencies(_underlying_structure={"dependencies": []})
    return environment


def test_upload(desk: Desk, small: SmallDisk) -> None:
    before = desk.state()
    path = model_file(desk)
    small.fill(1 * MIB)
    raised = desk.raises(lambda: Model.register(desk.ws, path, "large"), full("Upload"))
    desk.refuses(["model", "register", "-n", "large", "-p", path], full("Upload")).same_as(raised)
    assert int(raised.evidence["free"]) <= 1 * MIB
    desk.unchanged(before)
    small.make_room()
    model = Model.register(desk.ws, path, "large")
    assert model.version == 1
    model.delete()


def test_not_a_single_byte(desk: Desk, small: SmallDisk) -> None:
    """Not even the database can write; reading goes on."""
    path = model_file(desk, 100)
    model = Model.register(desk.ws, path, "last")
    before = desk.state()
    small.fill(0)
    desk.raises(lambda: Model.register(desk.ws, model_file(desk, 100_000), "tiny"), full("Upload"))
    with pytest.raises(AzureMLException) as caught:
        for _ in range(2000):  # what is left in the database's own pages
            model.add_properties({f"p{_}": "x" * 4000})
    assert caught.value.code == "DiskFull"
    assert Model(desk.ws, "last").version == 1
    small.make_room()
    desk.unchanged(before)
    model.delete()


def test_build(desk: Desk, small: SmallDisk) -> None:
    model = Model.register(desk.ws, model_file(desk), "built")
    before = desk.state()
    config = InferenceConfig("score.py", environment=bare())
    small.fill(2 * MIB)

    def deploy() -> None:
        Model.deploy(desk.ws, "full-build", [model], config).wait_for_deployment()

    raised = desk.raises(deploy, full("Build"))
    desk.error_of("full-build").same_as(raised)
    desk.drop("full-build")
    desk.unchanged(before)
    small.make_room()
    deploy()
    desk.drop("full-build")
    model.delete()


def test_unpack(desk: Desk, small: SmallDisk) -> None:
    model = Model.register(desk.ws, model_file(desk), "unpacked")
    image = ContainerImage.create(
        desk.ws,
        "full-image",
        [model],
        ContainerImage.image_configuration("score.py", runtime="python", conda_file=_conda(desk)),
    )
    image.wait_for_creation()
    before = desk.state()
    small.fill(1 * MIB)

    def deploy() -> None:
        configuration = AciWebservice.deploy_configuration()
        Webservice.deploy_from_image(desk.ws, "full-unpack", image, configuration).wait_for_deployment()

    raised = desk.raises(deploy, full("Unpack"))
    desk.error_of("full-unpack").same_as(raised)
    desk.drop("full-unpack")
    desk.unchanged(before)
    small.make_room()
    deploy()
    service = Webservice(desk.ws, "full-unpack")
    assert service.run(b'"x"') == '"x"'
    desk.drop("full-unpack")
    image.delete()
    model.delete()


def _conda(desk: Desk) -> str:
    path = desk.folder / "env.yml"
    path.write_text("dependencies: []\n")
    return str(path)


def test_the_server_answers_all_the_time(desk: Desk, small: SmallDisk) -> None:
    small.fill(0)
    assert small.client.get("/livez").status_code == 200
    assert small.client.get(f"{BASE}/models").status_code == 200
    assert small.client.get("/mooring/v1/info").json()["version"]
