"""``python -m mooring_runtime.supervisor --dir DIR [--detach]``.

When it is killed, its front and workers die with it (PR_SET_PDEATHSIG): nothing runs that nobody watches. The
next supervisor started on the directory brings the service back: the revision that served, on the same port,
and the one that was asked for. Whoever needs the service starts that supervisor: the server, ``mooring up``,
or the container's restart policy.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path

from mooring_runtime.supervisor import files
from mooring_runtime.supervisor.daemon import Daemon
from mooring_runtime.supervisor.logs import BACKUPS, MAX_BYTES

LOCKED = 75  # EX_TEMPFAIL
NO_DIRECTORY = 66  # EX_NOINPUT


def detach() -> bool:
    """Goes on as a process of nobody's in a session of its own; False in the process that was called."""
    if os.fork():
        return False
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
    return True


def prepare(directory: Path) -> None:
    """Makes the log.

    The directory itself is its owner's to make: a supervisor that starts late, when the service has been deleted
    meanwhile, must not bring it back.

    Raises:
        FileNotFoundError: there is no such directory.
    """
    logs = directory / files.LOGS
    logs.mkdir(mode=0o700, exist_ok=True)
    handler = RotatingFileHandler(logs / "supervisor.log", maxBytes=MAX_BYTES, backupCount=BACKUPS)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a supervisor; 0 after ``stop`` or SIGTERM, 75 if the directory has one, 66 if there is none."""
    parser = argparse.ArgumentParser(prog="mooring-supervisor", description="Owns a running service.")
    parser.add_argument("--dir", type=Path, required=True, help="the service's directory")
    parser.add_argument("--detach", action="store_true", help="return at once and go on in the background")
    arguments = parser.parse_args(argv)
    directory = arguments.dir.absolute()
    try:
        prepare(directory)  # before detaching: what cannot be made is the caller's to know
    except FileNotFoundError:
        sys.stderr.write(f"there is no directory {directory}\n")
        return NO_DIRECTORY
    if arguments.detach and not detach():
        return 0
    try:
        with files.locked(directory / files.LOCK):
            return asyncio.run(Daemon(directory).run())
    except files.Locked:
        if not arguments.detach:
            sys.stderr.write(f"another supervisor owns {directory}\n")
        return LOCKED
    except Exception:
        logging.getLogger("mooring.supervisor").exception("the supervisor cannot go on")
        raise


if __name__ == "__main__":
    sys.exit(main())
