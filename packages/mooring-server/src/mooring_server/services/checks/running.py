"""Checks of what runs, and of what lies about: supervisors, service directories, temporary files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from mooring_runtime.supervisor import files, remains
from mooring_server.services.checks.finding import NOTE, WRONG, Finding
from mooring_server.settings import Home
from mooring_server.store.function_tables import FunctionApp
from mooring_server.store.profile_tables import Profile
from mooring_server.store.tables import Service

_STARTS = "`mooring up` starts it."


def services(session: Session, home: Home, *, live: bool) -> Iterator[Finding]:
    """Services that were deployed have a directory and a supervisor; what nobody deployed has neither."""
    root = home.services.absolute()
    here = (
        {p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")}
        if root.is_dir()
        else set()
    )
    running = {directory.name for directory in remains.supervisors(root).values()}
    known = {service.uid: service for service in session.scalars(select(Service))}
    apps = set(session.scalars(select(FunctionApp.uid)))
    apps.update(session.scalars(select(Profile.uid).where(Profile.state == "Running")))
    fix = "The server removes it when it starts: mooring down && mooring up."
    for uid in sorted(running - set(known) - apps):
        yield Finding(
            code="SupervisorUnknown",
            subject=uid,
            message="A supervisor runs for a service that the database does not know.",
            hint=fix,
        )
    for uid in sorted(here - running - set(known) - apps):
        yield Finding(
            code="ServiceUnknown",
            subject=str(root / uid),
            message="It is the directory of a service that the database does not know.",
            hint=fix,
        )
    for uid, service in known.items():
        if service.deleting or service.active_revision is None:
            continue
        subject = f"service {service.name}"
        if uid not in here:
            yield Finding(
                code="ServiceDirectoryLost",
                subject=subject,
                message=f"Its directory {root / uid} is gone, and with it its port and its logs.",
                hint="The server makes a new one, with a new port." if live else _STARTS,
            )
        elif uid not in running:
            yield Finding(
                code="SupervisorLost",
                subject=subject,
                message="It is deployed, but has no supervisor: it does not answer.",
                hint="Look at the server's log for why it cannot be started." if live else _STARTS,
                severity=WRONG if live else NOTE,
            )
        elif live and service.settled == service.generation:
            yield from _outdated(service, root / uid, subject)


def _outdated(service: Service, directory: Path, subject: str) -> Iterator[Finding]:
    spec = files.read_json(directory / files.SPEC) or {}
    if int(spec.get("generation") or 0) < service.generation:
        yield Finding(
            code="ServiceOutdated",
            subject=subject,
            message=f"Generation {service.generation} was asked for, {spec.get('generation')} runs.",
            hint="Look at the server's log for why it is not applied.",
        )


def leftovers(home: Home, *, since: float) -> Iterator[Finding]:
    """Temporary files of processes that were killed.

    Args:
        home: where.
        since: seconds since the epoch; what was changed later is in use.
    """
    places = (
        (home.content / "uploads", "*"),
        (home.cache / "tmp", "*"),
        (home.cache / "unpacked" / "tmp", "*"),
        (home.cache / "layers", ".*"),
        (home.cache / "locks", ".*"),
        (home.services, ".*"),
        (home.path, ".se*.json.*"),
    )
    for folder, pattern in places:
        for path in sorted(folder.glob(pattern)):
            try:
                changed = path.lstat().st_ctime
            except FileNotFoundError:  # it was in use, and is not any more
                continue
            if changed < since:
                yield Finding(
                    code="TemporaryLeft",
                    subject=str(path),
                    message="A process that was killed has left it.",
                    hint="The server removes it when it starts: mooring down && mooring up.",
                    severity=NOTE,
                )
