"""Progress on stderr: a bar or a spinner on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Callable

from mooring.cli.output import bytes_text

ENDED = ("Succeeded", "Failed", "Skipped")


@contextmanager
def bytes_bar(label: str, total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Call the yielded function with the number of bytes that were just moved."""
    if quiet:
        yield lambda _count: None
    elif sys.stderr.isatty():
        with _rich_bar(label, total) as advance:
            yield advance
    else:
        print(f"{label} ({bytes_text(total)})", file=sys.stderr)  # noqa: T201
        yield lambda _count: None


@contextmanager
def _rich_bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(label, total=total)
        yield lambda count: progress.update(task, advance=count)


class Phases:
    """The phases of an operation, each shown once when it has ended, with how long it took.

    Use as a context manager; call `show` with every state of the operation that was received.
    """

    def __init__(self, title: str, *, quiet: bool) -> None:
        self._title = title
        self._quiet = quiet
        self._shown: set[str] = set()
        self._status: Any = None

    def __enter__(self) -> Phases:
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
            self._status.update(f"{self._title}: {running[-1]['name']} {detail}".rstrip())

    def _print(self, line: str) -> None:
        if self._status is not None:
            self._status.console.print(line, markup=False)
        else:
            print(line, file=sys.stderr)  # noqa: T201


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
