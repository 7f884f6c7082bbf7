"""Looks at the memory of workers: against limits that no control group holds, and for growth."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from mooring_runtime.supervisor import proctable, recycling
from mooring_runtime.supervisor.limits import WATCH_SECONDS, Limiter
from mooring_runtime.supervisor.machine import Machine
from mooring_runtime.supervisor.worker_process import WorkerProcess

GROWTH_SECONDS = 1.0

note = logging.getLogger("mooring.supervisor").info


class MemoryWatch:
    """Runs only while there is something to look at.

    Args:
        loop: the event loop.
        limiter: knows the limits to watch.
        machine: is told of workers that have grown.
        workers: the processes, by their id.
        changed: called when the machine has been told something.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limiter: Limiter,
        machine: Machine,
        workers: Mapping[str, WorkerProcess],
        changed: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._limiter = limiter
        self._machine = machine
        self._workers = workers
        self._changed = changed
        self._limits: asyncio.TimerHandle | None = None
        self._growth: asyncio.TimerHandle | None = None

    def schedule(self) -> None:
        """Begins to look if there is a reason to."""
        if self._limits is None and self._limiter.watching:
            self._limits = self._loop.call_later(WATCH_SECONDS, self._enforce)
        if self._growth is None and self._growing():
            self._growth = self._loop.call_later(GROWTH_SECONDS, self._compare)

    def rss(self) -> dict[str, int]:
        """Resident bytes of each worker and what it started."""
        entries = proctable.table()
        return {
            name: sum(entry.rss for entry in proctable.family(entries, process.child.pid))
            for name, process in self._workers.items()
        }

    def _growing(self) -> bool:
        active = self._machine.active
        return active is not None and active.revision.max_rss_bytes is not None

    def _enforce(self) -> None:
        """Kills what has grown above its limit, where no control group does."""
        self._limits = None
        for bounds in self._limiter.watching:
            processes = [p for p in self._workers.values() if p.revision.same_processes(bounds.revision)]
            pid = bounds.exceeded_by([process.child.pid for process in processes])
            for process in processes:
                if process.child.pid == pid:
                    process.child.kill()
        self.schedule()

    def _compare(self) -> None:
        self._growth = None
        now = self._loop.time()
        sizes = self.rss()
        for worker in list(self._machine.workers()):
            if worker.grown_to is None and recycling.has_grown(worker, sizes.get(worker.id, 0), now):
                worker.grown_to = sizes[worker.id]
                note(
                    "worker %s is %s", worker.id, recycling.said(worker).replace("replaced", "to be replaced")
                )
        self._changed()
        self.schedule()
