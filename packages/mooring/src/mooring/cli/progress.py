"""The phases of a deployment on stderr: a spinner on a terminal, plain lines elsewhere.

Uploads are shown by the SDK itself (`mooring.sdk.files`), for scripts as for this command.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mooring.sdk.phase_times import Pace, allowance

WAIT_SECONDS = 10
ENDED = ("Succeeded", "Failed", "Skipped")


class Phases:
    """The phases of an operation, each shown once when it has ended, with how long it took.

    Use as a context manager; call `show` with every state of the operation that was received.
    """

    def __init__(self, title: str, *, quiet: bool) -> None:
        self._title = title
        self._quiet = quiet
        self._shown: set[str] = set()
        self._status: Any = None
        self._pace = Pace()

    def __enter__(self) -> Phases:  # noqa: PYI034 - typing.Self is not in Python 3.9
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console

            self._status = Console(stderr=True, highlight=False).status(self._title)
            self._status.start()
        elif not self._quiet:
            print(self._title, file=sys.stderr)  # noqa: T201
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._status is not None:
            self._status.stop()

    @property
    def look_seconds(self) -> float:
        """How long to wait for news before `show` is due again: a spinner's seconds count on."""
        return 1 if self._status is not None else WAIT_SECONDS

    def show(self, operation: Mapping[str, Any]) -> None:
        """Print what has ended since the last call; on a terminal say what is running."""
        if self._quiet:
            return
        for phase in operation.get("phases", []):
            name = phase["name"]
            if phase["state"] in ENDED and name not in self._shown:
                self._shown.add(name)
                if phase["state"] != "Skipped":
                    self._print(phase_line(phase))
        running = [phase for phase in operation.get("phases", []) if phase["state"] == "Running"]
        if running and self._status is not None:
            detail = running[-1].get("detail") or ""
            words = (running[-1]["name"], allowance(running[-1]), detail)
            self._status.update(f"{self._title}: {' '.join(word for word in words if word)}")
        elif running and self._pace.due(running[-1]):
            self._print(f"  {running[-1]['name']:<10}{allowance(running[-1])}")

    def _print(self, line: str) -> None:
        if self._status is not None:
            self._status.console.print(line, markup=False)
        else:
            print(line, file=sys.stderr)  # noqa: T201


class Bytes:
    """How much of so many bytes is done, on stderr: in place on a terminal, every ten seconds elsewhere."""

    def __init__(self, title: str, *, quiet: bool) -> None:
        self._title = title
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._last = time.monotonic()
        self._shown = False

    def __call__(self, done: int, total: int) -> None:
        """Show it, unless it was shown a moment ago."""
        moment = time.monotonic()
        if self._quiet or moment - self._last < (0.2 if self._terminal else 10.0):
            return
        self._last = moment
        mib = 1024 * 1024
        percent = 100 * done // max(total, 1)
        line = f"{self._title}: {percent} % ({done // mib} of {total // mib} MiB)"
        sys.stderr.write(f"\r{line}" if self._terminal else f"{line}\n")
        sys.stderr.flush()
        self._shown = self._terminal

    def close(self) -> None:
        """End the line on a terminal."""
        if self._shown:
            sys.stderr.write("\n")


def phase_line(phase: Mapping[str, Any]) -> str:
    """`  Build       1.2 s  12 layers, 10 from the cache`."""
    seconds = duration(phase.get("startedTime"), phase.get("endTime"))
    took = f"{seconds:6.1f} s" if seconds is not None else " " * 8
    failed = "failed  " if phase["state"] == "Failed" else ""
    return f"  {phase['name']:<10}{took}  {failed}{phase.get('detail') or ''}".rstrip()


def duration(started: str | None, ended: str | None) -> float | None:
    """Seconds between two ISO times; None when one is missing."""
    if not (started and ended):
        return None
    begin, end = (datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (started, ended))
    return max(0.0, (end - begin).total_seconds())
