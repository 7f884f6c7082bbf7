"""The result of looking at one thing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

OK = "ok"
LIMITED = "limited"
MISSING = "missing"
WRONG = "wrong"


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        name: what was looked at.
        status: `ok`; `limited` (something works less well); `missing` (something is impossible, which many
            users never need); `wrong` (the main job cannot work).
        detail: what was found.
        fix: what would make it `ok`, or what becomes possible then.
    """

    name: str
    status: str
    detail: str
    fix: str = ""


def verdict(checks: Iterable[Check]) -> dict[str, Any]:
    """The report as `--output json` prints it; `ok` is false when the main job cannot work."""
    listed = list(checks)
    return {
        "ok": all(check.status != WRONG for check in listed),
        "checks": [asdict(check) for check in listed],
    }
