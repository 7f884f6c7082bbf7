from __future__ import annotations

from pathlib import Path

from mooring_runtime.engine.client import EngineRefused, EngineUnavailable
from mooring_runtime.engine.find import EngineNotFound
from mooring_runtime.supervisor import container_plan as plan
from mooring_runtime.supervisor.engine_failure import failure_of
from mooring_runtime.supervisor.keeper import own_name, owned
from mooring_runtime.supervisor.spec import ContainerSpec, RevisionSpec

CONTAINER = ContainerSpec("/run/docker.sock", "localhost/mooring-1:2", "10001:10001", labels={"mine": "yes"})
REVISION = RevisionSpec(
    "3",
    "/opt/mooring/env/bin/python",
    "/opt/mooring/runtime/worker",
    "/var/azureml-app",
    "score.py",
    env={"B": "2", "A": "1"},
    workers=2,
    cpu_cores=0.5,
    memory_bytes=1 << 30,
    container=CONTAINER,
)
FOLDER = Path("/home/me/mooring/services/1/run/c1")


def body(revision: RevisionSpec = REVISION, container: ContainerSpec = CONTAINER) -> dict[str, object]:
    return plan.create_body(
        revision, container, folder=FOLDER, labels={"theirs": "no"}, ceilings={"nofile": 1000}
    )


def test_a_container_has_its_limits_and_no_rights() -> None:
    made = body()
    assert made["Image"] == "localhost/mooring-1:2"
    assert made["User"] == "10001:10001"
    assert made["Labels"] == {"mine": "yes", "theirs": "no"}
    assert made["Entrypoint"] == [
        "/opt/mooring/env/bin/python",
        "-I",
        "/opt/mooring/runtime/worker/launcher.py",
    ]
    assert made["Cmd"] == ["/run/mooring/launcher.sock"]
    host = made["HostConfig"]
    assert isinstance(host, dict)
    assert host["Memory"] == host["MemorySwap"] == 1 << 30
    assert host["NanoCpus"] == 500_000_000
    assert host["PidsLimit"] == 2048
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["Binds"] == [f"{FOLDER}:/run/mooring:ro"]
    assert host["RestartPolicy"] == {"Name": "no"}
    assert {limit["Name"]: limit["Hard"] for limit in host["Ulimits"]} == {
        "core": 0,
        "nofile": 1000,
        "nproc": 32768,
    }


def test_without_limits_none_are_asked_for() -> None:
    revision = RevisionSpec("1", "/p", "/w", "/a", "score.py", container=CONTAINER)
    host = body(revision)["HostConfig"]
    assert isinstance(host, dict)
    assert not {"Memory", "MemorySwap", "NanoCpus"} & set(host)


def test_the_network_is_the_engines_or_none() -> None:
    alone = ContainerSpec("/run/docker.sock", "image", "1:1", network="none")
    host, other = body(container=alone)["HostConfig"], body()["HostConfig"]
    assert isinstance(host, dict)
    assert isinstance(other, dict)
    assert (host["NetworkMode"], other["NetworkMode"]) == ("none", "")


def test_home_is_where_scripts_may_write_unless_the_image_says_otherwise() -> None:
    assert list(plan.environment({"B": "2", "A": "1"})) == ["A=1", "B=2", "HOME=/tmp"]
    assert list(plan.environment({"HOME": "/data"})) == ["HOME=/data"]


def test_names_have_only_what_engines_allow() -> None:
    assert plan.container_name("my svc/ü", "3", "ab") == "mooring-my-svc---3-ab"


def test_services_of_different_folders_have_different_labels() -> None:
    assert plan.service_label(Path("/a/1")) != plan.service_label(Path("/b/1"))


def test_an_owner_is_a_process_that_still_runs() -> None:
    name = own_name()
    pid = name.partition(".")[0]
    assert owned(name)
    assert not owned(f"{pid}.1")  # another process had the number
    assert not owned("")
    assert not owned("x.y")


def test_what_engines_say_becomes_causes() -> None:
    def code(error: EngineUnavailable | EngineRefused | EngineNotFound) -> str:
        return failure_of(error, "image").code

    socket = Path("/run/docker.sock")
    assert code(EngineUnavailable(socket, "Connection refused")) == "EngineUnavailable"
    assert code(EngineNotFound("No container engine answers.", ("/a: no",))) == "EngineNotFound"
    assert code(EngineRefused(404, "No such image: localhost/x:1")) == "ImageNotInEngine"
    assert code(EngineRefused(404, "localhost/x:1: image not known")) == "ImageNotInEngine"
    assert code(EngineRefused(500, "write /a: no space left on device")) == "EngineDiskFull"
    assert code(EngineRefused(400, "exec /p: exec format error")) == "ArchitectureMismatch"
    assert code(EngineRefused(500, "rlimit")) == "ContainerNotStarted"
    lost = failure_of(EngineUnavailable(socket, "Connection refused"), "image")
    assert lost.message == "The container engine at /run/docker.sock does not answer: Connection refused."
    assert failure_of(EngineNotFound("None.", ("/a: no", "/b: no")), "").evidence == {
        "tried": "/a: no\n/b: no"
    }
