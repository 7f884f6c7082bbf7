"""What went wrong, as data: the error shape of docs/protocols.md, section 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure of a service or of a call to its supervisor.

    Attributes:
        code: stable, one of those in docs/protocols.md, section 5.
        phase: ``Validate``, ``Start``, ``Init`` or ``Run``.
        message: what was expected, what came, where.
        hint: what to do next.
        evidence: named texts: ``traceback``, ``log``, ``stack``, ``tree``.
        revision: the id of the revision concerned; empty if none is.
    """

    code: str
    phase: str
    message: str
    hint: str = ""
    evidence: Mapping[str, str] = field(default_factory=dict)
    revision: str = ""

    def to_json(self) -> dict[str, Any]:
        """The JSON object of docs/protocols.md."""
        return {
            "code": self.code,
            "phase": self.phase,
            "message": self.message,
            "hint": self.hint,
            "evidence": dict(self.evidence),
            "revision": self.revision,
        }


class SupervisorError(Exception):
    """A call that the supervisor refuses.

    Attributes:
        failure: why.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure
