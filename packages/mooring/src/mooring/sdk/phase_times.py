"""How long phases take, for people: ``12 s of at most 300 s``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# A running phase speaks up after this time, and each time that its age has doubled.
FIRST_WORD_SECONDS = 10.0


def allowance(phase: Mapping[str, Any]) -> str:
    """``12 s of at most 300 s`` for a running phase, or an empty text if the server does not say."""
    elapsed, deadline = phase.get("elapsedSeconds"), phase.get("deadlineSeconds")
    if elapsed is None or not deadline:
        return ""
    return f"{elapsed:.0f} s of at most {deadline:.0f} s"


class Pace:
    """Says when a phase that goes on and on is worth another line."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}

    def due(self, phase: Mapping[str, Any]) -> bool:
        """Whether to speak of this running phase now."""
        elapsed = phase.get("elapsedSeconds")
        name = str(phase.get("name"))
        if elapsed is None or elapsed < self._next.get(name, FIRST_WORD_SECONDS):
            return False
        self._next[name] = 2 * elapsed
        return True
