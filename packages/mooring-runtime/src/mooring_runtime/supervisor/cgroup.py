"""Limits by control groups, versions 1 and 2.

Version 1 has a hierarchy for each controller: a worker joins the revision's memory group before it runs
anything, and its CPU group once it is ready. Version 2 has one hierarchy, so the revision's group holds
``init`` and ``run``, and the worker moves from one to the other.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PERIOD_US = 100_000
MIN_CORES = 0.1
MIN_MEMORY = 64 << 20
SHARES_PER_CORE = 1024


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Where our own groups can be made.

    Attributes:
        version: 1 or 2.
        memory: the folder to make memory groups in; None if it cannot be limited.
        cpu: the folder to make CPU groups in; None if it cannot be limited.
        pids: the folder to make groups with a number of processes in; None if it cannot be limited.
    """

    version: int
    memory: Path | None
    cpu: Path | None
    pids: Path | None = None


def find(cgroup: str, mountinfo: str) -> Hierarchy:
    """Our hierarchy.

    Args:
        cgroup: the text of ``/proc/self/cgroup``.
        mountinfo: the text of ``/proc/self/mountinfo``.
    """
    mounts: dict[str, tuple[str, str]] = {}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        root, point = left.split(" ")[3:5]
        if kind == "cgroup2":
            mounts[""] = (root, point)
        elif kind == "cgroup":
            for option in options.split(","):
                mounts[option] = (root, point)
    places: dict[str, Path] = {}
    for line in cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            if controller in mounts:
                root, point = mounts[controller]
                relative = path[len(root) :] if root != "/" and path.startswith(root) else path
                places[controller] = Path(point) / relative.lstrip("/")
    if "memory" in places or "cpu" in places:
        return Hierarchy(1, places.get("memory"), places.get("cpu"), places.get("pids"))
    unified = places.get("")
    return Hierarchy(2, unified, unified, unified)


def own() -> Hierarchy:
    """Our hierarchy as it is, whether or not we may write to it."""
    return find(
        Path("/proc/self/cgroup").read_text(encoding="utf-8"),
        Path("/proc/self/mountinfo").read_text(encoding="utf-8"),
    )


def detect() -> Hierarchy:
    """Our hierarchy, as far as we may write to it; none with ``MOORING_CGROUPS=off`` set."""
    if os.environ.get("MOORING_CGROUPS") == "off":
        return Hierarchy(1, None, None)
    found = own()
    if found.version == 2 and found.memory is not None and not _delegate(found.memory):
        return Hierarchy(2, None, None)
    memory = found.memory if found.memory is not None and os.access(found.memory, os.W_OK) else None
    cpu = found.cpu if found.cpu is not None and os.access(found.cpu, os.W_OK) else None
    pids = found.pids if found.pids is not None and os.access(found.pids, os.W_OK) else None
    return Hierarchy(found.version, memory, cpu, pids)


def _delegate(own: Path) -> bool:
    """Makes a version 2 group pass the memory and CPU controllers on to its children.

    A group with children that have controllers holds no processes itself, so we move to a leaf of our own.
    """
    control = own / "cgroup.subtree_control"
    try:
        if not {"memory", "cpu"} <= set((own / "cgroup.controllers").read_text(encoding="utf-8").split()):
            return False
        if {"memory", "cpu"} <= set(control.read_text(encoding="utf-8").split()):
            return True
        leaf = own / "mooring-supervisor"
        leaf.mkdir(exist_ok=True)
        (leaf / "cgroup.procs").write_text(str(os.getpid()), encoding="utf-8")
        control.write_text("+memory +cpu", encoding="utf-8")
        if "pids" in (own / "cgroup.controllers").read_text(encoding="utf-8").split():
            control.write_text("+pids", encoding="utf-8")
    except OSError:
        return False
    return True


