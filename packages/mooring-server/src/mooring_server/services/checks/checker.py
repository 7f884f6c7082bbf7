"""All checks of a data directory."""

from __future__ import annotations

import time

from mooring_server.services.checks import content, records, running, storage
from mooring_server.services.checks.finding import Finding, Report
from mooring_server.settings import Home
from mooring_server.store.content import ContentStore
from mooring_server.store.database import Database

# What is under way looks wrong for a moment; what is wrong stays so.
_AGAIN_SECONDS = 1.0


def check(home: Home, database: Database, *, deep: bool = False, since: float | None = None) -> Report:
    """Look at everything; nothing is changed.

    Args:
        home: the data directory.
        database: its database, whatever its schema.
        deep: also read every blob and compare its digest.
        since: when the running server was started (seconds since the epoch); None when none runs and the caller
            holds the lock of the home.
    """
    report = _look(home, database, deep=deep, since=since)
    if since is not None and report.findings:
        time.sleep(_AGAIN_SECONDS)
        again = _look(home, database, deep=deep, since=since)
        seen = {(f.code, f.subject) for f in report.findings}
        again.findings = [f for f in again.findings if (f.code, f.subject) in seen]
        return again
    return report


def _look(home: Home, database: Database, *, deep: bool, since: float | None) -> Report:
    report = Report()
    found = report.findings
    found += records.structure(database)
    live = since is not None
    if not any(f.code in {"DatabaseDamaged", "SchemaDiffers"} for f in found):
        found += records.references(database)
        # What is referred to now may be deleted while we look: of that, `check` looks again.
        with database.read() as session:
            blobs = content.ContentCheck(ContentStore(home.content), deep)
            found += records.counters(session)
            found += blobs.run(session)
            found += records.operations(session) if live else ()
            report.checked = blobs.counts()
            found += running.services(session, home, live=live)
            found += storage.accounts(session, home, deep=deep)
    found += running.leftovers(home, since=since if since is not None else float("inf"))
    return report


def missing_database(home: Home) -> Report:
    """The report for a data directory without a database."""
    if not (home.services.exists() or home.content.exists()):
        return Report()
    finding = Finding(
        code="DatabaseLost",
        subject=str(home.database),
        message="There are contents or services, but no database that says what they are.",
        hint="Restore a backup. `mooring up` would begin anew and remove these services.",
    )
    return Report([finding])
