"""One table from Mooring's error objects (docs/protocols.md, section 1) to Azure's exceptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mooring.sdk.exceptions import (
    AuthenticationException,
    AzureMLException,
    ComputeTargetException,
    ModelNotFoundException,
    ModelPathNotFoundException,
    UserErrorException,
    WebserviceException,
    WorkspaceException,
)

# Cause codes whose class is not the one of the noun concerned.
BY_CODE: Mapping[str, type[AzureMLException]] = {
    "ModelNotFound": ModelNotFoundException,
    "ModelPathNotFound": ModelPathNotFoundException,
    "WorkspaceNotFound": WorkspaceException,
    "WorkspaceExists": WorkspaceException,
    "ComputeNotFound": ComputeTargetException,
    "ComputeTargetNotFound": ComputeTargetException,
    "Unauthorized": AuthenticationException,
    "Forbidden": UserErrorException,
    "EnvironmentNotFound": UserErrorException,
}
BY_STATUS: Mapping[int, type[AzureMLException]] = {401: AuthenticationException, 403: UserErrorException}
# First part of the path below a workspace -> what a script expects to catch.
BY_NOUN: Mapping[str, type[AzureMLException]] = {
    "computes": ComputeTargetException,
    "environments": UserErrorException,
    "": WorkspaceException,
}
# Scripts look for these words at the start of the text of a "not found".
NOT_FOUND: Mapping[str, str] = {
    "models": "ModelNotFound",
    "images": "ImageNotFound",
    "services": "WebserviceNotFound",
    "localServices": "WebserviceNotFound",
    "computes": "ComputeTargetNotFound",
    "environments": "EnvironmentNotFound",
    "": "WorkspaceNotFound",
}
ALIASES: Mapping[str, str] = {
    "ServiceNotFound": "WebserviceNotFound",
    "ComputeNotFound": "ComputeTargetNotFound",
}


@dataclass(frozen=True)
class Problem:
    """An error object as it came over the wire or out of an operation."""

    code: str
    message: str
    phase: str = ""
    hint: str = ""
    target: str | None = None
    evidence: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any], status: int | None = None) -> Problem:
        """Read section 1's object, with or without its ``error`` envelope."""
        inner = data.get("error")
        body: Mapping[str, Any] = inner if isinstance(inner, Mapping) else data
        evidence = body.get("evidence")
        return cls(
            code=str(body.get("code") or "Unknown"),
            message=str(body.get("message") or ""),
            phase=str(body.get("phase") or ""),
            hint=str(body.get("hint") or ""),
            target=body.get("target"),
            evidence={str(k): str(v) for k, v in evidence.items()} if isinstance(evidence, Mapping) else {},
            status=body.get("statusCode") or status,
        )

    def exception(self, noun: str = "services") -> AzureMLException:
        """The exception a script expects.

        Args:
            noun: first part of the path below the workspace (``models``), an empty string for the workspace.
        """
        code = ALIASES.get(self.code, self.code)
        if self.status == 404 and code in {"NotFound", "Unknown"}:
            code = NOT_FOUND.get(noun, code)
        message = self.message
        if code.endswith("NotFound") and not message.startswith(code):
            message = f"{code}: {message}"
        fallback = BY_NOUN.get(noun, WebserviceException)
        kind = BY_CODE.get(code) or BY_STATUS.get(self.status or 0) or fallback
        exc = kind(message, target=self.target)
        if isinstance(exc, WebserviceException):
            exc.status_code = self.status
        return exc.explain(code, self.phase, self.hint, self.evidence)


def invalid(message: str, *, code: str = "InvalidRequest", hint: str = "") -> WebserviceException:
    """What the client finds wrong before anything is sent; Azure raises WebserviceException for it, too."""
    exc = WebserviceException(message)
    exc.explain(code, "Validate", hint)
    return exc


def user_error(
    message: str,
    *,
    code: str,
    phase: str = "Validate",
    hint: str = "",
    evidence: Mapping[str, str] | None = None,
) -> UserErrorException:
    """Something on the caller's side has to change."""
    exc = UserErrorException(message)
    exc.explain(code, phase, hint, evidence)
    return exc


def not_available(what: str, instead: str) -> UserErrorException:
    """A part of Azure's API that this version of Mooring does not have, and what does the job."""
    return user_error(
        f"{what} is not available in this version of Mooring.", code="NotAvailable", hint=instead
    )
