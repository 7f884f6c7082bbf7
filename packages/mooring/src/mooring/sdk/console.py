"""Where the SDK speaks: results and progress on stdout, notes on stderr, some of them only once."""

from __future__ import annotations

import sys

_said: set[str] = set()


def out(text: str = "", end: str = "\n") -> None:
    """Write to stdout at once: notebooks and pipes show progress only if it is flushed."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


def note(text: str) -> None:
    """Write a line to stderr, so that it never mixes with what a script prints for another program."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def note_once(text: str) -> None:
    """`note`, but the same text only once per process."""
    if text not in _said:
        _said.add(text)
        note(text)
