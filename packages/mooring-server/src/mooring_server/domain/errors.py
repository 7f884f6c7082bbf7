"""What can go wrong, as data.

MooringError
├── NotFound            the thing named does not exist
├── Conflict            it exists already, or is in use
├── InvalidRequest      what was asked for cannot be right
├── PhaseFailed         a long operation stopped in one of its phases
├── Denied              no or wrong credentials
└── Forbidden           good credentials that do not suffice
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

Evidence = Mapping[str, str]


class MooringError(Exception):
    """An error a user can act on.

    Attributes:
        code: stable, documented in docs/errors.md (``ModelNotFound``).
        phase: the phase of the operation it stopped (``Validate``, ``Resolve``, ...).
        message: one or two sentences: what was expected, what came, where.
        hint: what to do next.
        target: the name of the thing concerned (a file, a model id).
        evidence: named excerpts (``traceback``, ``log``, ``tree``, ``source``).
    """

    status_code: ClassVar[int] = 500
    default_phase: ClassVar[str] = "Validate"

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str = "",
        phase: str | None = None,
        target: str | None = None,
        evidence: Evidence | None = None,
        status_code: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.phase = phase or self.default_phase
        self.target = target
        self.evidence: dict[str, str] = dict(evidence or {})
        self.http_status = status_code or self.status_code

    def to_json(self) -> dict[str, Any]:
        """The shape of docs/protocols.md, section 1 (without the ``error`` envelope)."""
        return {
            "code": self.code,
            "phase": self.phase,
            "statusCode": self.http_status,
            "message": self.message,
            "hint": self.hint,
            "target": self.target,
            "evidence": self.evidence,
        }


class NotFound(MooringError):
    """The thing named does not exist."""

    status_code = 404


class Conflict(MooringError):
    """The thing exists already (409) or is in use (412)."""

    status_code = 409


class InvalidRequest(MooringError):
    """What was asked for cannot be right; nothing was changed."""

    status_code = 400


class Denied(MooringError):
    """No or wrong credentials."""

    status_code = 401


class Forbidden(MooringError):
    """Good credentials that do not suffice."""

    status_code = 403


class PhaseFailed(MooringError):
    """A long operation stopped in one of its phases."""

    status_code = 422


def from_json(data: Mapping[str, Any]) -> MooringError:
    """The inverse of `MooringError.to_json`, for failures that were stored or came from a supervisor."""
    return PhaseFailed(
        str(data.get("code", "Unknown")),
        str(data.get("message", "")),
        hint=str(data.get("hint", "")),
        phase=str(data.get("phase", "Run")),
        target=data.get("target"),
        evidence=data.get("evidence") or {},
        status_code=data.get("statusCode"),
    )
