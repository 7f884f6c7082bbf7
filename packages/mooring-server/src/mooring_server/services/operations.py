"""Long operations: their progress, their log, and waiting for them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timezone

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mooring_server.domain.errors import MooringError, NotFound
from mooring_server.domain.lifecycle import OperationState, Phase, Progress
from mooring_server.services.context import Context, WorkspaceRef, find_workspace
from mooring_server.services.phase_ages import PhaseAges
from mooring_server.services.views import OperationView
from mooring_server.store.tables import LogLine, Operation, Workspace, now


def start_operation(
    session: Session,
    workspace: Workspace,
    kind: str,
    plan: str,
    *,
    resource: str,
    resource_id: str,
    deadlines: Mapping[str, float] | None = None,
) -> Operation:
    """Record a new operation in the caller's transaction.

    Args:
        session: the transaction that also records what was asked for.
        workspace: where.
        kind: Azure's operation type (``CreateService``).
        plan: its phases, a key of `domain.lifecycle.PLANS`.
        resource: collection of the resource (``services``, ``images``).
        resource_id: its name or id there.
        deadlines: seconds for phases that have others than `domain.lifecycle.PHASE_DEADLINES`.
    """
    progress = Progress.plan(plan, deadlines, () if workspace.external_registry else ("Push",))
    operation = Operation(
        id=str(uuid.uuid4()),
        workspace_id=workspace.id,
        kind=kind,
        resource=resource,
        resource_id=resource_id,
        state=progress.state.value,
        phases=[asdict(p) for p in progress.phases],
        error=None,
        created=now(),
        ended=None,
    )
    session.add(operation)
    return operation


class Operations:
    """Reading and advancing operations."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def get(self, ref: WorkspaceRef, operation_id: str, *, after: int = 0) -> OperationView:
        """The operation with its log lines whose ``seq`` is above ``after``.

        Raises:
            NotFound: ``OperationNotFound``.
        """
        with self._context.db.read() as session:
            workspace = find_workspace(session, ref)
            operation = session.get(Operation, operation_id)
            if operation is None or operation.workspace_id != workspace.id:
                raise NotFound(
                    "OperationNotFound", f"There is no operation {operation_id!r}.", target=operation_id
                )
            lines = session.scalars(
                select(LogLine)
                .where(LogLine.operation_id == operation_id, LogLine.seq > after)
                .order_by(LogLine.seq)
            ).all()
            return _view(workspace, operation, list(lines), self._context.ages)

    def progress(self, operation_id: str) -> Progress | None:
        """Where the operation stands; None if it is not known."""
        with self._context.db.read() as session:
            operation = session.get(Operation, operation_id)
            return None if operation is None else progress_of(operation)

    def advance(self, operation_id: str, step: Callable[[Progress], Progress | None]) -> bool:
        """Apply one transition unless the operation has ended. Returns whether it was applied."""
        with self._context.db.write() as session:
            applied = advance(session, operation_id, step)
        if applied:
            self._context.signals.notify(operation_id)
        return applied

    def resume(self) -> int:
        """Begin the running phases anew after a start of the server; how many operations were under way.

        What was begun before is begun again, so that the time in which no server ran does not count.
        """
        with self._context.db.write() as session:
            running = session.scalars(
                select(Operation).where(Operation.state == OperationState.RUNNING.value)
            ).all()
            for operation in running:
                successor = progress_of(operation).resume(time.time())
                operation.phases = [asdict(p) for p in successor.phases]
        for operation in running:
            phase = progress_of(operation).current
            self.log(operation.id, phase.name if phase else "", "The server was started again; going on.")
        return len(running)

    def log(self, operation_id: str, phase: str, *messages: str) -> bool:
        """Append lines to the operation's log unless it has ended. Returns whether they were."""
        with self._context.db.write() as session:
            operation = session.get(Operation, operation_id)
            if operation is None or OperationState(operation.state).ended:
                return False
            last = (
                session.scalar(select(func.max(LogLine.seq)).where(LogLine.operation_id == operation_id)) or 0
            )
            for seq, message in enumerate(messages, last + 1):
                session.add(
                    LogLine(operation_id=operation_id, seq=seq, time=now(), phase=phase, message=message)
                )
        self._context.signals.notify(operation_id)
        return True

    def text(self, operation_id: str) -> str:
        """The whole log, one line each."""
        with self._context.db.read() as session:
            lines = session.scalars(
                select(LogLine).where(LogLine.operation_id == operation_id).order_by(LogLine.seq)
            )
            return "".join(f"{line.time} {line.phase:8} {line.message}\n" for line in lines)


