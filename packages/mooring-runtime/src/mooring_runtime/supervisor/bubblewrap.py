"""bubblewrap: a file system, process table, and if need be a network of its own for each worker."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mooring_runtime.supervisor import proctable, sandbox_paths

PROBE_SECONDS = 10.0
# Its process 1 gives on a death by signal as a shell does.
SIGNALLED = 128
# Process 1 of the name space is bubblewrap's own, the worker is the first that it starts.
WORKER_IN_NAMESPACE = 2
_NAMESPACES = ("--die-with-parent", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
# Read-only, since user 0 may write to /proc/sys even without capabilities, and so own the host.
_SPECIAL = ("--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev")


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """A bubblewrap that works here.

    Attributes:
        program: its path.
        options: what it needs on this machine.
        setuid: it is installed with root's rights: then nothing may be given up before it runs.
    """

    program: str
    options: tuple[str, ...]
    setuid: bool

    def command(
        self,
        argv: Sequence[str],
        *,
        system: Sequence[Path],
        granted: Sequence[Path],
        scratch: Path,
        temporary: Path,
        directory: Path,
        network: bool,
    ) -> list[str]:
        """The command that runs ``argv`` in a sandbox.

        Args:
            argv: the worker's command.
            system: read-only, below `/` as on the host.
            granted: read-only: interpreter, image.
            scratch: writable.
            temporary: seen as ``/tmp`` and ``/var/tmp``.
            directory: the working directory.
            network: whether the host's network is seen.
        """
        command = [self.program, *self.options]
        command += [] if network else ["--unshare-net"]
        for path in system:
            command += _mounted(path)
        command += _SPECIAL
        for path in sandbox_paths.accelerators():
            command += ["--dev-bind-try", str(path), str(path)]
        for place in ("/tmp", "/var/tmp"):  # noqa: S108 - inside they are private
            command += ["--bind", str(temporary), place]
        for path in granted:
            command += ["--ro-bind", str(path), str(path)]
            if path.resolve() != path:
                command += ["--ro-bind", str(path.resolve()), str(path.resolve())]
        command += ["--bind", str(scratch), str(scratch), "--remount-ro", "/", "--chdir", str(directory)]
        return [*command, "--", *argv]


def _mounted(path: Path) -> list[str]:
    if path.is_symlink() and path.parent == Path("/"):
        return ["--symlink", str(path.readlink()), str(path)]
    return ["--ro-bind", str(path), str(path)] if path.exists() else []


# Those that have worked go on working, and trying takes some milliseconds of every revision's start.
_found: dict[tuple[str, int, bool], Bubblewrap] = {}


def find(*, network: bool) -> tuple[Bubblewrap | None, str]:
    """A bubblewrap that can make all its name spaces here, or None and why not.

    Args:
        network: whether the host's network is to be seen; one of its own may be refused where all else works.
    """
    program = shutil.which("bwrap")
    if program is None:
        return None, "bubblewrap is not installed (package bubblewrap)"
    status = Path(program).stat()
    asked = (program, status.st_mtime_ns, network)
    if asked in _found:
        return _found[asked], ""
    setuid = bool(status.st_mode & stat.S_ISUID) and os.geteuid() != 0
    variants = [["--unshare-user"]] if os.geteuid() else [[], ["--unshare-user"]]
    why = ""
    for variant in variants:
        options = (*_NAMESPACES, *variant, "--cap-drop", "ALL")
        command = [program, *options, *([] if network else ["--unshare-net"]), "--ro-bind", "/", "/"]
        try:
            done = subprocess.run(
                [*command, *_SPECIAL, "--", "/usr/bin/env", "true"],
                check=False,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=PROBE_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            why = f"bubblewrap does not run: {exc}"
            continue
        if done.returncode == 0:
            _found[asked] = Bubblewrap(program, options, setuid)
            return _found[asked], ""
        why = f"bubblewrap may not make its name spaces: {done.stderr.strip()}"
    return None, why


def exit_code(code: int) -> int:
    """The worker's exit as `subprocess` gives it (below 0: a signal), from bubblewrap's.

    A worker that exits with 128 plus a signal's number cannot be told from one that died by it.
    """
    number = code - SIGNALLED
    return -number if number in set(signal.Signals) else code


def worker_pid(outer: int) -> int | None:
    """The worker's pid on the host, of the bubblewrap that runs as ``outer``; None before it has started."""
    for entry in proctable.family(proctable.table(), outer):
        if proctable.pid_inside(entry.pid) == WORKER_IN_NAMESPACE:
            return entry.pid
    return None
