"""Following long operations: what is printed, when waiting ends, and how a failure becomes an exception."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from mooring.sdk.client import Client
from mooring.sdk.console import note, out
from mooring.sdk.errors import Problem
from mooring.sdk.exceptions import AzureMLException, WebserviceException
from mooring.sdk.phase_times import Pace, allowance
from mooring.sdk.types import JSON

ENDED = ("Succeeded", "Failed", "TimedOut", "Cancelled")
WAIT_SECONDS = 10
# Log lines of a phase appear once it has lasted this long: a short phase is one line, a long one shows
# progress.
QUIET_SECONDS = 3.0


class PhasePrinter:
    """Turns operations into lines such as ``Resolve ... 0.6 s``.

    Args:
        write: takes a text and what ends it.
    """

    def __init__(self, write: Callable[[str, str], None] = out) -> None:
        self._write = write
        self._begun: set[str] = set()
        self._ended: set[str] = set()
        self._open = ""
        self._pace = Pace()

    def feed(self, operation: JSON, now: float | None = None) -> None:
        """Print what is new.

        Args:
            operation: as the server gave it, with the new log entries only.
            now: seconds since the epoch, for the age of phases where the server does not tell it.
        """
        moment = time.time() if now is None else now
        entries = operation.get("log") or []
        for phase in operation.get("phases") or []:
            name, state = phase["name"], phase.get("state")
            if state in {"Pending", "Skipped"} or name in self._ended:
                continue
            begun, ended = seconds(phase.get("startedTime")), seconds(phase.get("endTime"))
            if name not in self._begun:
                self._break()
                self._begun.add(name)
                self._write(f"{name} ...", "")
                self._open = name
            age = phase.get("elapsedSeconds")
            if age is None:
                age = max(0.0, (ended or moment) - (begun or moment))
            if age > QUIET_SECONDS:
                self._lines(name, entries)
            if state == "Running" and self._pace.due(phase):
                self._write(
                    f" {allowance(phase)}" if self._open == name else f"{name} ... {allowance(phase)}", "\n"
                )
                self._open = ""
            if state != "Running":
                self._ended.add(name)
                lead = " " if self._open == name else f"{name} ... "
                word = "" if state == "Succeeded" else f" {state}"
                detail = f" ({phase['detail']})" if phase.get("detail") else ""
                self._write(f"{lead}{age:.1f} s{word}{detail}", "\n")
                self._open = ""

    def close(self) -> None:
        """End a line that is still open."""
        self._break()

    def _break(self) -> None:
        if self._open:
            self._write("", "\n")
            self._open = ""

    def _lines(self, name: str, entries: list[JSON]) -> None:
        for entry in entries:
            if entry.get("phase") == name:
                self._break()
                self._write(f"  {entry.get('message', '')}", "\n")


def seconds(text: str | None) -> float | None:
    """Seconds since the epoch of an ISO 8601 time, or None."""
    if not text:
        return None
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def time_of(text: str | None) -> datetime | None:
    """An ISO 8601 time as the datetime that Azure's attributes have, or None."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def follow(
    client: Client,
    operation_id: str,
    *,
    show_output: bool = False,
    timeout_seconds: float | None = None,
    look: str = "",
) -> JSON:
    """Wait for an operation's end by long-polling.

    Args:
        client: the workspace's.
        operation_id: which.
        show_output: print the phases as they go.
        timeout_seconds: give up waiting, not the operation, after this time.
        look: the command that shows how it goes on, for someone who stops waiting.

    Returns:
        The ended operation, in whatever state.

    Raises:
        WebserviceException: DeploymentTimeout when ``timeout_seconds`` is over.
    """
    printer = PhasePrinter() if show_output else None
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    after = 0
    try:
        while True:
            left = (
                WAIT_SECONDS if deadline is None else min(WAIT_SECONDS, int(deadline - time.monotonic()) + 1)
            )
            operation = client.operation(operation_id, after, max(left, 0))
            if printer:
                printer.feed(operation)
            after = max([after, *(entry["seq"] for entry in operation.get("log") or [])])
            if operation["state"] in ENDED:
                return operation
            if deadline is not None and time.monotonic() >= deadline:
                raise _too_long(operation, timeout_seconds or 0, look)
    except KeyboardInterrupt:
        if printer:
            printer.close()
        note(
            "Stopped waiting; the operation goes on in the server."
            + (f" Look at it with: {look}" if look else "")
        )
        raise
    finally:
        if printer:
            printer.close()


def failure(operation: JSON, what: str, noun: str = "services") -> AzureMLException:
    """The exception for an operation that did not succeed.

    Args:
        operation: the ended operation.
        what: begins the message: ``Deployment of service mysvc``.
        noun: as in `Problem.exception`.
    """
    error = operation.get("error") or {}
    problem = Problem.from_json(error) if error else Problem("Unknown", "the server gave no reason")
    exc = problem.exception(noun)
    state = {"TimedOut": "timed out", "Cancelled": "was cancelled"}.get(operation["state"], "failed")
    exc.message = f"{what} {state}: {problem.message}"
    return exc


def _too_long(operation: JSON, timeout_seconds: float, look: str) -> WebserviceException:
    running = [p["name"] for p in operation.get("phases") or [] if p.get("state") == "Running"]
    phase = running[-1] if running else ""
    exc = WebserviceException(
        f"Waited {timeout_seconds:g} s; the operation goes on in the server"
        + (f" ({phase})." if phase else ".")
    )
    exc.explain(
        "DeploymentTimeout", phase, f"Wait longer, or look at it with: {look}" if look else "Wait longer."
    )
    return exc
