"""What a server holds in memory."""

from __future__ import annotations

from pathlib import Path

from mooring_runtime.supervisor import proctable


def used(leader: int) -> int:
    """Bytes of a process, its session and all descendants; pages shared by several are counted once (PSS)."""
    return sum(_pss(entry.pid) for entry in proctable.family(proctable.table(), leader))


def _pss(pid: int) -> int:
    try:
        text = (Path("/proc") / str(pid) / "smaps_rollup").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it has ended meanwhile
    return sum(int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith("Pss:"))