class RevisionGroup:
    """The control groups of one revision's workers.

    Attributes:
        memory_limit: bytes in force; None if memory is not limited here.
        cpu_limited: whether the CPU ceiling is in force for ready workers.
        processes_limited: whether the number of processes and threads is.
    """

    def __init__(
        self,
        hierarchy: Hierarchy,
        name: str,
        memory_bytes: int | None,
        cpu_cores: float | None,
        processes: int | None = None,
    ) -> None:
        self._version = hierarchy.version
        self._made: list[Path] = []
        self._memory: Path | None = None
        self._run: Path | None = None
        self._joins: Path | None = None
        self._pids: Path | None = None
        self.memory_limit: int | None = None
        self.cpu_limited = False
        self.processes_limited = False
        self._make(hierarchy, name, memory_bytes, cpu_cores)
        if processes is not None and hierarchy.pids is not None:
            self._make_pids(hierarchy.pids / name, processes)

    def _make(
        self, hierarchy: Hierarchy, name: str, memory_bytes: int | None, cpu_cores: float | None
    ) -> None:
        """Makes what can be made; what cannot leaves its attribute unset."""
        if memory_bytes is not None and hierarchy.memory is not None:
            limit = max(memory_bytes, MIN_MEMORY)
            try:
                self._memory = self._folder(hierarchy.memory / name)
                self._limit_memory(self._memory, limit)
                self.memory_limit = limit
                self._joins = self._memory
            except OSError:
                self._memory = None
        if cpu_cores is not None and hierarchy.cpu is not None:
            try:
                parent = self._folder(hierarchy.cpu / name)
                if self._version == 2:
                    (parent / "cgroup.subtree_control").write_text("+cpu", encoding="utf-8")
                    self._joins = self._folder(parent / "init")
                    parent = self._folder(parent / "run")
                self._limit_cpu(parent, max(cpu_cores, MIN_CORES))
                self._run = parent
                self.cpu_limited = True
            except OSError:
                self._run = None

    def _make_pids(self, path: Path, most: int) -> None:
        try:
            self._pids = self._folder(path)
            (self._pids / "pids.max").write_text(str(most), encoding="utf-8")
            self.processes_limited = True
        except OSError:
            self._pids = None

    def allow_processes(self, most: int) -> None:
        """Changes how many processes and threads there may be."""
        if self.processes_limited and self._pids is not None:
            (self._pids / "pids.max").write_text(str(most), encoding="utf-8")

    def _folder(self, path: Path) -> Path:
        if path not in self._made:
            path.mkdir()
            self._made.append(path)
        return path

    def _limit_memory(self, group: Path, limit: int) -> None:
        if self._version == 2:
            (group / "memory.max").write_text(str(limit), encoding="utf-8")
            if (group / "memory.swap.max").exists():
                (group / "memory.swap.max").write_text("0", encoding="utf-8")
            return
        (group / "memory.limit_in_bytes").write_text(str(limit), encoding="utf-8")
        if (group / "memory.memsw.limit_in_bytes").exists():
            (group / "memory.memsw.limit_in_bytes").write_text(str(limit), encoding="utf-8")

    def _limit_cpu(self, group: Path, cores: float) -> None:
        quota = int(cores * PERIOD_US)
        if self._version == 2:
            (group / "cpu.max").write_text(f"{quota} {PERIOD_US}", encoding="utf-8")
            return
        (group / "cpu.cfs_period_us").write_text(str(PERIOD_US), encoding="utf-8")
        (group / "cpu.cfs_quota_us").write_text(str(quota), encoding="utf-8")
        (group / "cpu.shares").write_text(str(max(2, int(cores * SHARES_PER_CORE))), encoding="utf-8")

    @property
    def joins(self) -> list[Path]:
        """The files a new process writes ``0`` to before it runs anything."""
        folders = [self._joins]
        if self._version == 1 or self._joins is None:
            folders.append(self._pids)
        return [folder / "cgroup.procs" for folder in folders if folder is not None]

    def ready(self, pids: list[int]) -> None:
        """Puts processes below the CPU ceiling; one that has ended meanwhile is of no matter."""
        if self._run is None:
            return
        for pid in pids:
            with suppress(ProcessLookupError):
                (self._run / "cgroup.procs").write_text(str(pid), encoding="utf-8")

    def oom_kills(self) -> int:
        """How many processes the kernel has killed for this limit."""
        if self._memory is None:
            return 0
        file = "memory.events" if self._version == 2 else "memory.oom_control"
        for line in (self._memory / file).read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(" ")
            if key == "oom_kill":
                return int(value)
        return 0

    def peak(self) -> int:
        """The most memory in use so far, in bytes."""
        names = ("memory.peak", "memory.current") if self._version == 2 else ("memory.max_usage_in_bytes",)
        for name in names:
            if self._memory is not None and (self._memory / name).exists():
                return int((self._memory / name).read_text(encoding="utf-8"))
        return 0

    def remove(self) -> bool:
        """Removes the groups; False while processes are left in them."""
        while self._made:
            try:
                self._made[-1].rmdir()
            except FileNotFoundError:
                self._made.pop()
                continue
            except OSError:
                return False
            self._made.pop()
        return True


def left(hierarchy: Hierarchy, prefix: str) -> list[Path]:
    """The groups whose names begin with ``prefix``."""
    roots = [root for root in (hierarchy.memory, hierarchy.cpu, hierarchy.pids) if root is not None]
    return sorted({group for root in roots for group in root.glob(f"{prefix}*")})


def remove_left(hierarchy: Hierarchy, prefix: str) -> None:
    """Removes the groups that a killed supervisor left; its processes have ended."""
    for group in left(hierarchy, prefix):
        for folder in (*sorted(group.glob("*/")), group):
            with suppress(OSError):  # in use after all: it costs nothing to leave it
                folder.rmdir()
