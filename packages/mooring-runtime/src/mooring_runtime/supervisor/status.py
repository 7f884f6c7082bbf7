"""The state of docs/protocols.md, section 5, from the machine's records."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from mooring_runtime.supervisor.failure import Failure
from mooring_runtime.supervisor.machine import Machine
from mooring_runtime.supervisor.model import FrontState, Group, Slot, Worker, WorkerState
from mooring_runtime.supervisor.spec import SCRIPT_ROOT, RevisionSpec, Spec


def state(
    machine: Machine,
    *,
    pids: Mapping[str, int],
    rss: Mapping[str, int],
    front_pid: int | None,
    port: int,
    url: str | None,
    limits: Mapping[str, str],
    sandbox: Mapping[str, object],
    functions: Mapping[str, object],
) -> dict[str, Any]:
    """The whole state but ``updated``.

    Args:
        machine: what is decided.
        pids: of the workers, by their id.
        rss: resident bytes of the workers, by their id; empty if not asked for.
        front_pid: of the front, if it runs.
        port: reserved; 0 if none is.
        url: of the service, if a port is reserved.
        limits: how memory, CPU and the number of processes are limited.
        sandbox: how workers are confined.
        functions: how the triggers of a function app do, by function.
    """
    spec = machine.spec
    wrong = failure(machine)
    return {
        "pid": os.getpid(),
        "service": spec.service if spec is not None else None,
        "generation": spec.generation if spec is not None else 0,
        "port": port,
        "url": url,
        "active_revision": active_revision(machine),
        "target_revision": spec.revision.id if spec is not None else None,
        "phase": phase(machine),
        "failure": wrong.to_json() if wrong is not None else None,
        "workers": workers(machine, pids, rss),
        "front": front(machine, front_pid),
        "isolation": sandbox["mode"],
        "sandbox": dict(sandbox),
        "limits": dict(limits),
        "functions": dict(functions),
    }


def phase(machine: Machine) -> str:
    """One of ``Starting, Ready, Switching, Degraded, Failed, Stopping``."""
    if machine.stopping:
        return "Stopping"
    if failure(machine) is not None:
        return "Failed"
    active = machine.active
    if active is None:
        return "Starting"
    if machine.target is not None or _growing(active):
        return "Switching"
    if active.ready and machine.front.record.state is FrontState.READY:
        return "Ready"
    untouched = not any(slot.restarts for slot in active.slots) and not machine.front.record.restarts
    return "Starting" if untouched and not _any_ready(active) else "Degraded"


def failure(machine: Machine) -> Failure | None:
    """What is wrong, the revision's failure first."""
    return machine.failure or machine.front.failure


def active_revision(machine: Machine) -> str | None:
    """The revision that answers."""
    return machine.active.revision.id if machine.active is not None else None


def measured(machine: Machine, rss: Mapping[str, int]) -> dict[str, Any]:
    """What the front cannot know: `mooring_runtime.front.scrape` describes the message."""
    spec = machine.spec
    return {
        "op": "measured",
        "revision": active_revision(machine),
        "target_revision": spec.revision.id if spec is not None else None,
        "restarts": dict(machine.restarts),
        "front_restarts": machine.front.record.restarts,
        "workers": [
            {name: row[name] for name in ("id", "revision", "state", "rss_bytes")}
            for row in workers(machine, {}, rss)
        ],
    }


def workers(machine: Machine, pids: Mapping[str, int], rss: Mapping[str, int]) -> list[dict[str, Any]]:
    """The ``workers`` member: the slots of the active and the target revision, and those leaving."""
    rows = []
    for group in (machine.active, machine.target):
        for slot in group.slots if group is not None else ():
            revision = group.revision.id if group is not None else ""
            rows.append(_row(slot.worker, revision, slot, pids, rss))
            if slot.successor is not None:
                rows.append(_row(slot.successor, revision, None, pids, rss))
    rows += [_row(worker, worker.revision.id, None, pids, rss) for worker in machine.leaving]
    return rows


