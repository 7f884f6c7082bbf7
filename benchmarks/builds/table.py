"""What is printed."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass
class Row:
    """A line of the table."""

    what: str
    figure: str
    target: str = ""
    met: bool | None = None


class Table:
    """Prints each figure as soon as it is known: the whole run takes minutes."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        print(f"{'':<66}{'measured':>16}  target")

    def seconds(self, what: str, values: list[float], target: float | None = None) -> None:
        """A median, with its target in seconds."""
        value = statistics.median(values)
        digits = 3 if value < 1 else 2
        self._add(
            Row(
                f"{what} (n={len(values)})",
                f"{value:.{digits}f} s",
                f"< {target:g} s" if target else "",
                None if target is None else value < target,
            )
        )

    def ratio(self, what: str, theirs: list[float], ours: list[float], target: float | None) -> None:
        """How many times as much as Mooring's theirs is: the median of each round's ratio."""
        value = statistics.median(each / own for each, own in zip(theirs, ours, strict=True))
        self._add(
            Row(
                f"  {what}, times Mooring's",
                f"{value:.1f}",
                f">= {target:g}" if target else "",
                None if target is None else round(value, 1) >= target,
            )
        )

    def text(self, what: str, figure: str) -> None:
        """Anything else."""
        self._add(Row(what, figure))

    def _add(self, row: Row) -> None:
        self.rows.append(row)
        mark = {True: "  met", False: "  MISSED", None: ""}[row.met]
        print(f"{row.what:<66}{row.figure:>16}  {row.target}{mark}", flush=True)


def timed(function: Callable[[], Any]) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def silently(function: Callable[[], Any]) -> Any:
    """Run without the SDK's messages."""
    with (
        open(os.devnull, "w") as nowhere,  # noqa: PTH123
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        return function()
