"""Tags and properties are replaced as a whole by the server, so changes begin with what is there now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mooring.sdk.types import Tags


def changed(
    current: Mapping[str, str], add: Mapping[str, str] | None, remove: Iterable[str] | None = None
) -> Tags:
    """``current`` without some keys (one, or several; those that are not there do not matter) and with others.

    A key that is both removed and added is there afterwards.
    """
    gone = {remove} if isinstance(remove, str) else set(remove or ())
    return {**{key: value for key, value in current.items() if key not in gone}, **(add or {})}
