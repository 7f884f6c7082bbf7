"""The data directory and the server that scripts of this user talk to."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mooring
from mooring.cli.doctor.check import LIMITED, MISSING, OK, WRONG, Check
from mooring.cli.doctor.machine import Machine
from mooring.cli.output import bytes_text

ENOUGH = 2 * 1024**3
SECRETS = ("server.json", "settings.json")


def checks(machine: Machine, status: Mapping[str, Any]) -> Iterator[Check]:
    """`status` is `mooring.sdk.local_server.status()`."""
    home = Path(status["home"])
    yield data_directory(machine, home)
    yield disk(machine, home)
    yield server(status)


def data_directory(machine: Machine, home: Path) -> Check:
    """Keys and tokens lie in it: nobody else may look inside."""
    mode = machine.mode(home)
    if mode is None:
        return Check("Data directory", OK, f"{home} (made when the server first starts)")
    if not machine.writable(str(home)):
        return Check(
            "Data directory",
            WRONG,
            f"{home} is not writable",
            "chown it to this user, or set MOORING_HOME to another place.",
        )
    open_to_others = [
        str(path)
        for path, bits in [(home, mode), *((home / name, machine.mode(home / name)) for name in SECRETS)]
        if bits is not None and bits & (stat.S_IRWXG | stat.S_IRWXO)
    ]
    if open_to_others:
        return Check(
            "Data directory",
            LIMITED,
            f"others may read {', '.join(open_to_others)}",
            f"chmod go-rwx {' '.join(open_to_others)}",
        )
    return Check("Data directory", OK, str(home))


def disk(machine: Machine, home: Path) -> Check:
    """Wheels, layers and unpacked environments need room."""
    free = machine.free_bytes(home)
    shown = f"{bytes_text(free)} free at {home}"
    if free < ENOUGH:
        return Check(
            "Disk space",
            LIMITED,
            shown,
            f"{home / 'cache'} may be deleted while the server is stopped; or set MOORING_HOME.",
        )
    return Check("Disk space", OK, shown)


def server(status: Mapping[str, Any]) -> Check:
    """Whether it answers, and whether it fits this client."""
    if not status["running"]:
        if status["configured"]:
            return Check(
                "Server",
                WRONG,
                f"{status['url']} does not answer",
                "Check MOORING_ENDPOINT (or config.json) and the server there.",
            )
        return Check(
            "Server", MISSING, "not running", "Started when a script or a command needs it; or: mooring up"
        )
    version = str(status["version"])
    detail = f"{status['url']}, version {version}"
    if version.split(".")[:2] != mooring.__version__.split(".")[:2]:
        return Check(
            "Server", LIMITED, f"{detail}; this client is {mooring.__version__}", "mooring down && mooring up"
        )
    return Check("Server", OK, detail)