class OperationReporter:
    """An `images.types.Reporter` that writes into an operation. Log lines are written in small batches.

    Args:
        operations: where it is written.
        operation_id: the operation.
        successor: asked when the operation has ended: the one that goes on with the work, or None if nobody wants
            it any more.

    Raises (all methods):
        MooringError: ``Superseded``; only with ``successor``. Without it, nothing is written any more.
    """

    _BATCH_SECONDS = 0.1

    def __init__(
        self, operations: Operations, operation_id: str, successor: Callable[[], str | None] | None = None
    ) -> None:
        self._operations = operations
        self._id = operation_id
        self._successor = successor
        self._phase = ""
        self._pending: list[str] = []
        self._flushed = time.monotonic()

    def phase(self, name: str, detail: str = "") -> None:
        """Enter a phase."""
        self.flush()
        self._phase = name
        self._operations.advance(self._id, lambda p: p.enter(name, time.time(), detail))
        if self._ended():
            self._operations.advance(self._id, lambda p: p.enter(name, time.time(), detail))

    def log(self, message: str) -> None:
        """One line."""
        self._pending.append(message)
        if time.monotonic() - self._flushed > self._BATCH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is pending."""
        lines, self._pending = self._pending, []
        self._flushed = time.monotonic()
        if lines and not self._operations.log(self._id, self._phase, *lines) and self._ended():
            self._operations.advance(self._id, lambda p: p.enter(self._phase, time.time()))
            self._operations.log(self._id, self._phase, *lines)

    def _ended(self) -> bool:
        """Whether the operation has ended and another has taken its place here."""
        if self._successor is None:
            return False
        progress = self._operations.progress(self._id)
        if progress is not None and not progress.state.ended:
            return False
        successor = self._successor()
        if successor is None or successor == self._id:
            raise MooringError("Superseded", "Nobody waits for this build any more.", status_code=409)
        self._id = successor
        return True


def advance(session: Session, operation_id: str, step: Callable[[Progress], Progress | None]) -> bool:
    """`Operations.advance` inside the caller's transaction."""
    operation = session.get(Operation, operation_id)
    if operation is None:
        return False
    progress = progress_of(operation)
    if progress.state.ended:
        return False
    successor = step(progress)
    if successor is None or successor == progress:
        return False
    operation.state = successor.state.value
    operation.phases = [asdict(p) for p in successor.phases]
    operation.error = dict(successor.error) if successor.error else None
    operation.ended = now() if successor.state.ended else None
    return True


def supersede(session: Session, operation_id: str, reason: str) -> None:
    """Cancel an operation whose resource was asked for something newer."""
    error = MooringError("Superseded", reason, phase="Run", status_code=409)
    advance(session, operation_id, lambda p: p.cancel(error, time.time()))


def progress_of(operation: Operation) -> Progress:
    """Where an operation stands, as the state machine knows it."""
    return Progress(
        OperationState(operation.state), tuple(Phase(**p) for p in operation.phases), operation.error
    )


def _view(workspace: Workspace, operation: Operation, lines: list[LogLine], ages: PhaseAges) -> OperationView:
    progress = progress_of(operation)
    return {
        "id": operation.id,
        "operationType": operation.kind,
        "state": operation.state,
        "createdTime": operation.created,
        "endTime": operation.ended,
        "resourceLocation": f"{workspace_path(workspace)}/{operation.resource}/{operation.resource_id}",
        "resourceId": operation.resource_id,
        "error": operation.error,
        "phases": [
            {
                "name": p.name,
                "state": p.state,
                "startedTime": _iso(p.started),
                "endTime": _iso(p.ended),
                "deadlineSeconds": p.deadline_seconds,
                "elapsedSeconds": _elapsed(operation, p, ages),
                "detail": p.detail,
            }
            for p in progress.phases
        ],
        "log": [{"seq": x.seq, "time": x.time, "phase": x.phase, "message": x.message} for x in lines],
    }


def workspace_path(workspace: Workspace) -> str:
    """The workspace's path in the native API."""
    return (
        f"/mooring/v1/subscriptions/{workspace.subscription}/resourceGroups/{workspace.resource_group}"
        f"/workspaces/{workspace.name}"
    )


def _elapsed(operation: Operation, phase: Phase, ages: PhaseAges) -> float | None:
    if phase.state == "Running":
        return round(ages.age(operation.id, phase.name), 3)
    if phase.started is None or phase.ended is None:
        return None
    return round(max(0.0, phase.ended - phase.started), 3)


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc).isoformat()
