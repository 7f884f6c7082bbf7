# ruff: noqa: UP007, B905 - the client supports Python 3.9
"""What commands print: JSON for programs, tables for people.

Results alone go to stdout. What the SDK says while it works ("Registering model ...") is meant for notebooks;
`results_only` sends it to stderr, so that `mooring ... | jq` always reads JSON.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TextIO, Union

Cell = Union[str, Callable[[Mapping[str, Any]], Any]]
Columns = Sequence["tuple[str, Cell]"]


# The streams that `results_only` has put aside, the innermost last.
_results: list[TextIO] = []


@contextlib.contextmanager
def results_only() -> Iterator[None]:
    """Inside, only the functions of this module write to stdout; `print` goes to stderr."""
    _results.append(sys.stdout)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _results.pop()


def stdout() -> TextIO:
    """Where results go."""
    return _results[-1] if _results else sys.stdout


def write(result: str) -> None:
    """`result` as it is, shown at once."""
    stdout().write(result)
    stdout().flush()


def print_json(data: Any) -> None:
    """`data` as indented JSON on stdout."""
    write(json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n")


def print_table(rows: Sequence[Mapping[str, Any]], columns: Columns, *, empty: str) -> None:
    """One line a row. `columns` are pairs of a heading and a key (or a function of the row).

    Without a terminal nothing is cut: the columns are as wide as their longest value.
    """
    if not rows:
        print(empty, file=sys.stderr)  # noqa: T201
        return
    table = [[text(_cell(row, cell)) for _, cell in columns] for row in rows]
    if stdout().isatty():
        _print_rich(table, [heading for heading, _ in columns])
        return
    headings = [heading for heading, _ in columns]
    widths = [max(len(line[i]) for line in [headings, *table]) for i in range(len(headings))]
    for line in [headings, *table]:
        write("  ".join(value.ljust(width) for value, width in zip(line, widths)).rstrip() + "\n")


def print_record(record: Mapping[str, Any], fields: Columns) -> None:
    """One object, a line a field; empty fields are left out."""
    pairs = [(heading, text(_cell(record, cell))) for heading, cell in fields]
    pairs = [(heading, value) for heading, value in pairs if value]
    width = max((len(heading) for heading, _ in pairs), default=0)
    for heading, value in pairs:
        first, *rest = value.splitlines()
        write(f"{heading.ljust(width)}  {first}\n")
        write("".join(f"{' ' * width}  {line}\n" for line in rest))


def text(value: Any) -> str:
    """A cell's text: nothing for None, `k=v` for dictionaries, commas for lists."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(text(item) for item in value)
    return str(value)


def bytes_text(size: float) -> str:
    """1536 as `1.5 KiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _cell(row: Mapping[str, Any], cell: Cell) -> Any:
    return cell(row) if callable(cell) else row.get(cell)


def _print_rich(table: Sequence[Sequence[str]], headings: Sequence[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    view = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, heading in enumerate(headings):
        view.add_column(heading, no_wrap=index == 0, overflow="fold")
    for row in table:
        view.add_row(*row)
    Console(highlight=False, file=stdout()).print(view)
