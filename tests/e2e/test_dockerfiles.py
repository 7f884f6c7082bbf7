"""Dockerfiles with the builders that people have: buildah, Podman, and engines by the Docker API."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from engines import docker, podman
from host_base import write_base
from support import WS, RunningServer, eventually

from mooring_runtime.engine.client import Engine
from mooring_server.domain.errors import MooringError, PhaseFailed
from mooring_server.images.bases.archive import import_archive
from mooring_server.images.bases.base import Base
from mooring_server.images.compression import opened
from mooring_server.images.dockerfiles.builder import DockerfileBases
from mooring_server.images.dockerfiles.command import CommandTool
from mooring_server.images.dockerfiles.dockerfile import Dockerfile
from mooring_server.images.dockerfiles.engine import EngineTool
from mooring_server.images.dockerfiles.recipe import Recipe
from mooring_server.images.dockerfiles.tool import Tool
from mooring_server.images.scratch import Scratch, kill_left
from mooring_server.images.types import TreeFile
from mooring_server.store.content import ContentStore

pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

STEPS = """\
ARG BELOW=host
FROM ${BELOW} AS below
ENV GREETING="hello there"
COPY app/run.sh /opt/run.sh
RUN mkdir /made && \\
    /opt/run.sh > /made/greeting
FROM other
COPY --from=below /made /made
ENV PLACE=/made
"""


class Bench:
    """A builder, the stores it needs, and two names for one base."""

    def __init__(self, root: Path, engine: Engine | None, program: str | None) -> None:
        self.root = root
        self.engine = engine
        self.program = program
        self.store = ContentStore(root / "content")
        self.scratch = Scratch(root / "cache" / "tmp")
        self.base = import_archive(self.store, write_base(root / "base.tar"), "host", lambda _: None)
        self.given = {"host": self.base, "other": self.base}
        self.lines: list[str] = []

    def tool(self) -> Tool:
        if self.engine is not None:
            engine = self.engine
            return EngineTool(self.store, self.root, lambda: engine)
        assert self.program is not None
        return CommandTool(self.store, self.program)

    def bases(self) -> DockerfileBases:
        return DockerfileBases(
            self.store, self.root / "cache" / "dockerfiles", self.scratch, lambda: [self.tool()]
        )

    def build(self, text: str, log: Callable[[str], None] | None = None, **files: bytes) -> Base:
        context = tuple(
            TreeFile(path, self.store.put_bytes(data), len(data), executable=True)
            for path, data in files.items()
        )
        recipe = Recipe(Dockerfile(text), "", context)
        return self.bases().base(recipe, self.given, lambda _: None, log or self.lines.append)

    def content(self, base: Base, name: str) -> bytes | None:
        """A file of an image, as its uppermost layer that has it says."""
        manifest = json.loads(self.store.read(base.digest))
        for layer in reversed(manifest["layers"]):
            path = self.store.path(layer["digest"])
            with opened(path, 1 << 30) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    if member.name.lstrip("./") == name and member.isreg():
                        file = archive.extractfile(member)
                        return file.read() if file else None
        return None

    def nothing_is_left(self) -> None:
        assert not list(self.scratch.root.glob("*"))
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        assert not [line for line in mounts if f"{self.root}/cache" in line]
        tool = self.tool()
        if isinstance(tool, EngineTool):
            assert not tool.left()


@pytest.fixture(scope="module", params=["buildah", "podman", "docker"])
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("bench")
    if request.param == "docker":
        yield Bench(folder, docker(), None)
    else:
        program = shutil.which(request.param)
        if program is None:
            pytest.skip(f"{request.param} is not installed")
        yield Bench(folder, None, program)


def test_steps_become_layers_upon_the_base(bench: Bench) -> None:
    files = {"app/run.sh": b'#!/bin/sh\necho "$GREETING"\n', "unused": b"1"}
    made = bench.build(STEPS, **files)
    assert bench.content(made, "made/greeting") == b"hello there\n"
    assert bench.content(made, "opt/run.sh") is None
    manifest, below = (json.loads(bench.store.read(base.digest)) for base in (made, bench.base))
    # The base's own layer, not another packing of it.
    assert manifest["layers"][0]["digest"] == below["layers"][0]["digest"]
    config = json.loads(bench.store.read(manifest["config"]["digest"]))
    assert "PLACE=/made" in config["config"]["Env"]
    assert made.facts.shell == "/bin/sh"
    assert any("FROM host AS below" in line for line in bench.lines), bench.lines
    bench.nothing_is_left()

    bench.lines.clear()
    assert bench.build(STEPS, **files) == made
    assert bench.lines == [f"The Dockerfile's image is known from an earlier build: {made.digest}."]
    changed = bench.build(STEPS, **{**files, "app/run.sh": b"#!/bin/sh\necho bye\n"})
    assert bench.content(changed, "made/greeting") == b"bye\n"


def test_a_step_that_fails_is_told_with_its_output(bench: Bench) -> None:
    with pytest.raises(PhaseFailed) as caught:
        bench.build("FROM host\nENV A=b\nRUN echo this is why; exit 7\nRUN true\n")
    error = caught.value
    assert (error.code, error.phase) == ("DockerfileFailed", "Build")
    assert "RUN echo this is why; exit 7: status 7." in error.message
    assert error.evidence["step"] == "RUN echo this is why; exit 7"
    assert "\nthis is why\n" in error.evidence["output"]
    assert "ENV A=b" not in error.evidence["output"]
    bench.nothing_is_left()


def test_a_file_that_is_not_in_the_context(bench: Bench) -> None:
    with pytest.raises(PhaseFailed) as caught:
        bench.build("FROM host\nCOPY missing /there\n", present=b"1")
    assert caught.value.code == "DockerfileFailed"
    assert caught.value.evidence["step"] == "COPY missing /there"
    assert "missing" in caught.value.message
    bench.nothing_is_left()


def test_what_is_not_wanted_any_more_ends(bench: Bench) -> None:
    class Cancelled(Exception):
        pass

    def log(line: str) -> None:
        if line == "begun":
            raise Cancelled

    with pytest.raises(Cancelled):
        bench.build("FROM host\nRUN echo begun; sleep 30001\n", log)
    eventually(lambda: not sleeping("30001"), "the step has ended")
    bench.nothing_is_left()


KILLED = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_dockerfiles import Bench
from mooring_runtime.engine.client import Engine
engine = Engine(Path({socket!r})) if {socket!r} else None
bench = Bench(Path({root!r}), engine, {program!r})
steps = "FROM host\\nRUN echo one > /one\\nRUN echo begun; sleep {seconds}\\n"
bench.build(steps, lambda line: print(line, flush=True))
"""


