"""What a trigger is, and what it gets from the host.

A trigger is made anew for each revision and each change of the app settings: the old one drains, then the new one
starts. It lives in the front's event loop, next to the dispatcher of the workers, and never blocks it. User code
runs in workers only: a trigger hands bytes to `Invoke` and gets bytes back.

What it must keep, whatever happens: nothing that it has taken is given up before it is known to be done. What was
not finished when the process dies comes again, from where it came.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mooring_runtime.functions.definition import Function, HostFile
from mooring_runtime.functions.settings import AppSettings


@dataclass(frozen=True, slots=True)
class Event:
    """The input of one invocation.

    Attributes:
        invocation_id: stands in the logs; new for each try.
        body: ``run(data)`` gets it as text, ``run(request)`` below ``@rawhttp`` as it is.
        content_type: what ``@rawhttp`` sees as header; None for none.
        origin: where it came from, for the log: ``input/a.json``.
        headers: what else ``@rawhttp`` sees as headers, ASCII.
    """

    invocation_id: str
    body: bytes
    content_type: str | None
    origin: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one invocation.

    Attributes:
        body: what ``run`` returned, as a caller of the function over HTTP would get it: JSON, or the bytes of an
            ``AMLResponse``. For the output binding.
        content_type: of the body.
        failure: why it failed, in a sentence; None when it succeeded. An exception, a worker that died or took too
            long, and an ``AMLResponse`` with a status of 400 or more are failures.
    """

    body: bytes
    content_type: str
    failure: str | None


class Invoke(Protocol):
    """Runs the function once."""

    async def __call__(self, event: Event) -> Outcome:
        """Wait for a worker, however long it takes, and for what ``run`` says.

        It raises nothing but `asyncio.CancelledError`. While no worker can be had (an update, a restart), it waits:
        that a function has not been tried must not count as a try.
        """
        ...


@dataclass(frozen=True, slots=True)
class TriggerState:
    """How a trigger does, as ``functionapp show`` and ``/admin/host/status`` tell it.

    Attributes:
        state: ``Starting``, ``Running``, or ``Waiting``: it cannot work at present, and tries again by itself.
        code: of docs/errors.md, while it waits (``TriggerContainerNotFound``).
        message: what was expected, what came, where.
        hint: what to do next.
    """

    state: str
    code: str = ""
    message: str = ""
    hint: str = ""

    def to_json(self) -> dict[str, str]:
        """For ``/admin/host/status`` and the supervisor."""
        return {"state": self.state, "code": self.code, "message": self.message, "hint": self.hint}


@dataclass(frozen=True, slots=True)
class Setup:
    """All that a trigger is made of.

    Attributes:
        function: its bindings; ``function.trigger`` is the trigger's own.
        host: ``host.json``.
        settings: the app settings, with Azure's look-up of connections and ``%NAME%``.
        host_id: of the function app, in Azure's form: lower-case letters, digits and ``-``, at most 32. The same
            over restarts and updates.
        invoke: runs the function.
        concurrency: how many invocations keep the workers busy; more than that at once only wait.
        report: to be called when the trigger's state changes.
        log: writes a line to the app's log.
    """

    function: Function
    host: HostFile
    settings: AppSettings
    host_id: str
    invoke: Invoke
    concurrency: Callable[[], int]
    report: Callable[[TriggerState], None]
    log: Callable[[str], None]


class Trigger(Protocol):
    """Takes events from somewhere and has the function run for each, at least once.

    It reconnects by itself, with pauses, and reports what is wrong meanwhile.
    """

    def start(self) -> None:
        """Begin to take events; returns at once."""
        ...

    async def drain(self) -> None:
        """Take no further events; returns when those taken have been done."""
        ...

    async def stop(self) -> None:
        """End at once and release what is held; events that were not done come again."""
        ...


MakeTrigger = Callable[[Setup], Trigger]
"""Makes a trigger; raises `FunctionInvalid` when its binding or a setting cannot be right."""
