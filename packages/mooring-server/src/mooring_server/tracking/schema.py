"""The tracking server's database, brought to the schema of the MLflow that is installed."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from mooring_server.store.database import snapshot


class DatabaseTooNewError(Exception):
    """The database has a schema that the installed MLflow does not know: a newer one has written it."""


def prepare(database: Path) -> None:
    """Make the database, or bring it to the installed MLflow's schema.

    SQLite commits the statements of a migration one by one, so it is done in a copy, which takes the database's place
    when it is complete: whatever ends this process, the old or the new one is there. The old one is kept beside it
    as ``mlflow.db.<its schema>``.

    Raises:
        DatabaseTooNewError: nothing was changed.
    """
    # Only here: MLflow reads its variables when its modules are imported.
    from mlflow.store.db.utils import _safe_initialize_tables, _upgrade_db, create_sqlalchemy_engine

    known = _known()
    found = _schema(database)
    if found == known[0]:
        return
    if found is not None and found not in known:
        raise DatabaseTooNewError(
            f"{database} has the schema {found}, which the MLflow that is installed here does not know."
        )
    copy = database.with_name(f".{database.name}.new")
    for left in database.parent.glob(f".*{database.name}*"):  # of a process that was killed
        left.unlink()
    if database.exists():
        snapshot(database, copy)
    engine = create_sqlalchemy_engine(f"sqlite:///{copy}")
    try:
        if found is None:
            _safe_initialize_tables(engine)
        else:
            _upgrade_db(engine)
    finally:
        engine.dispose()
    _sync(copy)
    if found is not None:
        snapshot(database, database.with_name(f"{database.name}.{found}"))
    copy.replace(database)
    _sync(database.parent)


def _known() -> list[str]:
    """Schemas of the installed MLflow, its own first."""
    from alembic.script import ScriptDirectory
    from mlflow.store.db.utils import _get_alembic_config

    script = ScriptDirectory.from_config(_get_alembic_config(""))
    return [revision.revision for revision in script.walk_revisions()]


def _schema(database: Path) -> str | None:
    """The schema's name; None when there is no database, or one whose making was interrupted."""
    if not database.exists():
        return None
    with closing(sqlite3.connect(database)) as connection:
        table = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"
        if connection.execute(table).fetchone() is None:
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
