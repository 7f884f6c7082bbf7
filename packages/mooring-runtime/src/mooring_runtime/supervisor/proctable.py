"""What /proc says about processes."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Entry:
    """One process.

    Attributes:
        parent: its parent's pid.
        session: its session's id, the pid of the session's first process.
        rss: resident memory in bytes.
        cpu: seconds of processors that it and its children that have ended have used.
    """

    pid: int
    parent: int
    session: int
    rss: int
    cpu: float = 0.0


def table() -> dict[int, Entry]:
    """All processes that can be seen, by pid."""
    entries = {}
    for folder in PROC.iterdir():
        entry = _entry(int(folder.name)) if folder.name.isdigit() else None
        if entry is not None:
            entries[entry.pid] = entry
    return entries


def _entry(pid: int) -> Entry | None:
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None  # it has ended meanwhile
    # The second field is the program's name in parentheses and may itself contain anything.
    values = text[text.rindex(")") + 2 :].split()
    ticks = sum(map(int, values[11:15]))
    return Entry(pid, int(values[1]), int(values[3]), int(values[21]) * PAGE, ticks / TICKS)


def family(entries: dict[int, Entry], leader: int) -> list[Entry]:
    """The processes of a session and all their descendants, ``leader`` among them; none of one that is 0."""
    if not leader:
        return []
    members = {pid for pid, entry in entries.items() if leader in {pid, entry.session}}
    grown = True
    while grown:
        more = {pid for pid, entry in entries.items() if entry.parent in members and pid not in members}
        members |= more
        grown = bool(more)
    return [entries[pid] for pid in sorted(members)]


def marked(mark: str) -> list[int]:
    """The processes of ours whose environment contains ``mark`` (``NAME=value``)."""
    pids = [int(folder.name) for folder in PROC.iterdir() if folder.name.isdigit()]
    return [pid for pid in pids if pid != os.getpid() and mark.encode() in _environment(pid)]


def _environment(pid: int) -> list[bytes]:
    try:
        return (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return []  # another user's, or ended meanwhile


def peak(pid: int) -> int:
    """The most resident memory that a process has had, in bytes; 0 if it has ended."""
    try:
        text = (PROC / str(pid) / "status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    found = [line.split()[1] for line in text.splitlines() if line.startswith("VmHWM:")]
    return int(found[0]) * 1024 if found else 0


def pid_inside(pid: int) -> int | None:
    """The pid that a process has in its own name space; None if it has ended."""
    try:
        text = (PROC / str(pid) / "status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    inside = [line.split()[-1] for line in text.splitlines() if line.startswith("NSpid:")]
    return int(inside[0]) if inside else pid


def threads_of(user: int) -> int:
    """How many threads a user has, which is what the kernel counts against ``RLIMIT_NPROC``."""
    return sum(_threads(folder, user) for folder in PROC.iterdir() if folder.name.isdigit())


def _threads(folder: Path, user: int) -> int:
    try:
        return len(list((folder / "task").iterdir())) if folder.stat().st_uid == user else 0
    except OSError:
        return 0  # it has ended meanwhile


def kill(pid: int) -> None:
    """Sends SIGKILL; a process that has ended already is as good."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def reap_orphans() -> None:
    """As process 1 of a container, takes the exit status of processes nobody waits for."""
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return
        if found is None:
            return
