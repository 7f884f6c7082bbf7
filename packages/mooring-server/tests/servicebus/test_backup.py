"""Messages in a backup: those of one instant, while the broker goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mooring_server.servicebus.counts import read_counts
from mooring_server.servicebus.queue import Message
from mooring_server.servicebus.store import Added, Store
from mooring_server.services.backups import Backup, pieces
from mooring_server.services.restores import restore
from mooring_server.settings import Home, Settings
from mooring_server.store.archive import MESSAGES
from mooring_server.store.content import ContentStore
from mooring_server.store.database import Database
from mooring_server.store.retention import Retention


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.open(tmp_path / "home")
    Settings("the token", 4711).save(home)
    Database.open(home.database).close()
    return home


@contextmanager
def opened(home: Home) -> Iterator[Store]:
    store = Store(home.bus / MESSAGES, lambda _function: None)
    try:
        yield store
    finally:
        store.close()


def add(store: Store, text: bytes) -> None:
    store.write([Added("uid", Message(store.next_seq(), len(text), 1.0), text)], lambda: None)


def archive_of(home: Home, path: Path) -> Path:
    backup = Backup(home, ContentStore(home.content), Retention())
    path.write_bytes(b"".join(pieces(backup)))
    backup.close()
    return path


def test_messages_and_port_come_back(tmp_path: Path, home: Home) -> None:
    home.bus.mkdir(mode=0o700)
    (home.bus / "port").write_text("4712")
    with opened(home) as store:
        for number in range(100):
            add(store, b"%d" % number)
    with opened(home) as store:
        path = archive_of(home, tmp_path / "backup.tar")
        add(store, b"after the backup")
    other = Home.open(tmp_path / "other")
    restore(other, path, lambda _done, _total: None, force=False)
    assert read_counts(other.bus / MESSAGES, ["uid"])["uid"].active == 100
    assert (other.bus / "port").read_text() == "4712"
    with opened(other) as store:
        assert [store.body(message.seq) for _, message in store.load()] == [b"%d" % n for n in range(100)]
    restore(home, path, lambda _done, _total: None, force=True)
    assert read_counts(home.bus / MESSAGES, ["uid"])["uid"].active == 100


def test_where_no_broker_ever_ran_there_is_nothing_of_it(tmp_path: Path, home: Home) -> None:
    path = archive_of(home, tmp_path / "backup.tar")
    other = Home.open(tmp_path / "other")
    restore(other, path, lambda _done, _total: None, force=False)
    assert not (other.bus / MESSAGES).exists()
