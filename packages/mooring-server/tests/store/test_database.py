"""The database: schema, transactions, concurrency."""

import threading
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text

from mooring_server.domain.errors import MooringError
from mooring_server.store import arm_tables, bus_tables, function_tables
from mooring_server.store import database as module
from mooring_server.store.database import HEAD, Database
from mooring_server.store.tables import Base, Workspace, now


def workspace(name: str) -> Workspace:
    return Workspace(
        key=name,
        subscription="s",
        resource_group="g",
        name=name,
        uid=name,
        location="",
        friendly_name="",
        description="",
        tags={},
        registry_name=name,
        registry_password="",
        registry_password2="",
        created=now(),
    )


def test_head_is_the_newest_migration() -> None:
    folder = Path(module.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_current_head() == HEAD


def test_migrations_give_the_tables_as_they_are_declared(tmp_path: Path) -> None:
    migrated = Database.open(tmp_path / "a.db")
    declared = Database(f"sqlite:///{tmp_path / 'b.db'}")
    Base.metadata.create_all(declared.engine)
    for declaring in (arm_tables.ResourceGroup, bus_tables.BusQueue, function_tables.FunctionApp):
        assert declaring.__tablename__ in Base.metadata.tables
    for table in Base.metadata.tables:
        for of in ("get_columns", "get_unique_constraints", "get_indexes", "get_foreign_keys"):
            left, right = (
                sorted(map(repr, getattr(inspect(d.engine), of)(table))) for d in (migrated, declared)
            )
            assert left == right, (table, of)
    migrated.close()
    declared.close()


def test_newer_data_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    Database.open(path).close()
    newer = Database(f"sqlite:///{path}")
    with newer.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    newer.close()
    with pytest.raises(MooringError) as caught:
        Database.open(path)
    assert caught.value.code == "DataTooNew"


def test_opening_again_migrates_nothing_and_keeps_the_data(tmp_path: Path) -> None:
    first = Database.open(tmp_path / "m.db")
    with first.write() as session:
        session.add(workspace("kept"))
    first.close()
    second = Database.open(tmp_path / "m.db")
    with second.read() as session:
        assert session.scalars(select(Workspace.name)).all() == ["kept"]
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
        assert session.scalar(text("PRAGMA foreign_keys")) == 1
    second.close()
    assert (tmp_path / "m.db").stat().st_mode & 0o077 == 0


def test_a_block_that_raises_writes_nothing(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "m.db")
    with pytest.raises(RuntimeError), database.write() as session:
        session.add(workspace("lost"))
        session.flush()
        raise RuntimeError
    with database.read() as session:
        assert session.scalars(select(Workspace)).all() == []
    database.close()


def test_writers_take_turns_and_readers_do_not_wait(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "m.db")
    errors: list[Exception] = []

    def write(thread: int) -> None:
        try:
            for i in range(20):
                with database.write() as session:
                    session.add(workspace(f"w{thread}-{i}"))
                with database.read() as session:
                    assert session.scalar(select(Workspace).where(Workspace.key == f"w{thread}-{i}"))
        except Exception as error:  # noqa: BLE001 - reported below
            errors.append(error)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    with database.write() as session:
        session.add(workspace("held"))
        session.flush()
        for thread in threads:
            thread.start()
        with database.read() as reader:  # while the write transaction is open
            assert reader.scalars(select(Workspace)).all() == []
    for thread in threads:
        thread.join()
    assert not errors
    with database.read() as session:
        assert len(session.scalars(select(Workspace.id)).all()) == 81
    database.close()
