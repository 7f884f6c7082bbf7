"""Tells at once when a process that is nobody's child of ours has ended."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class ProcessWatch:
    """Watches one process for each name, by pidfd: one thread asleep in the kernel for all of them.

    Where there are no pidfds (before Linux 5.3) it never tells anything, and whoever asks from time to time finds out
    then.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._poll = select.epoll()
        self._pids: dict[str, tuple[int, int]] = {}  # pid and its descriptor, by name
        self._names: dict[int, str] = {}
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll.register(self._wake, select.EPOLLIN)
        self._thread: threading.Thread | None = None
        self._closed = False

    def start(self, ended: Callable[[str], None]) -> None:
        """From now on call ``ended`` with the name, in a thread of the watch's own."""
        self._thread = threading.Thread(target=self._run, args=(ended,), name="process-watch", daemon=True)
        self._thread.start()

    def add(self, name: str, pid: int) -> None:
        """Watch this process under the name, in place of the one before."""
        with self._lock:
            if self._closed or self._pids.get(name, (0, 0))[0] == pid:
                return
            self._drop(name)
            try:
                descriptor = os.pidfd_open(pid)
            except OSError:  # it has ended already, which the next look finds; or there are no pidfds
                return
            self._pids[name] = (pid, descriptor)
            self._names[descriptor] = name
            self._poll.register(descriptor, select.EPOLLIN)

    def forget(self, name: str) -> None:
        """Its end is expected."""
        with self._lock:
            self._drop(name)

    def stop(self) -> None:
        """End the thread and close everything."""
        if self._closed:
            return
        os.eventfd_write(self._wake, 1)
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            self._closed = True
            for name in list(self._pids):
                self._drop(name)
            self._poll.close()
            os.close(self._wake)

    def _drop(self, name: str) -> None:
        _, descriptor = self._pids.pop(name, (0, None))
        if descriptor is not None:
            del self._names[descriptor]
            with contextlib.suppress(FileNotFoundError):
                self._poll.unregister(descriptor)
            os.close(descriptor)

    def _run(self, ended: Callable[[str], None]) -> None:
        while True:
            ready = [descriptor for descriptor, _ in self._poll.poll()]
            if self._wake in ready:
                return
            with self._lock:
                names = [self._names[d] for d in ready if d in self._names]
                for name in names:
                    self._drop(name)
            for name in names:
                log.warning("the supervisor of service %s has ended", name)
                ended(name)
