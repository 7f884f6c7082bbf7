"""What /proc says about processes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Entry:
    """One process.

    Attributes:
        parent: its parent's pid.
        session: its session's id, the pid of the session's first process.
        rss: resident memory in bytes.
    """

    pid: int
    parent: int
    session: int
    rss: int


def table() -> dict[int, Entry]:
    """All processes that can be seen, by pid."""
    entries = {}
    for name in os.listdir(PROC):
        if name.isdigit():
            entry = _entry(int(name))
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
    return Entry(pid, int(values[1]), int(values[3]), int(values[21]) * PAGE)


def family(entries: dict[int, Entry], leader: int) -> list[Entry]:
    """The processes of a session and all their descendants, ``leader`` among them."""
    members = {pid for pid, entry in entries.items() if pid == leader or entry.session == leader}
    grown = True
    while grown:
        more = {pid for pid, entry in entries.items() if entry.parent in members and pid not in members}
        members |= more
        grown = bool(more)
    return [entries[pid] for pid in sorted(members)]


def marked(mark: str) -> list[int]:
    """The processes of ours whose environment contains ``mark`` (``NAME=value``)."""
    wanted = mark.encode()
    found = []
    for name in os.listdir(PROC):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            environment = (PROC / name / "environ").read_bytes()
        except OSError:
            continue  # another user's, or ended meanwhile
        if wanted in environment.split(b"\0"):
            found.append(int(name))
    return found
