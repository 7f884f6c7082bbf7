"""The database: SQLAlchemy on SQLite in WAL mode, brought to the newest schema when opened."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session, sessionmaker

from mooring_server.domain.errors import MooringError

# The newest revision below migrations/versions; a test keeps it in step.
HEAD = "0030"
_MIGRATIONS = Path(__file__).parent / "migrations"


class Database:
    """Sessions on one database.

    Reads run concurrently. Writes take their turn on a lock before SQLite's own (``BEGIN IMMEDIATE``), so that
    they wait without polling; other databases need neither.
    """

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        self._writing = threading.Lock()

    @classmethod
    def open(cls, path: Path) -> Database:
        """Open the SQLite file, creating it or migrating it to `HEAD` first.

        Raises:
            MooringError: ``DataTooNew`` when a newer Mooring wrote it; nothing was changed.
        """
        # Before SQLite opens it: its -wal and -shm files get the mode that the database has then.
        path.touch(mode=0o600)
        for file in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
            if file.exists():
                file.chmod(0o600)
        database = cls(f"sqlite:///{path}")
        database.migrate()
        return database

    def migrate(self) -> None:
        """Bring the schema to `HEAD`, keeping a copy of the old data beside it.

        Alembic is imported only when there is something to do.

        Raises:
            MooringError: ``DataTooNew``, ``MigrationFailed``; nothing was changed.
        """
        current = self.version()
        if current == HEAD:
            return
        if current is not None and current > HEAD:
            raise MooringError(
                "DataTooNew",
                f"The data directory has schema {current}, this Mooring knows schemas up to {HEAD}.",
                hint="Use the Mooring version that wrote it, or a newer one.",
                phase="Start",
                status_code=500,
            )
        if current is not None:
            self._keep_copy(current)
        self._upgrade()

    def _keep_copy(self, revision: str) -> None:
        """``mooring.db.<revision>.bak``: the data as they were, for going back to the Mooring that wrote them."""
        path = self.engine.url.database
        if self.engine.dialect.name == "sqlite" and path not in {None, "", ":memory:"}:
            snapshot(Path(str(path)), Path(f"{path}.{revision}.bak"))

    def _upgrade(self) -> None:
        """All migrations in one transaction: what is killed in the middle has changed nothing."""
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        with self.engine.connect().execution_options(mooring_write=True) as connection:
            sqlite = self.engine.dialect.name == "sqlite"
            if sqlite:
                # A migration that makes a table anew drops the old one, and with foreign keys on that would delete
                # what refers to it. The pragma has no effect inside of a transaction: past SQLAlchemy, before it.
                _driver(connection).execute("PRAGMA foreign_keys=OFF").close()
            with connection.begin():
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
                broken = sqlite and connection.execute(text("PRAGMA foreign_key_check")).all()
                if broken:
                    raise MooringError(
                        "MigrationFailed",
                        f"Bringing the data to schema {HEAD} would have lost references: {broken[:3]}.",
                        hint="Nothing was changed. This is a defect in Mooring; use the version that wrote the data.",
                        phase="Start",
                    )
            if sqlite:
                _driver(connection).execute("PRAGMA foreign_keys=ON").close()

    def version(self) -> str | None:
        """The schema revision of the data, or None when there is none yet."""
        with self.engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading; what it loaded stays usable afterwards."""
        with self._sessions() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that commits at the end, or rolls back when the block raises."""
        with self._writing, self._sessions() as session:
            session.connection(execution_options={"mooring_write": True})
            try:
                yield session
                session.commit()
            except BaseException:
                session.rollback()
                raise

    def damage(self) -> list[str]:
        """What the database itself finds wrong with its pages and indexes; empty when it is sound."""
        if self.engine.dialect.name != "sqlite":
            return []
        try:
            with self.engine.connect() as connection:
                lines = connection.execute(text("PRAGMA integrity_check(20)")).scalars().all()
        except DatabaseError as error:
            return [str(error.orig)]
        return [str(line) for line in lines if line != "ok"]

    def dangling(self) -> list[tuple[str, int, str]]:
        """Rows that refer to nothing: table, row and the table referred to."""
        if self.engine.dialect.name != "sqlite":
            return []  # others never let it come to that
        with self.engine.connect() as connection:
            rows = connection.execute(text("PRAGMA foreign_key_check")).all()
        return [(str(row[0]), int(row[1] or 0), str(row[2])) for row in rows]

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def snapshot(path: Path, target: Path) -> None:
    """Copy a SQLite file as it is at one instant, while others go on writing to it.

    The copy (0600) is one file, complete and on disk when it appears under its name.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(temporary)) as copy:
            source.execute("PRAGMA busy_timeout=30000").close()
            # All pages in one step: with WAL that is one read transaction, which keeps no writer waiting.
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE").close()
        os.fsync(descriptor)
        temporary.replace(target)
    finally:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - by the dialect
    return driver


def _engine(url: str) -> Engine:
    engine = create_engine(url, connect_args={"check_same_thread": False} if "sqlite" in url else {})
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say, see _begin_sqlite
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Any) -> None:
    options = connection.get_execution_options()
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("mooring_write") else "BEGIN")
