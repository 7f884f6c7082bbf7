"""A container engine that is stopped or killed in the middle of a deployment, at each step of it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from engines import Between, Docker, Service, own_docker, podman
from support import eventually
from test_containers import ECHO, RESOURCES, Place, healthy, score, serving

from mooring_runtime.engine.client import Engine

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

# Until the test puts a file there: the folder with the launcher's socket.
SLOW = b"""
import os
import time


def init():
    print("loading")
    while not os.path.exists("/run/mooring/go"):
        time.sleep(0.05)


def run(data):
    return 7
"""


class Stopping:
    """An engine that stops, and a server that reaches it through a socket of the test's."""

    def __init__(self, engine: Service, between: Between, place: Place) -> None:
        self.engine = engine
        self.between = between
        self.place = place

    def end(self, how: str) -> None:
        (self.engine.stop if how == "stopped" else self.engine.kill)()

    def at(self, request: str, how: str, sent: int = 0) -> None:
        """End the engine when that much of a request has come to it."""
        ended = False

        def seen(found: str, so_far: int) -> None:
            nonlocal ended
            if not ended and so_far >= sent and re.fullmatch(request, found):
                ended = True
                self.end(how)

        self.between.seen = seen

    def again(self) -> None:
        """The engine is back: the next deployment works, a new server finds it, and nothing of before is left."""
        self.between.seen = lambda _request, _sent: None
        self.engine.start()
        view = healthy(self.place.deploy("middle", overwrite=True))
        assert score(view, [1]) == [1]
        eventually(lambda: len(self.place.containers("middle")) == 1, "only the new container")
        self.adopts()
        self.place.delete("middle")
        self.nothing_left()

    def adopts(self) -> None:
        [before] = self.place.containers("middle")
        assert self.place.server.stop() == 0
        self.place.server.start()
        view = eventually(lambda: self.found("middle"), "the service is known again")
        assert score(view, [2]) == [2]
        assert [each["Id"] for each in self.place.containers("middle")] == [before["Id"]]

    def found(self, name: str) -> dict[str, Any] | None:
        view = self.place.view(name)
        return view if view["state"] == "Healthy" else None

    def nothing_left(self) -> None:
        assert self.place.containers("middle") == []
        eventually(self.engine.empty, "no image is left", 240)
        eventually(lambda: not self.engine.mounts(), f"no mount is left: {self.engine.mounts()}", 60)


@pytest.fixture(scope="module", params=["podman", "docker"])
def stopping(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stopping]:
    if shutil.which("mmdebstrap") is None:
        pytest.skip("mmdebstrap, which builds the base image, is not installed")
    folder = tmp_path_factory.mktemp(request.param)
    with (podman if request.param == "podman" else own_docker)(folder) as engine:
        between = Between(folder, engine.socket)
        with serving(folder, Engine(between.socket)) as place:
            yield Stopping(engine, between, place)
        between.close()


STEPS = {
    "load": ("POST /images/load", 1 << 20, "Unpack"),
    "create": ("POST /containers/create", 0, "Start"),
    "start": ("POST /containers/.*/start", 0, "Start"),
}


@pytest.mark.parametrize("how", ["stopped", "killed"])
@pytest.mark.parametrize("step", STEPS)
def test_an_engine_that_ends_before_the_workers_run(stopping: Stopping, step: str, how: str) -> None:
    request, sent, phase = STEPS[step]
    stopping.at(request, how, sent)
    view = stopping.place.deploy("middle", ECHO + f"# {step} {how}\n".encode())
    error = view["operation"]["error"]
    assert error is not None, view
    assert (error["code"], error["phase"]) == ("EngineUnavailable", phase), error
    assert str(stopping.between.socket) in error["message"]
    assert "systemctl" in error["hint"]
    assert error["evidence"]["engine"]
    assert view["state"] == "Failed"
    stopping.again()


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_an_engine_that_ends_while_a_model_loads(stopping: Stopping, how: str) -> None:
    """Docker Engine takes its containers along when it is stopped; else they do not need it."""
    place = stopping.place
    begun = place.server.deploy(
        "middle", SLOW + f"# {how}\n".encode(), computeType="ACI", overwrite=True, **RESOURCES
    )
    eventually(lambda: "loading" in place.logs("middle"), "init() runs", 240)
    stopping.end(how)
    if isinstance(stopping.engine, Docker) and how == "stopped":
        error = place.server.wait(begun)["error"]
        assert (error["code"], error["phase"]) == ("EngineUnavailable", "Init"), error
        assert error["evidence"]["engine"]
    else:
        for folder in place.server.home.glob("services/*/run/c*"):
            (folder / "go").touch()
        assert place.server.wait(begun)["state"] == "Succeeded"
        assert score(place.view("middle"), 1) == 7
    stopping.again()
