"""How long ``init()`` may take: what the environment says, else what the server was told, else five minutes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mooring_server.domain.errors import InvalidRequest

INIT_TIMEOUT_VARIABLE = "MOORING_INIT_TIMEOUT_SECONDS"
DEFAULT_INIT_SECONDS = 300.0
_LONGEST = 24 * 3600.0
# The operation waits this much longer than the supervisor, whose explanation has the stack.
INIT_SLACK_SECONDS = 60.0


def init_seconds(environment: Mapping[str, Any] | None, default: float) -> float:
    """Seconds that ``init()`` of an image may take.

    Args:
        environment: Azure's environment JSON; its ``environmentVariables`` are looked at.
        default: the server's own.

    Raises:
        InvalidRequest: ``InvalidInitTimeout``.
    """
    variables = (environment or {}).get("environmentVariables")
    given = variables.get(INIT_TIMEOUT_VARIABLE) if isinstance(variables, Mapping) else None
    return default if given is None else parse_init_seconds(given)


def parse_init_seconds(text: object) -> float:
    """The number of seconds in a variable or option.

    Raises:
        InvalidRequest: ``InvalidInitTimeout``.
    """
    try:
        seconds = float(str(text))
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= _LONGEST:
        raise InvalidRequest(
            "InvalidInitTimeout",
            f"{INIT_TIMEOUT_VARIABLE} is {str(text)[:100]!r}; expected a number of seconds above 0 and at most "
            f"{_LONGEST:.0f}.",
            hint=f"Write for example {INIT_TIMEOUT_VARIABLE}=600 into the environment's environment_variables.",
            target=INIT_TIMEOUT_VARIABLE,
        )
    return seconds
