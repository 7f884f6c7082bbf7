"""All type aliases in one place.

Classes of Azure's API have methods called ``list``; inside them the built-in of that name cannot be used
as a type, so these aliases are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

JSON = dict[str, Any]
Tags = dict[str, str]
Strings = list[str]
Anything = list[Any]
Filter = Sequence[Any]
Progress = Callable[[int], None]
Params = Mapping[str, Any]