def sleeping(seconds: str) -> list[Path]:
    """The processes of a step, whatever namespaces they are in."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if command.startswith(b"sleep\0" + seconds.encode()):
            found.append(entry)
    return found


def test_a_build_that_is_killed_leaves_nothing(bench: Bench) -> None:
    code = KILLED.format(
        tests=str(Path(__file__).parent),
        socket=str(bench.engine.path) if bench.engine else "",
        root=str(bench.root),
        program=bench.program,
        seconds=30002,
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process:
        try:
            for line in process.stdout:
                if line == "begun\n":
                    break
            eventually(lambda: sleeping("30002"), "the step runs")
        finally:
            os.kill(process.pid, signal.SIGKILL)
    # As the server does when it starts.
    kill_left(bench.scratch.root)
    bench.bases().clean_stale()
    bench.scratch.clean_stale()
    eventually(lambda: not sleeping("30002"), "the step has ended")
    bench.nothing_is_left()
    assert bench.build("FROM host\nRUN echo again > /again\n").size > bench.base.size


def test_an_engine_that_is_stopped_in_the_middle(tmp_path: Path) -> None:
    with podman(tmp_path) as made:
        bench = Bench(tmp_path / "bench", Engine(made.socket), None)

        def log(line: str) -> None:
            if line == "begun":
                made.kill()

        with pytest.raises(MooringError) as caught:
            bench.build("FROM host\nRUN echo begun; sleep 30003\n", log)
        assert caught.value.code == "EngineUnavailable"
        assert caught.value.phase == "Build"
        assert "begun" in caught.value.evidence["output"]
        made.start()
        bench.bases().clean_stale()
        bench.nothing_is_left()
        assert bench.build("FROM host\nRUN echo again > /again\n").size > bench.base.size
        for left in sleeping("30003"):
            os.kill(int(left.name), signal.SIGKILL)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    if not (shutil.which("buildah") or shutil.which("podman")):
        pytest.skip("neither buildah nor Podman is installed")
    running = RunningServer(tmp_path_factory.mktemp("server") / "home").start()
    assert running.client.put(WS, json={}).status_code in {200, 201}
    archive = write_base(tmp_path_factory.mktemp("base") / "base.tar")
    answer = running.client.put("/mooring/v1/bases/host", content=archive.read_bytes(), timeout=300)
    assert '"error"' not in answer.text, answer.text
    yield running
    running.close()


def made(server: RunningServer, docker: dict[str, object]) -> dict[str, object]:
    body = {"name": "dockered", **server.request(b"def init(): pass\ndef run(data): return data\n")}
    body["environment"] = {"docker": docker, "python": {"userManagedDependencies": True}}
    answer = server.client.post(f"{WS}/images", json=body)
    assert answer.status_code == 202, answer.text
    return server.wait(answer.json())


def test_the_server_begins_again_what_was_cut_short(server: RunningServer) -> None:
    body = {"name": "cut", **server.request(b"def init(): pass\ndef run(data): return data\n")}
    body["environment"] = {"docker": {"baseDockerfile": "FROM host\nRUN echo begun; sleep 30004\n"}}
    answer = server.client.post(f"{WS}/images", json=body).json()
    eventually(lambda: sleeping("30004"), "the step runs", 300)
    first = sleeping("30004")
    server.kill()
    eventually(lambda: not any(path.exists() for path in first), "the step has ended")
    server.start()
    eventually(lambda: sleeping("30004"), "the step runs again", 300)
    assert server.client.delete(f"{WS}/images/{answer['id']}").status_code in {200, 204}
    server.kill()
    server.start()
    eventually(lambda: not sleeping("30004"), "nobody wants it any more")
    assert not list((server.home / "cache" / "tmp").glob("*"))


def test_a_dockerfile_that_fails_is_told_by_the_server(server: RunningServer) -> None:
    operation = made(server, {"baseDockerfile": "FROM host\nRUN echo why; exit 3\n"})
    error = operation["error"]
    assert isinstance(error, dict)
    assert (error["code"], error["phase"]) == ("DockerfileFailed", "Build")
    assert "why" in error["evidence"]["output"]


def test_a_base_without_python_gets_that_of_the_server(server: RunningServer) -> None:
    operation = made(server, {"baseDockerfile": "FROM host\nRUN echo 1 > /one\n"})
    assert operation["state"] == "Succeeded", operation
    path = f"{WS}/images/{operation['resourceId']}"
    image = server.client.get(path).json()
    assert image["pythonVersion"] == f"{sys.version_info[0]}.{sys.version_info[1]}"
    log = server.client.get(f"{path}/log").text
    assert f"Layer interpreter python {image['pythonVersion']}: " in log
