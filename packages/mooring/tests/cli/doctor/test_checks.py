from __future__ import annotations

import sys
from importlib import util
from pathlib import Path

import pytest

from mooring.cli.doctor import containers, isolation, network, python
from mooring.cli.doctor.check import LIMITED, MISSING, OK, WRONG, Check, verdict
from mooring.cli.doctor.machine import ThisMachine

_spec = util.spec_from_file_location("fake_machine", Path(__file__).with_name("fake.py"))
fake = util.module_from_spec(_spec)
_spec.loader.exec_module(fake)
FakeMachine = fake.FakeMachine


def test_the_verdict_is_bad_only_when_the_main_job_cannot_work() -> None:
    assert verdict([Check("a", LIMITED, ""), Check("b", MISSING, "")])["ok"]
    assert not verdict([Check("a", OK, ""), Check("b", WRONG, "")])["ok"]


@pytest.mark.parametrize(
    ("version", "server", "status"),
    [((3, 8, 1), False, WRONG), ((3, 9, 1), False, LIMITED), ((3, 11, 7), True, OK), ((3, 14, 0), False, OK)],
)
def test_python(version: tuple[int, ...], server: bool, status: str) -> None:
    assert python.interpreter(version, server=server).status == status


@pytest.mark.parametrize(
    ("packages", "status", "says"),
    [
        ({"mooring-azureml": "0.1.0"}, OK, "0.1.0"),
        ({}, MISSING, "mooring-azureml"),
        ({"azureml-core": "1.61.0"}, LIMITED, "azureml-core 1.61.0"),
        ({"azureml-core": "1.61.0", "mooring-azureml": "0.1.0"}, WRONG, "pip uninstall azureml-core"),
        ({"azureml-inference-server-http": "1.5", "mooring-azureml": "0.1.0"}, OK, ""),
        (
            {"azureml-contrib-services": "1.62.0", "mooring-azureml": "0.1.0"},
            WRONG,
            "azureml-contrib-services",
        ),
    ],
)
def test_microsofts_packages(packages: dict[str, str], status: str, says: str) -> None:
    check = python.azureml(FakeMachine(packages=packages))
    assert check.status == status
    assert says in check.detail + check.fix


def test_pythons_found_on_path_and_by_uv() -> None:
    listing = "cpython-3.8.20-linux-x86_64-gnu /a/python3.8\ncpython-3.13.1-linux-x86_64-gnu /b/python3.13"
    check = python.versions(FakeMachine(programs={"python3.10": (0, ""), "uv": (0, listing)}))
    found = check.detail.split(", ")
    own = "{}.{}".format(*sys.version_info[:2])
    assert {"3.8", "3.10", "3.13", own} == set(found)
    assert found == sorted(found, key=lambda text: int(text.split(".")[1]))


def test_uv_and_the_server_package() -> None:
    assert python.uv(FakeMachine()).status == LIMITED
    assert python.uv(FakeMachine(programs={"uv": (0, "uv 0.13.8")})).detail == "uv 0.13.8"
    assert python.uv(FakeMachine(programs={"uv": (-1, "exec format error")})).status == WRONG
    assert python.server_package(FakeMachine()).status == LIMITED
    there = FakeMachine(modules=["mooring_server"], packages={"mooring-server": "0.1.0"})
    assert python.server_package(there) == Check("Server package", OK, "mooring-server 0.1.0")


V2 = {
    "/proc/self/cgroup": "0::/user.slice/s\n",
    "/sys/fs/cgroup/cgroup.controllers": "cpu memory",
    "/sys/fs/cgroup/user.slice/s/cgroup.controllers": "cpu memory",
}
V1 = {
    "/proc/self/cgroup": "4:memory:/job\n1:cpu,cpuacct:/\n",
    "/sys/fs/cgroup/memory/job/memory.limit_in_bytes": "1",
}


