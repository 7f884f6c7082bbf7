from __future__ import annotations

import os
from pathlib import Path

import pytest

from mooring_runtime.supervisor import cgroup
from mooring_runtime.supervisor.limits import group_prefix
from mooring_runtime.testing import Service, until

GREEDY = """
import mmap, time
kept = []
def take(mebibytes):
    for _ in range(mebibytes):
        block = mmap.mmap(-1, 1 << 20)
        block.write(b"x" * (1 << 20))
        kept.append(block)
    if mebibytes > 96:
        time.sleep(60)  # where memory is watched, it takes a moment to be seen
def init(): %s
def run(data):
    take(int(data))
    return "taken"
"""
LIMIT = 96 << 20


def test_too_much_memory_in_init(service: Service) -> None:
    service.apply(GREEDY % "take(200)", memory_bytes=LIMIT)
    failure = service.failed()
    assert failure["code"] == "OutOfMemory"
    assert failure["phase"] == "Init"
    assert "96 MiB" in failure["message"]
    assert f"limit_bytes={LIMIT}" in failure["evidence"]["memory"]


def test_too_much_memory_in_run_costs_the_worker(service: Service) -> None:
    service.apply(GREEDY % "pass", memory_bytes=LIMIT)
    assert service.ready()["limits"]["memory"] in {"cgroup", "watch"}
    assert service.post(b"20").json() == "taken"
    assert service.post(b"200").status == 502
    state = service.client.wait(lambda seen: seen["workers"][0]["restarts"] == 1, 120)
    assert "out of memory (limit 96 MiB)" in state["workers"][0]["last_exit"]
    service.ready()
    assert service.post(b"20").json() == "taken"


def test_watching_where_there_are_no_control_groups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MOORING_CGROUPS", "off")
    watched = Service(tmp_path / "watched")
    try:
        watched.apply(GREEDY % "pass", memory_bytes=LIMIT, cpu_cores=1.0)
        state = watched.ready()
        watched.apply(GREEDY % "take(200)", memory_bytes=LIMIT)
        failure = watched.failed()
    finally:
        watched.close()
    assert state["isolation"] == "none"
    assert state["limits"] == {"memory": "watch", "cpu": "none", "processes": "none"}
    assert failure["code"] == "OutOfMemory"


@pytest.mark.skipif(
    cgroup.detect().memory is None or cgroup.detect().cpu is None, reason="no control groups to write to"
)
def test_groups_are_made_and_removed(service: Service) -> None:
    hierarchy = cgroup.detect()

    def groups() -> set[str]:
        return {
            path.name
            for root in (hierarchy.memory, hierarchy.cpu)
            if root is not None
            for path in root.glob(f"{group_prefix(service.directory)}*")
        }

    service.apply(GREEDY % "pass", memory_bytes=LIMIT, cpu_cores=0.5)
    state = service.ready()
    assert state["limits"] == {"memory": "cgroup", "cpu": "cgroup", "processes": "none"}
    (name,) = groups()
    assert hierarchy.memory is not None
    assert hierarchy.cpu is not None
    pid = str(state["workers"][0]["pid"])
    assert pid in (hierarchy.memory / name / "cgroup.procs").read_text().split()
    if hierarchy.version == 1:
        assert pid in (hierarchy.cpu / name / "cgroup.procs").read_text().split()
        assert int((hierarchy.cpu / name / "cpu.cfs_quota_us").read_text()) == 50000
    service.apply(GREEDY % "pass", memory_bytes=LIMIT, cpu_cores=0.5)
    service.ready()
    until(lambda: len(groups()) == 1 and name not in groups(), "the old groups are removed")
    service.kill()
    service.restart()
    service.ready()
    service.client.stop(0)
    service.process.wait(10)
    assert groups() == set()


def test_the_supervisor_itself_is_not_limited(service: Service) -> None:
    service.apply(GREEDY % "pass", memory_bytes=LIMIT)
    state = service.ready()
    ours = Path(f"/proc/{os.getpid()}/cgroup").read_text()
    assert Path(f"/proc/{state['front']['pid']}/cgroup").read_text() == ours
