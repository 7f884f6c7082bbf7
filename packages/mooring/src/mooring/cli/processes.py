"""Services that run on this machine, found without the server: each has a supervisor of its own.

`state.json` (docs/protocols.md, section 5) names the supervisor's process; as numbers are used again, the
process's command line has to name the directory too. Trying its lock could make a starting one give up.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mooring.cli.failures import CliError

STOP_SECONDS = 30.0
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class RunningService:
    """What `state.json` of a living supervisor says."""

    name: str
    directory: Path
    pid: int
    phase: str
    url: str


def services(home: Path) -> list[RunningService]:
    """Those whose supervisor is alive."""
    return sorted(_living(home), key=lambda service: service.name)


def stop(service: RunningService) -> None:
    """End the supervisor, which drains and ends its workers, and wait for it.

    Raises:
        CliError: `ServiceStopTimeout`.
    """
    try:
        os.kill(service.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    deadline = time.monotonic() + STOP_SECONDS
    while _is_alive(service.pid, service.directory):
        if time.monotonic() > deadline:
            raise CliError(
                "ServiceStopTimeout",
                f"service {service.name} (process {service.pid}) has not stopped within {STOP_SECONDS:.0f} s",
                hint=f"Look at {service.directory / 'logs' / 'supervisor.log'}.",
                phase="Run",
            )
        time.sleep(POLL_SECONDS)


def _living(home: Path) -> Iterator[RunningService]:
    for path in (home / "services").glob("*/state.json"):
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # replaced or deleted at this moment: not running any more
            continue
        if _is_alive(int(state.get("pid") or 0), path.parent):
            yield RunningService(
                name=str(state.get("service") or path.parent.name),
                directory=path.parent,
                pid=int(state["pid"]),
                phase=str(state.get("phase") or ""),
                url=str(state.get("url") or ""),
            )


def _is_alive(pid: int, directory: Path) -> bool:
    if not Path("/proc/self").exists():
        try:
            os.kill(pid, 0)
        except OSError:
            return False
        return True
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return os.fsencode(directory.name) in command and b"supervisor" in command
