"""Environments as everybody may see them."""

from __future__ import annotations

import re
from typing import Any

_IN_ADDRESS = re.compile(r"(?<=://)[^/\s@]+@")


def without_credentials(value: Any) -> Any:
    """The same JSON without users and passwords of package indexes, and without passwords of base image registries."""
    if isinstance(value, str):
        return _IN_ADDRESS.sub("", value)
    if isinstance(value, list):
        return [without_credentials(item) for item in value]
    if isinstance(value, dict):
        return {
            key: None if key.lower() == "password" and item else without_credentials(item)
            for key, item in value.items()
        }
    return value
