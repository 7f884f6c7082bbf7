"""A process of the supervisor's: started, its output read, its end noticed."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from mooring_runtime.supervisor import proctable

PR_SET_PDEATHSIG = 1
READ = 1 << 16
UNCONFINED = 71  # EX_OSERR
# Carried by everything a supervisor starts, directly or not; finds what a killed one has left.
MARK = "MOORING_SUPERVISED"
# Carried by what one child starts; finds its descendants when their parents have ended.
CHILD_MARK = "MOORING_CHILD"

_libc = ctypes.CDLL(None, use_errno=True)


def _prepare(parent: int, joins: Sequence[int], confine: Callable[[], None] | None) -> Callable[[], None]:
    """What the new process does before it becomes another program.

    It dies with its supervisor, leaves no core dump (user data on disk), joins its control groups,
    and enters its sandbox.
    """

    def prepare() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for group in joins:
            os.write(group, b"0")
        if confine is not None:
            try:
                confine()
            except OSError as exc:
                # Better no worker than one that is not confined.
                os.write(2, f"mooring: the sandbox cannot be entered: {exc}\n".encode())
                os._exit(UNCONFINED)

    return prepare


class Sink(Protocol):
    """Takes what a process prints: `mooring_runtime.supervisor.logs.Output`, `.records.Stream`."""

    def about_to_read(self) -> None:
        """A pipe will be read now."""
        ...

    def feed(self, data: bytes, *, drained: bool) -> None:
        """Takes what was read."""
        ...

    def finish(self) -> None:
        """The process has ended."""
        ...


class Pipes:
    """What a process prints, read as it comes.

    Args:
        loop: the event loop that reads.
        outputs: take what it prints: one for stdout and stderr together, or one for each.

    Attributes:
        written: the ends for the process: stdout, stderr.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, outputs: Sequence[Sink]) -> None:
        self._loop = loop
        self._pipes: dict[int, Sink] = {}
        ends = []
        for output in outputs:
            pipe, end = os.pipe()
            os.set_blocking(pipe, False)
            self._pipes[pipe] = output
            ends.append(end)
        self.written = (ends[0], ends[-1])

    def close_written(self) -> None:
        """The process has its own copies."""
        for end in set(self.written):
            os.close(end)

    def watch(self) -> None:
        """Begins to read."""
        for pipe in self._pipes:
            self._loop.add_reader(pipe, self._read, pipe)

    def finish(self) -> None:
        """The process has ended: reads what is left, and closes."""
        for pipe, output in self._pipes.items():
            while self._read(pipe):
                continue
            output.finish()
            self._loop.remove_reader(pipe)
            os.close(pipe)

    def close(self) -> None:
        """There was no process."""
        for pipe in self._pipes:
            os.close(pipe)

    def _read(self, pipe: int) -> bool:
        """Reads once; False when nothing is left for now."""
        output = self._pipes[pipe]
        output.about_to_read()
        try:
            data = os.read(pipe, READ)
        except BlockingIOError:
            return False
        if not data:
            self._loop.remove_reader(pipe)
            return False
        output.feed(data, drained=len(data) < READ)
        return True


class Child:
    """A running process in a session of its own, with stdout and stderr in pipes.

    Args:
        loop: the event loop that reads the pipe.
        argv: the command.
        env: the whole environment, to which the mark is added.
        cwd: the working directory; None for ours.
        directory: the service's, for the mark.
        pass_fds: descriptors it inherits.
        outputs: take what it prints: one for stdout and stderr together, or one for each.
        last: what it has printed last.
        joins: the control groups' files to write itself to.
        confine: what it calls before it becomes another program.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str | None,
        directory: Path,
        pass_fds: Sequence[int],
        outputs: Sequence[Sink],
        last: Callable[[], str],
        joins: Sequence[Path] = (),
        confine: Callable[[], None] | None = None,
    ) -> None:
        self._mark = f"{os.getpid()}.{time.monotonic_ns()}"
        self._last = last
        self._pipes = Pipes(loop, outputs)
        groups = [os.open(path, os.O_WRONLY | os.O_CLOEXEC) for path in joins]
        try:
            self._process = subprocess.Popen(
                argv,
                env={**env, MARK: str(directory), CHILD_MARK: self._mark},
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=self._pipes.written[0],
                stderr=self._pipes.written[1],
                pass_fds=tuple(pass_fds),
                start_new_session=True,
                preexec_fn=_prepare(os.getpid(), groups, confine),  # noqa: PLW1509 - this process has one thread
            )
        except OSError:
            self._pipes.close()
            raise
        finally:
            self._pipes.close_written()
            for group in groups:
                os.close(group)
        self.pid = self._process.pid
        self._pipes.watch()

    def poll(self) -> int | None:
        """How it ended (below 0: a signal), or None while it runs.

        Everything it started is killed before its pid is given back to the kernel, and its last output read.
        """
        if self._process.returncode is not None:
            return self._process.returncode
        state = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if state is None:
            return None
        self.kill()
        code = self._process.wait()
        self._pipes.finish()
        return code

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """Sends SIGKILL to it and to all it has started."""
        family = {entry.pid for entry in proctable.family(proctable.table(), self.pid)}
        for pid in family | set(proctable.marked(f"{CHILD_MARK}={self._mark}")):
            proctable.kill(pid)

    def tail(self) -> str:
        """Its last output."""
        return self._last()


def kill_left(directory: Path) -> int:
    """Kills what a killed supervisor of this directory has left; how many processes."""
    left = proctable.marked(f"{MARK}={directory}")
    for pid in left:
        proctable.kill(pid)
    return len(left)
