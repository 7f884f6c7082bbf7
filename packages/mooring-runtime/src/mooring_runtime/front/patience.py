"""How long a caller may take to send a body."""

from __future__ import annotations

import asyncio
from types import TracebackType

from mooring_runtime.front.exchange import BodyTooSlow

LOOK_SECONDS = 0.25
# A caller that sends less is as good as gone.
BYTES_PER_SECOND = 16 << 10


class Patience:
    """Interrupts tasks that wait too long for their callers.

    One timer looks after all, while there are any: most bodies are there at once, and none shall pay for a timer
    of its own.

    Args:
        seconds: allowed before anything has come.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._waits: set[Wait] = set()
        self._look: asyncio.TimerHandle | None = None

    def begin(self, wait: Wait, loop: asyncio.AbstractEventLoop) -> None:
        """Looks after a wait until `end`."""
        self._waits.add(wait)
        if self._look is None:
            self._look = loop.call_later(LOOK_SECONDS, self._interrupt, loop)

    def end(self, wait: Wait) -> None:
        """It has got what it waited for, or has given up."""
        self._waits.discard(wait)

    def _interrupt(self, loop: asyncio.AbstractEventLoop) -> None:
        self._look = loop.call_later(LOOK_SECONDS, self._interrupt, loop) if self._waits else None
        now = loop.time()
        for wait in self._waits:
            if wait.deadline <= now and not wait.over:
                wait.over = True
                wait.task.cancel()


class Wait:
    """Limits what the current task awaits inside ``with``.

    Attributes:
        task: the current one.
        deadline: on the loop's clock.
        over: whether it has passed and the task was interrupted.

    Raises:
        BodyTooSlow: in place of what was interrupted.
    """

    __slots__ = ("_patience", "deadline", "over", "task")

    task: asyncio.Task[object]

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self.over = False

    def __enter__(self) -> Wait:  # noqa: PYI034 - typing has Self since 3.11
        """Begins."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("the engine runs each request in a task")
        self.task = task
        loop = asyncio.get_running_loop()
        self.deadline = loop.time() + self._patience.seconds
        self._patience.begin(self, loop)
        return self

    def received(self, size: int) -> None:
        """Allows time for as much as has come."""
        self.deadline += size / BYTES_PER_SECOND

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends; see the class."""
        self._patience.end(self)
        if self.over and kind is asyncio.CancelledError:
            raise BodyTooSlow from None
