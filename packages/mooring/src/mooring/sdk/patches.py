"""Bodies of merge patches: None removes a key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mooring.sdk.types import JSON


def replace_tags(current: Mapping[str, str], wanted: Mapping[str, str]) -> JSON:
    """The patch that makes ``wanted`` of ``current``."""
    return {**dict.fromkeys(current), **wanted}


def merge_tags(add: Mapping[str, str] | None, remove: Iterable[str] | None) -> JSON:
    """The patch that removes some keys (one, or several) and adds others; adding wins."""
    gone = [remove] if isinstance(remove, str) else list(remove or [])
    return {**dict.fromkeys(gone), **(add or {})}
