"""A worker in a container, with the methods of `child.Child`: started by the launcher in there."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mooring_runtime.supervisor.child import Pipes, Sink
from mooring_runtime.supervisor.diagnose import OutOfMemory

if TYPE_CHECKING:
    from mooring_runtime.supervisor.container import RevisionContainer

# After SIGKILL by the launcher; one that does not end then has a launcher that does nothing (a paused container).
KILL_SECONDS = 5.0


class ContainerChild:
    """The process, seen from outside.

    Its output comes through pipes of ours, its reports and requests through sockets and pipes of ours as well: the
    launcher is handed their other ends.

    Args:
        loop: the event loop.
        container: where it is to run.
        name: the worker's id.
        argv: the command, in the container.
        env: variables beside the container's.
        cwd: the working directory, in the container.
        settings: for ``MOORING_WORKER``.
        pass_fds: descriptors by the names that they have in the settings.
        outputs: take what it prints: one for stdout and stderr together, or one for each.
        last: what it has printed last.

    Attributes:
        pid: on this machine; 0 while it is not known, or if it cannot be seen.
        memory: it was killed for its memory.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        container: RevisionContainer,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        settings: Mapping[str, Any],
        pass_fds: Mapping[str, int],
        outputs: Sequence[Sink],
        last: Callable[[], str],
    ) -> None:
        self._loop = loop
        self._last = last
        self._code: int | None = None
        self._finished = False
        self.container = container
        self.name = name
        self.pid = 0
        self.memory: OutOfMemory | None = None
        self._pipes = Pipes(loop, outputs)
        stdout, stderr = self._pipes.written
        given = {"stdout": stdout, "stderr": stderr, **pass_fds}
        self._handed = {key: os.dup(descriptor) for key, descriptor in given.items()}
        self._pipes.close_written()
        self._pipes.watch()
        self._message = {
            "op": "start",
            "id": name,
            "argv": list(argv),
            "env": dict(env),
            "cwd": cwd,
            "settings": dict(settings),
            "fds": list(self._handed),
        }
        container.start(self)

    def request(self) -> tuple[Mapping[str, Any], Sequence[int]]:
        """What the launcher is told, and the descriptors that go with it."""
        return self._message, list(self._handed.values())

    def handed_over(self) -> None:
        """The launcher has its own copies of the descriptors."""
        for descriptor in self._handed.values():
            os.close(descriptor)
        self._handed = {}

    def end(self, code: int, *, oom: bool, used: int) -> None:
        """It has ended; the first word counts.

        Args:
            code: as `subprocess` has it.
            oom: the kernel killed it for the container's memory limit.
            used: the most bytes of memory seen; 0 if not known.
        """
        if self._code is not None:
            return
        self._code = code
        self.handed_over()
        limit = self.container.revision.memory_bytes
        if oom and limit is not None:
            self.memory = OutOfMemory(limit, min(used, limit) if used else limit)

    def poll(self) -> int | None:
        """How it ended (below 0: a signal), or None while it runs; its last output has been read then."""
        if self._code is not None and not self._finished:
            self._finished = True
            self._pipes.finish()
        return self._code

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self.container.tell({"op": "signal", "id": self.name, "number": int(number)})

    def kill(self) -> None:
        """Sends SIGKILL to it and to all it has started."""
        self.container.tell({"op": "kill", "id": self.name})
        self._loop.call_later(KILL_SECONDS, self._insist)

    def tail(self) -> str:
        """Its last output, or that of the container's first process."""
        return self._last() or self.container.log

    def _insist(self) -> None:
        if self._code is None:
            self.container.terminate()
