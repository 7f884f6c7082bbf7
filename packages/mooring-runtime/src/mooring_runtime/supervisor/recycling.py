"""Which worker is replaced because it has grown, without I/O; a part of `machine.Machine`.

The replacement (a slot's *successor*) starts beside the worker, takes its place when ``init()`` has returned, and
only then the old one is drained: the service is never a worker short. One at a time, so that a revision never needs
memory for more than one worker beyond its own.
"""

from __future__ import annotations

from mooring_runtime.supervisor.model import Group, Slot, Worker, WorkerState

CAUSE = "MemoryGrowth"
# After a replacement that did not come up; the worker it was for serves meanwhile.
PAUSE_SECONDS = 30.0
MEBIBYTE = 1 << 20


def due(group: Group) -> Slot | None:
    """The slot whose worker is to be replaced next; None while another is being replaced."""
    if any(slot.successor is not None for slot in group.slots):
        return None
    grown = [slot for slot in group.slots if slot.worker is not None and _replaceable(slot.worker)]
    return min(grown, key=lambda slot: slot.restart_at, default=None)


def take_over(slot: Slot) -> Worker | None:
    """Puts the successor into its place; the worker before it."""
    worker, slot.worker, slot.successor = slot.worker, slot.successor, None
    return worker


def has_grown(worker: Worker, rss: int, now: float) -> bool:
    """Whether a worker with ``rss`` resident bytes is to be replaced.

    It must have served for as long as it took to start, so that a limit that is too low cannot make a service do
    nothing but start; one that needs more than the limit from the beginning stays: its replacement would as well.
    """
    limit = worker.revision.max_rss_bytes
    if limit is None or worker.state is not WorkerState.READY or worker.ready_at is None:
        return False
    rested = now - worker.ready_at >= worker.ready_at - worker.started_at
    return rested and rss > limit > worker.ready_rss


def _replaceable(worker: Worker) -> bool:
    return worker.grown_to is not None and worker.state is WorkerState.READY and worker.kill_at is None


def said(worker: Worker) -> str:
    """Why a worker was replaced."""
    limit = (worker.revision.max_rss_bytes or 0) // MEBIBYTE
    return f"replaced: grew to {(worker.grown_to or 0) // MEBIBYTE} MiB, MOORING_WORKER_MAX_RSS is {limit}"
