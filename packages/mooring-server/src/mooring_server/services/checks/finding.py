"""What a check found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

WRONG = "wrong"
NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        code: stable, documented in docs/errors.md.
        subject: what it is about: a model, an image, a service, a path, a digest.
        message: what was expected and what is there.
        hint: what to do.
        severity: `WRONG`, or `NOTE` for what the server puts right by itself when it starts next.
    """

    code: str
    subject: str
    message: str
    hint: str
    severity: str = WRONG


@dataclass
class Report:
    """All findings, and how much was looked at (``blobs``, ``bytes``, ``models``, ``images``, ``services``)."""

    findings: list[Finding] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return all(finding.severity != WRONG for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """``{ok, findings, checked}``."""
        return {"ok": self.ok, "findings": [asdict(f) for f in self.findings], "checked": self.checked}
