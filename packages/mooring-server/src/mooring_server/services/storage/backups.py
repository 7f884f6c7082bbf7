"""Storage accounts in a backup: each account's database as it is at one instant, and the bodies that it names."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mooring_server.services.storage.open_accounts import OpenAccounts, directory_of
from mooring_server.store import archive
from mooring_server.store.database import snapshot
from mooring_server.store.storage.bodies import Bodies
from mooring_server.store.storage.ledger import Tx
from mooring_server.store.storage.schema import references

Account = tuple[str, str]


@dataclass
class AccountCopies:
    """What goes into the archive. `close` lets the bodies go.

    Attributes:
        entries: databases and bodies.
    """

    entries: list[archive.Entry] = field(default_factory=list)
    _held: list[Callable[[], None]] = field(default_factory=list)

    def add(self, root: Path, account: Account, live: OpenAccounts | None, temporary: Path) -> None:
        """Copy an account that may be at work.

        Args:
            root: where the accounts' data are.
            account: its name and ``uid``.
            live: the running server's accounts, None when no server runs and the caller holds the home's lock.
            temporary: a directory for the copy; it may be removed afterwards.
        """
        name, uid = account
        directory = directory_of(root, name, uid)
        if not (directory / "account.db").exists():
            return  # nobody has used it yet
        copy = temporary / f"{directory.name}.db"
        at_work = live.open(name) if live is not None else None
        if at_work is not None and at_work.credentials.uid == uid:
            bodies = at_work.ledger.bodies
            # In a write's turn: what the copy names cannot go before it is held.
            names = at_work.ledger.write(partial(_copy, directory / "account.db", copy, bodies)).result()
        else:
            bodies = Bodies(directory / "bodies")
            names = _copy(directory / "account.db", copy, bodies, None)
        self._held.append(lambda: bodies.release(names))
        database = copy.open("rb")
        self._held.append(database.close)
        prefix = f"storage/{directory.name}"
        self.entries.append(archive.Entry(f"{prefix}/account.db", copy.stat().st_size, lambda: database))
        for body in sorted(names):
            size = bodies.path(body).stat().st_size
            entry = archive.Entry(f"{prefix}/bodies/{body[:2]}/{body}", size, partial(bodies.open, body))
            self.entries.append(entry)

    def close(self) -> None:
        """Let go."""
        for release in self._held:
            release()
        self._held.clear()


def copy_accounts(
    root: Path, accounts: Iterable[Account], live: OpenAccounts | None, temporary: Path
) -> AccountCopies:
    """Copies of all accounts."""
    copies = AccountCopies()
    try:
        for account in accounts:
            copies.add(root, account, live, temporary)
    except BaseException:
        copies.close()
        raise
    return copies


def _copy(database: Path, target: Path, bodies: Bodies, _tx: Tx | None) -> set[str]:
    snapshot(database, target)
    with closing(sqlite3.connect(target)) as connection:
        names = references(connection)
    for name in names:
        bodies.reserve(name)
    return names
