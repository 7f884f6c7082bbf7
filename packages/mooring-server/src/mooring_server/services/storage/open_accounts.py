"""The accounts whose data are open. They are opened when somebody first asks, and closed when they are deleted."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mooring_server.services.storage.accounts import Credentials, StorageAccounts
from mooring_server.services.storage.open_account import OpenAccount
from mooring_server.store.storage.ledger import Ledger

_THREADS = 8


def directory_of(root: Path, name: str, uid: str) -> Path:
    """Where an account's data are."""
    return root / f"{name}-{uid[:12]}"


class OpenAccounts:
    """Finds an account by its name.

    Args:
        accounts: know which exist.
        root: below it each has a directory.
        notify: is told the name of an account whose blobs have changed, from any thread.
    """

    def __init__(self, accounts: StorageAccounts, root: Path, notify: Callable[[str], None]) -> None:
        self._accounts = accounts
        self._root = root
        self._notify = notify
        self._lock = threading.Lock()
        self._open: dict[str, OpenAccount] = {}
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="storage")
        accounts.changed = self.refresh

    def get(self, name: str) -> OpenAccount | None:
        """The account if it is open."""
        return self._open.get(name)

    def open(self, name: str) -> OpenAccount | None:
        """The account, opened if need be; None when there is none."""
        with self._lock:
            found = self._open.get(name)
            if found is not None:
                return found
            credentials = self._accounts.credentials(name)
            if credentials is None:
                return None
            directory = directory_of(self._root, name, credentials.uid)
            ledger = Ledger(directory, self._pool, lambda: self._notify(name))
            self._open[name] = made = OpenAccount(credentials, ledger, self._pool)
            return made

    def refresh(self, name: str) -> None:
        """The account was deleted, or has other keys now."""
        with self._lock:
            found = self._open.pop(name, None)
            credentials = self._accounts.credentials(name)
            if found is not None and credentials is not None and credentials.uid == found.credentials.uid:
                self._open[name] = OpenAccount(credentials, found.ledger, self._pool)
                return
            if found is not None:
                found.ledger.close()
        self.clean_stale()

    def clean_stale(self) -> int:
        """Remove the data of accounts that are not there any more, also of those that were deleted in a crash."""
        removed = 0
        if not self._root.exists():
            return removed
        with self._lock:
            known = {directory_of(self._root, c.name, c.uid).name for c in self._accounts.all_credentials()}
            for directory in self._root.iterdir():
                if directory.name not in known:
                    shutil.rmtree(directory, ignore_errors=True)
                    removed += 1
        return removed

    def known(self) -> Sequence[Credentials]:
        """All accounts."""
        return self._accounts.all_credentials()

    def close(self) -> None:
        """Finish what is under way."""
        with self._lock:
            for account in self._open.values():
                account.ledger.close()
            self._open.clear()
        self._pool.shutdown()
