"""What pickles do with ``getattr``: honest writers name the method of an object by it, attackers walk to any function.

Python pickles a bound method as ``getattr(object, "name")``, and a nested class (protocols 0 to 3) as
``getattr(Outer, "Inner")``. Both write the name down, use ``getattr`` for that alone, and do not call what comes out.
A pickle that does more is told as before.
"""

from __future__ import annotations

from typing import Any

from mooring_server.images.pickles.arrays import Name
from mooring_server.images.pickles.dangerous import leads_away

GETATTR = "builtins.getattr"
# They call what they are given, so that what was reached would be called without being named.
_CALLERS = {
    *("builtins.map", "builtins.filter", "builtins.sorted", "builtins.max", "builtins.min", "builtins.iter"),
    *("functools.reduce", "_functools.reduce", "functools.cmp_to_key", "_functools.cmp_to_key"),
    *("itertools.starmap", "itertools.accumulate", "itertools.takewhile", "itertools.dropwhile"),
    *("itertools.filterfalse", "itertools.groupby", "weakref.finalize", "collections.defaultdict"),
    *("operator.call", "_operator.call", "numpy.vectorize", "numpy.frompyfunc", "numpy.apply_along_axis"),
}


class Attribute:
    """What ``getattr`` gave of an object that the pickle has made."""


ATTRIBUTE = Attribute()


class Reaching:
    """How the pickles of a file use ``getattr``."""

    def __init__(self) -> None:
        self._pushed = 0
        self._named = 0
        self._calls_unnamed = False
        self._callers = False

    @property
    def honest(self) -> bool:
        """Whether it was used as Python's own pickler does, and in no other way."""
        return self._pushed == self._named and not self._calls_unnamed and not self._callers

    def pushed(self, value: Any) -> None:
        """Note what comes onto the stack by its name, or again."""
        if isinstance(value, Name) and value.path == GETATTR:
            self._pushed += 1

    def lost(self, value: Any) -> None:
        """Note what was to be remembered and is not."""
        self.pushed(value)

    def called(self, callee: Any, arguments: Any) -> tuple[Name, str] | Attribute | None:
        """Note a call.

        Returns:
            What it gives: an attribute of something imported, one of an object, or nothing that matters here.
        """
        if not isinstance(callee, Name):
            self._calls_unnamed = True
            return None
        self._callers = self._callers or callee.path in _CALLERS
        if callee.path != GETATTR or not isinstance(arguments, tuple) or len(arguments) != 2:
            return None
        target, attribute = arguments
        if not isinstance(attribute, str) or leads_away(attribute):
            return None
        self._named += 1
        return (target, attribute) if isinstance(target, Name) else ATTRIBUTE
