"""Memory and CPU limits of revisions: by control group where possible, else memory is watched."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from mooring_runtime.supervisor import cgroup, proctable
from mooring_runtime.supervisor.diagnose import OutOfMemory
from mooring_runtime.supervisor.spec import RevisionSpec

WATCH_SECONDS = 0.25
PROCESSES = 1024  # and threads, of each worker and what it starts


@dataclass(slots=True, eq=False)
class Bounds:
    """The limits of one revision.

    Attributes:
        revision: whose.
        group: its control groups.
        watched: bytes to watch for, where no control group limits memory.
        killed: why workers were killed, by pid.
    """

    revision: RevisionSpec
    group: cgroup.RevisionGroup
    watched: int | None
    kills_seen: int = 0
    killed: dict[int, OutOfMemory] = field(default_factory=dict)

    @property
    def count_processes(self) -> bool:
        """Whether the number of processes is the user's limit (rlimit), which the kernel does not hold root to."""
        return self.revision.sandbox is not None and not self.group.processes_limited and os.geteuid() != 0

    def out_of_memory(self, pid: int) -> OutOfMemory | None:
        """Whether the worker that has just died by SIGKILL died for its memory."""
        if pid in self.killed:
            return self.killed.pop(pid)
        kills = self.group.oom_kills()
        if kills > self.kills_seen and self.group.memory_limit is not None:
            self.kills_seen += 1
            return OutOfMemory(self.group.memory_limit, self.group.peak())
        return None

    def exceeded_by(self, leaders: list[int]) -> int | None:
        """The largest of the workers ``leaders`` if together they use more memory than is watched for."""
        if self.watched is None or not leaders:
            return None
        entries = proctable.table()
        sizes = {pid: sum(entry.rss for entry in proctable.family(entries, pid)) for pid in leaders}
        used = sum(sizes.values())
        if used <= self.watched:
            return None
        largest = max(sizes, key=sizes.__getitem__)
        self.killed[largest] = OutOfMemory(self.watched, used)
        return largest


def group_prefix(directory: Path) -> str:
    """How the names of a service's control groups begin."""
    return f"mooring-{hashlib.sha256(str(directory).encode()).hexdigest()[:12]}-"


class Limiter:
    """Makes and removes the limits of revisions.

    Args:
        directory: the service's; names its groups, so that those left by a killed supervisor are found.
        hierarchy: None to find out.
    """

    def __init__(self, directory: Path, hierarchy: cgroup.Hierarchy | None = None) -> None:
        self._hierarchy = hierarchy or cgroup.detect()
        self._prefix = group_prefix(directory)
        self._count = 0
        self._bounds: list[Bounds] = []
        self._stale: list[Bounds] = []
        cgroup.remove_left(self._hierarchy, self._prefix)

    def bounds(self, revision: RevisionSpec) -> Bounds:
        """The limits of a revision, made at the first call."""
        for bounds in self._bounds:
            if bounds.revision.same_processes(revision):
                bounds.group.allow_processes(PROCESSES * revision.workers)
                return bounds
        self._count += 1
        name = f"{self._prefix}{self._count}"
        outside = revision.container is not None  # the engine holds it to its limits
        group = cgroup.RevisionGroup(
            cgroup.Hierarchy(self._hierarchy.version, None, None) if outside else self._hierarchy,
            name,
            revision.memory_bytes,
            revision.cpu_cores,
            PROCESSES * revision.workers if revision.sandbox is not None else None,
        )
        watched = None
        if revision.memory_bytes is not None and group.memory_limit is None and not outside:
            watched = max(revision.memory_bytes, cgroup.MIN_MEMORY)
        made = Bounds(revision, group, watched)
        self._bounds.append(made)
        return made

    def keep(self, revisions: list[RevisionSpec]) -> None:
        """Removes the limits of all other revisions."""
        kept: list[Bounds] = []
        for bounds in self._bounds:
            used = any(bounds.revision.same_processes(revision) for revision in revisions)
            (kept if used else self._stale).append(bounds)
        self._bounds = kept
        self._stale = [bounds for bounds in self._stale if not bounds.group.remove()]

    @property
    def stale(self) -> bool:
        """Whether groups are left to remove: the kernel keeps them for a moment after the last process."""
        return bool(self._stale)

    @property
    def watching(self) -> list[Bounds]:
        """The limits that need watching."""
        return [bounds for bounds in self._bounds if bounds.watched is not None]

    def isolation(self, revision: RevisionSpec | None) -> dict[str, str]:
        """How ``memory``, ``cpu`` and ``processes`` are limited: ``cgroup``, ``watch``, ``rlimit`` or ``none``."""
        found = [b for b in self._bounds if revision is not None and b.revision.same_processes(revision)]
        if not found:
            return {"memory": "none", "cpu": "none", "processes": "none"}
        bounds = found[0]
        if bounds.revision.container is not None:
            limited = bounds.revision.memory_bytes is not None, bounds.revision.cpu_cores is not None, True
            names = ("memory", "cpu", "processes")
            return {name: "cgroup" if by else "none" for name, by in zip(names, limited, strict=True)}
        watched = "watch" if bounds.watched is not None else "none"
        counted = "rlimit" if bounds.count_processes else "none"
        return {
            "memory": "cgroup" if bounds.group.memory_limit is not None else watched,
            "cpu": "cgroup" if bounds.group.cpu_limited else "none",
            "processes": "cgroup" if bounds.group.processes_limited else counted,
        }
