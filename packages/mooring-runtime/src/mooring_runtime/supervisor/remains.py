"""What there is of a service beside its own word: supervisors in /proc, and the end of one that may not answer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from mooring_runtime.supervisor import cgroup, files, proctable
from mooring_runtime.supervisor.child import MARK, kill_left
from mooring_runtime.supervisor.client import SupervisorClient, SupervisorUnavailable
from mooring_runtime.supervisor.limits import group_prefix
from mooring_runtime.supervisor.sandbox import Sandboxes

MODULE = b"mooring_runtime.supervisor"
POLL_SECONDS = 0.02
# After its answer to `stop` a supervisor removes its control groups and ends; one that takes longer hangs.
ENDS_SECONDS = 5.0
ANSWERS_SECONDS = 5.0
DIES_SECONDS = 5.0


class NotEnded(Exception):
    """Processes of the service are left although they were killed (they wait for the kernel)."""


def supervisors(root: Path) -> dict[int, Path]:
    """The supervisors of the directories right below ``root``, by pid; also those that are just starting."""
    found = {}
    for folder in proctable.PROC.iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            directory = _directory(folder)
            if directory is not None and directory.parent == root:
                found[int(folder.name)] = directory
    return found


def _supervisors_of(directory: Path) -> list[int]:
    return [pid for pid, found in supervisors(directory.parent).items() if found == directory]


def _kill_supervisors(directory: Path) -> None:
    for pid in _supervisors_of(directory):
        proctable.kill(pid)


def _directory(process: Path) -> Path | None:
    try:
        arguments = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return None  # it has ended meanwhile
    if MODULE not in arguments or b"--dir" not in arguments[:-1]:
        return None
    return Path(os.fsdecode(arguments[arguments.index(b"--dir") + 1]))


@contextmanager
def ended(directory: Path, drain_seconds: float = 5.0) -> Iterator[None]:
    """Ends the service of a directory whatever state it is in, and holds its lock, so that none starts meanwhile.

    A supervisor that answers drains its requests; one that does not is killed. Then what either may have left is
    killed and removed: workers' own children, control groups.

    Raises:
        NotEnded: something cannot be killed.
        FileNotFoundError: there is no such directory.
    """
    with suppress(SupervisorUnavailable):
        # One that does not even tell its state in time will not drain anything either.
        SupervisorClient(directory, ANSWERS_SECONDS).status()
        SupervisorClient(directory).stop(drain_seconds)
    with ExitStack() as stack:
        if not _within(ENDS_SECONDS, lambda: _take(stack, directory)):
            _kill_supervisors(directory)
            if not _within(DIES_SECONDS, lambda: _take(stack, directory)):
                raise NotEnded(f"the supervisor in {directory} does not end")
        # It gives the lock back before its interpreter has ended.
        if not _within(ENDS_SECONDS, lambda: not _supervisors_of(directory)):
            _kill_supervisors(directory)
        kill_left(directory)
        if not _within(DIES_SECONDS, lambda: not proctable.marked(f"{MARK}={directory}")):
            raise NotEnded(f"processes started in {directory} do not end")
        _within(DIES_SECONDS, lambda: _groups_gone(directory))
        Sandboxes(directory).keep([])  # also what its workers have locked, or put outside of the directory
        yield


def _take(stack: ExitStack, directory: Path) -> bool:
    try:
        stack.enter_context(files.locked(directory / files.LOCK))
    except files.Locked:
        return False
    return True


def groups(directory: Path) -> list[Path]:
    """The service's control groups."""
    return cgroup.left(cgroup.own(), group_prefix(directory))


def _groups_gone(directory: Path) -> bool:
    cgroup.remove_left(cgroup.own(), group_prefix(directory))
    return not groups(directory)


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