@pytest.mark.parametrize(
    ("files", "writable", "status", "says"),
    [
        (V2, ["/sys/fs/cgroup/user.slice/s", "/sys/fs/cgroup/user.slice/s/cgroup.procs"], OK, "cgroup v2"),
        (V2, [], LIMITED, "not writable"),
        (
            {**V2, "/sys/fs/cgroup/user.slice/s/cgroup.controllers": "cpu"},
            ["/sys/fs/cgroup/user.slice/s", "/sys/fs/cgroup/user.slice/s/cgroup.procs"],
            LIMITED,
            "without the memory controller",
        ),
        (V1, ["/sys/fs/cgroup/memory/job"], OK, "cgroup v1"),
        (V1, [], LIMITED, "cgroup v1 is not writable"),
        ({}, [], LIMITED, "no cgroups"),
    ],
)
def test_memory_limits(files: dict[str, str], writable: list[str], status: str, says: str) -> None:
    check = isolation.cgroup(FakeMachine(files=files, writable=writable))
    assert check.status == status
    assert says in check.detail
    assert check.fix or status == OK


def test_sandboxes() -> None:
    assert isolation.landlock(FakeMachine(landlock=7)).detail == "version 7"
    assert isolation.landlock(FakeMachine()).status == LIMITED
    assert "TCP ports" in isolation.landlock(FakeMachine(landlock=3)).detail
    assert isolation.sandbox(FakeMachine(programs={"bwrap": (0, "")})).detail.startswith("bwrap")
    assert isolation.sandbox(FakeMachine(landlock=7)).detail.startswith("landlock")
    assert "not installed" in isolation.sandbox(FakeMachine()).detail
    assert isolation.bubblewrap(FakeMachine()).fix
    assert isolation.bubblewrap(FakeMachine(programs={"bwrap": (0, "")})).status == OK
    refused = isolation.bubblewrap(FakeMachine(programs={"bwrap": (1, "bwrap: No permissions\nmore")}))
    assert refused.status == LIMITED
    assert "No permissions" in refused.detail
    [elsewhere] = isolation.checks(FakeMachine(system="Darwin"))
    assert "Linux" in elsewhere.fix


def test_container_engines_that_do_not_answer_count_as_missing() -> None:
    machine = FakeMachine(programs={"docker": (1, "Client:\nCannot connect to the Docker daemon")})
    podman, docker, buildah, api = containers.checks(machine)
    assert (podman.status, docker.status, buildah.status, api.status) == (MISSING,) * 4
    assert "Cannot connect" in docker.detail
    assert [
        c.status
        for c in containers.checks(
            FakeMachine(programs=dict.fromkeys(["podman", "docker", "buildah"], (0, "")))
        )
    ] == [OK] * 3 + [MISSING]


def test_the_engine_that_the_container_target_would_use() -> None:
    podman = '{"Version": "4.3.1", "Arch": "amd64", "Components": [{"Name": "Podman Engine"}]}'
    usual = FakeMachine(sockets={"/run/podman/podman.sock": (200, podman)})
    assert containers.api(usual).detail == "Podman 4.3.1 (amd64) at /run/podman/podman.sock"
    named = {"DOCKER_HOST": "unix:///mine.sock"}
    docker = '{"Version": "20.10.24", "Arch": "amd64"}'
    found = containers.api(FakeMachine(variables=named, sockets={"/mine.sock": (200, docker)}))
    assert found.detail == "Docker 20.10.24 (amd64) at /mine.sock"
    # What is named is asked, and nothing else.
    only = FakeMachine(variables=named, sockets={"/run/podman/podman.sock": (200, podman)})
    assert containers.api(only).status == MISSING
    elsewhere = FakeMachine(variables={"DOCKER_HOST": "tcp://far:2375"}, sockets={"": (200, docker)})
    assert containers.api(elsewhere).status == MISSING


def test_network() -> None:
    assert network.loopback().status == OK
    assert network.index(FakeMachine()).status == LIMITED
    assert network.index(FakeMachine(programs={"uv": (0, "")})).status == OK
    failed = network.index(
        FakeMachine(programs={"uv": (2, "error: Request failed\n  Caused by: dns error\n")})
    )
    assert "dns error" in failed.detail


def test_this_machine_answers_every_question(tmp_path: Path) -> None:
    machine = ThisMachine()
    assert machine.system()
    assert machine.which("no-such-program-anywhere") is None
    assert machine.run([sys.executable, "-c", "print(1)"]) == (0, "1")
    assert machine.run([str(tmp_path / "none")])[0] == -1
    assert machine.read(str(tmp_path / "none")) is None
    assert machine.free_bytes(tmp_path / "a" / "b") > 0
    assert machine.mode(tmp_path / "none") is None
    assert "mooring" in machine.packages()
    assert machine.importable("mooring")
    assert machine.landlock_abi() >= 0
