"""Checks of the database: its pages, its references, its counters, its operations."""

from __future__ import annotations

import time
from collections.abc import Iterator

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mooring_server.domain.lifecycle import OperationState
from mooring_server.services.checks.finding import NOTE, Finding
from mooring_server.services.operations import progress_of
from mooring_server.store.database import HEAD, Database
from mooring_server.store.tables import Counter, Environment, Image, Model, Operation, Workspace

# The housekeeper looks each second; a machine that is very busy gets some more.
_LATE_SECONDS = 15.0
_COUNTED: dict[str, type[Model | Image | Environment]] = {
    "model": Model,
    "image": Image,
    "environment": Environment,
}


def structure(database: Database) -> Iterator[Finding]:
    """What makes everything else in the database doubtful."""
    damage = database.damage()
    if damage:
        yield Finding(
            code="DatabaseDamaged",
            subject="mooring.db",
            message=f"The database is damaged: {'; '.join(damage)[:1000]}",
            hint="Stop the server (`mooring down`; services go on) and restore a backup. Look for failing disks.",
        )
        return
    version = database.version()
    if version != HEAD:
        newer = version is not None and version > HEAD
        yield Finding(
            code="SchemaDiffers",
            subject="mooring.db",
            message=f"The database has schema {version}, this Mooring writes schema {HEAD}.",
            hint="Use the Mooring version that wrote it." if newer else "`mooring up` upgrades it.",
            severity="wrong" if newer else NOTE,
        )


def references(database: Database) -> Iterator[Finding]:
    """Rows that refer to rows that are gone."""
    for table, row, parent in database.dangling():
        yield Finding(
            code="ForeignKeyBroken",
            subject=f"{table} row {row}",
            message=f"It refers to a row of {parent} that does not exist.",
            hint="Somebody has changed the database by other means than Mooring. Restore a backup.",
        )


def counters(session: Session) -> Iterator[Finding]:
    """A version that was given must never be given again."""
    for kind, table in _COUNTED.items():
        highest = (
            select(table.workspace_id, table.name, func.max(table.version))
            .group_by(table.workspace_id, table.name)
            .order_by(table.workspace_id, table.name)
        )
        for workspace, name, version in session.execute(highest):
            counter = session.get(Counter, (workspace, kind, name))
            last = counter.last if counter is not None else 0
            if last < version:
                yield Finding(
                    code="CounterBehind",
                    subject=f"{kind} {name} in {session.get_one(Workspace, workspace).name}",
                    message=f"Version {version} exists, but the last one given is recorded as {last}.",
                    hint="The next registration of this name would fail. Restore a backup, or delete the versions "
                    f"above {last}.",
                )


def operations(session: Session) -> Iterator[Finding]:
    """No operation may run past the deadline of its phase."""
    running = select(Operation).where(Operation.state == OperationState.RUNNING.value)
    for operation in session.scalars(running):
        phase = progress_of(operation).current
        if phase is None or phase.started is None:
            continue
        expires = phase.started + phase.deadline_seconds
        if expires + _LATE_SECONDS < time.time():
            yield Finding(
                code="OperationOverdue",
                subject=f"{operation.kind} of {operation.resource_id}",
                message=f"Phase {phase.name} should have ended {time.time() - expires:.0f} s ago.",
                hint="Restart the server: mooring down && mooring up. Please report it with the server's log.",
            )