def _row(
    worker: Worker | None,
    revision: str,
    slot: Slot | None,
    pids: Mapping[str, int],
    rss: Mapping[str, int],
) -> dict[str, Any]:
    state = "Exited" if worker is None else worker.state.value
    return {
        "id": worker.id if worker is not None else None,
        "pid": pids.get(worker.id) if worker is not None else None,
        "revision": revision,
        "state": "Draining" if state == "Stopping" else state,
        "restarts": slot.restarts if slot is not None else 0,
        "rss_bytes": rss.get(worker.id, 0) if worker is not None else 0,
        "last_exit": slot.last_exit if slot is not None else None,
    }


def front(machine: Machine, pid: int | None) -> dict[str, Any]:
    """The ``front`` member."""
    record = machine.front.record
    return {
        "pid": pid,
        "state": record.state.value,
        "restarts": record.restarts,
        "last_exit": record.last_exit,
    }


def front_sync(machine: Machine) -> dict[str, Any] | None:
    """What the front shall do: `mooring_runtime.front.service` describes the message."""
    spec = machine.spec
    if spec is None:
        return None
    ready = [slot.worker for slot in machine.active.slots] if machine.active is not None else []
    listed = [
        _listed(worker, drain=False)
        for worker in ready
        if worker is not None and worker.state is WorkerState.READY and worker.kill_at is None
    ]
    listed += [
        _listed(worker, drain=True)
        for worker in machine.leaving
        if worker.state is WorkerState.DRAINING and worker.kill_at is None
    ]
    first = next((worker for worker in ready if worker is not None and worker.ready_at is not None), None)
    return {
        "op": "sync",
        "service": spec.service,
        "auth_keys": list(spec.auth_keys),
        "max_request_bytes": spec.max_request_bytes,
        "scoring_timeout_ms": spec.scoring_timeout_ms,
        "max_queue": spec.max_queue,
        "max_queue_wait_ms": spec.max_queue_wait_ms,
        "active": machine.active is not None,
        "mode": first.mode if first is not None else "text",
        "schema": first.schema if first is not None else None,
        "app_root": machine.active.revision.app_root if machine.active is not None else None,
        "telemetry": telemetry(spec.revision if machine.active is None else machine.active.revision),
        "functions": functions_of(spec, machine.active.revision) if machine.active is not None else None,
        "metrics_open": machine.active is not None and metrics_open(machine.active.revision),
        "workers": listed,
    }


def _listed(worker: Worker, *, drain: bool) -> dict[str, Any]:
    batch = (worker.schema or {}).get("batch")
    named = {"id": worker.id, "socket": socket_name(worker.id), "mode": worker.mode}
    return {**named, "batch": batch, "drain": drain}


def socket_name(worker: str) -> str:
    """The name of a worker's socket in the run directory."""
    return f"{worker}.sock"


def telemetry(revision: RevisionSpec) -> dict[str, str]:
    """The OpenTelemetry variables of a revision."""
    return {name: value for name, value in revision.env.items() if name.startswith("OTEL_")}


def functions_of(spec: Spec, revision: RevisionSpec) -> dict[str, Any] | None:
    """What the front's function host shall serve (`mooring_runtime.functions.host`)."""
    if spec.functions is None or SCRIPT_ROOT not in revision.env:
        return None
    outside = revision.container.script_root if revision.container is not None else None
    return {
        "script_root": outside or revision.env[SCRIPT_ROOT],
        "settings": dict(revision.env),
        "host_id": spec.functions.host_id,
        "keys": dict(spec.functions.keys),
    }


def metrics_open(revision: RevisionSpec) -> bool:
    """Whether anybody may read the metrics of a service without keys."""
    return revision.env.get("MOORING_METRICS_OPEN", "").lower() == "true"


def _any_ready(group: Group) -> bool:
    return any(slot.worker is not None and slot.worker.state is WorkerState.READY for slot in group.slots)


def _growing(group: Group) -> bool:
    """Whether some slot has never had a ready worker although others have: the group was scaled up."""
    fresh = any(
        slot.restarts == 0 and (slot.worker is None or slot.worker.state is WorkerState.STARTING)
        for slot in group.slots
    )
    return fresh and _any_ready(group)
