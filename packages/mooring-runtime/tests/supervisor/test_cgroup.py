from __future__ import annotations

from pathlib import Path

import pytest

from mooring_runtime.supervisor.cgroup import Hierarchy, RevisionGroup, find, remove_left

V1_CGROUP = "5:memory:/jobs/a\n3:cpu,cpuacct:/\n1:name=systemd:/\n0::/\n"
V1_MOUNTS = """\
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
50 31 0:39 / / rw,relatime - ext4 /dev/sda rw
"""
V2_MOUNTS = "41 31 0:38 / /sys/fs/cgroup rw,relatime shared:1 - cgroup2 cgroup2 rw,nsdelegate\n"
CONTAINER_MOUNTS = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"


def test_find() -> None:
    assert find(V1_CGROUP, V1_MOUNTS) == Hierarchy(
        1, Path("/sys/fs/cgroup/memory/jobs/a"), Path("/sys/fs/cgroup/cpu,cpuacct")
    )
    own = Path("/sys/fs/cgroup/user.slice/me.scope")
    assert find("0::/user.slice/me.scope\n", V2_MOUNTS) == Hierarchy(2, own, own, own)
    assert find("0::/\n", "") == Hierarchy(2, None, None)
    inside = find("5:memory:/docker/abc/x\n", CONTAINER_MOUNTS)
    assert inside.memory == Path("/sys/fs/cgroup/memory/x")


def test_version_2_files(tmp_path: Path) -> None:
    group = RevisionGroup(Hierarchy(2, tmp_path, tmp_path), "g", 200 << 20, 0.5)
    assert (tmp_path / "g/memory.max").read_text() == str(200 << 20)
    assert (tmp_path / "g/run/cpu.max").read_text() == "50000 100000"
    assert group.joins == [tmp_path / "g/init/cgroup.procs"]
    assert group.memory_limit == 200 << 20
    assert group.cpu_limited
    (tmp_path / "g/run/cgroup.procs").touch()
    group.ready([42])
    assert (tmp_path / "g/run/cgroup.procs").read_text() == "42"
    (tmp_path / "g/memory.events").write_text("low 0\noom 2\noom_kill 2\n")
    (tmp_path / "g/memory.peak").write_text("123\n")
    assert group.oom_kills() == 2
    assert group.peak() == 123


def test_floors(tmp_path: Path) -> None:
    group = RevisionGroup(Hierarchy(2, tmp_path, tmp_path), "g", 1, 0.001)
    assert group.memory_limit == 64 << 20
    assert (tmp_path / "g/run/cpu.max").read_text() == "10000 100000"


def test_nothing_is_limited_where_nothing_is_asked_or_possible(tmp_path: Path) -> None:
    for group in (
        RevisionGroup(Hierarchy(2, tmp_path, tmp_path), "g", None, None),
        RevisionGroup(Hierarchy(2, None, None), "g", 1 << 30, 1.0),
        RevisionGroup(Hierarchy(1, tmp_path / "absent", tmp_path / "absent"), "g", 1 << 30, 1.0),
    ):
        assert group.joins == []
        assert group.memory_limit is None
        assert not group.cpu_limited
        assert group.oom_kills() == group.peak() == 0
        group.ready([1])
        assert group.remove()
    assert list(tmp_path.iterdir()) == []


def test_removal_waits_for_what_is_inside(tmp_path: Path) -> None:
    (tmp_path / "mooring-x-1" / "run").mkdir(parents=True)
    (tmp_path / "mooring-y-1").mkdir()
    remove_left(Hierarchy(2, tmp_path, tmp_path), "mooring-x-")
    assert [path.name for path in tmp_path.iterdir()] == ["mooring-y-1"]


@pytest.mark.parametrize("version", [1, 2])
def test_remove(tmp_path: Path, version: int) -> None:
    memory, cpu = tmp_path / "memory", tmp_path / "cpu"
    for root in (memory, cpu):
        root.mkdir()
    hierarchy = Hierarchy(1, memory, cpu) if version == 1 else Hierarchy(2, cpu, cpu)
    group = RevisionGroup(hierarchy, "g", 1 << 30, 1.0)
    assert not group.remove()  # plain files keep these folders, as processes keep a control group
    for file in [path for path in tmp_path.rglob("*") if path.is_file()]:
        file.unlink()
    assert group.remove()
    assert not list(memory.iterdir())
    assert not list(cpu.iterdir())
