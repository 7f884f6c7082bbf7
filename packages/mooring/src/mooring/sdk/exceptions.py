"""Azure's exception classes, which also carry Mooring's cause code, phase, hint and evidence.

AzureMLException
├── UserErrorException
│   └── AuthenticationException
├── WebserviceException
│   └── ModelNotFoundException        Azure raises either of the two for a missing model; catching either
works
├── ModelPathNotFoundException, ComputeTargetException, WorkspaceException, ProjectSystemException,
│   DiscoveryUrlNotFoundException, RunEnvironmentException, SnapshotException, TrainingException
└── ExperimentExecutionException
    ├── ActivityFailedException
    └── ActivityCanceledException
"""

from __future__ import annotations

import json
import textwrap
import traceback
from collections.abc import Mapping
from typing import Any


class AzureMLException(Exception):
    """Root of everything the SDK raises on purpose.

    Attributes:
        code: Mooring's stable cause code (``InitRaised``), or an empty string.
        phase: the phase that stopped (``Validate``, ``Resolve``, ``Init``, ...), or an empty string.
        hint: what to do next, or an empty string.
        evidence: named excerpts: ``traceback``, ``log``, ``tree``, ``source``.
    """

    code: str
    phase: str
    hint: str
    evidence: dict[str, str]

    def __init__(
        self,
        exception_message: str = "",
        inner_exception: BaseException | None = None,
        target: str | None = None,
        details: Any = None,
        message_format: str | None = None,
        message_parameters: Mapping[str, Any] | None = None,
        reference_code: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(exception_message)
        if not exception_message and message_format:
            exception_message = message_format.format(**(message_parameters or {}))
        self._message = exception_message
        self._inner_exception = inner_exception
        self.target = target
        self.details = details
        self.reference_code = reference_code
        self.code = ""
        self.phase = ""
        self.hint = ""
        self.evidence = {}
        self.extra = kwargs

    @property
    def message(self) -> str:
        """What happened, without evidence and hint."""
        return self._message

    @message.setter
    def message(self, value: str) -> None:
        self._message = value

    @property
    def inner_exception(self) -> BaseException | None:
        """The exception that caused this one, if there is one."""
        return self._inner_exception

    @inner_exception.setter
    def inner_exception(self, value: BaseException | None) -> None:
        self._inner_exception = value

    def print_stacktrace(self) -> None:
        """Print the traceback of the inner exception, or of this one."""
        shown = self._inner_exception or self
        traceback.print_exception(type(shown), shown, shown.__traceback__)

    def explain(
        self,
        code: str,
        phase: str = "Validate",
        hint: str = "",
        evidence: Mapping[str, str] | None = None,
    ) -> AzureMLException:
        """Add Mooring's side of the story; returns the exception so that it can be raised."""
        self.code = code
        self.phase = phase
        self.hint = hint
        self.evidence = {name: text for name, text in (evidence or {}).items() if text}
        return self

    def __str__(self) -> str:
        parts = [str(self._message)]
        if self.code:
            parts.append(f"  cause: {self.code}" + (f" in phase {self.phase}" if self.phase else ""))
        for name, text in self.evidence.items():
            parts.append(f"  {name}:\n" + textwrap.indent(str(text).rstrip("\n"), "    "))
        if self.hint:
            parts.append(f"  hint: {self.hint}")
        if self._inner_exception is not None:
            parts.append(f"  inner exception: {self._inner_exception!r}")
        return "\n".join(parts)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._message!r})"


class UserErrorException(AzureMLException):
    """Something in the call or on the caller's machine has to change."""

    def __init__(self, exception_message: str, **kwargs: Any) -> None:
        super().__init__(exception_message, **kwargs)


class AuthenticationException(UserErrorException):
    """No, wrong or expired credentials."""


class WebserviceException(AzureMLException):
    """A model, image or web service call failed.

    Attributes:
        status_code: HTTP status of the answer, if there was one.
    """

    def __init__(
        self, exception_message: str, status_code: int | None = None, logger: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(exception_message, **kwargs)
        self.status_code = status_code
        if logger is not None:
            logger.error(exception_message)


class ModelNotFoundException(WebserviceException):
    """No such model, in the workspace or on disk."""

    def __init__(self, exception_message: str, logger: Any = None, **kwargs: Any) -> None:
        super().__init__(exception_message, logger=logger, **kwargs)


class ModelPathNotFoundException(AzureMLException):
    """The file or folder to register does not exist."""

    def __init__(self, exception_message: str, logger: Any = None, **kwargs: Any) -> None:
        super().__init__(exception_message, **kwargs)
        if logger is not None:
            logger.error(exception_message)


class ComputeTargetException(AzureMLException):
    """A compute target is missing or could not be made."""

    def __init__(self, exception_message: str, **kwargs: Any) -> None:
        super().__init__(exception_message, **kwargs)


class WorkspaceException(AzureMLException):
    """A workspace is missing, exists already or is ambiguous."""

    def __init__(self, exception_message: str, found_multiple: bool = False, **kwargs: Any) -> None:
        super().__init__(exception_message, **kwargs)
        self.found_multiple = found_multiple


class WorkspacePrivateEndpointException(WorkspaceException):
    """Kept for `except` clauses; private endpoints do not exist here."""


class ProjectSystemException(AzureMLException):
    """A project or its files could not be used."""

    def __init__(self, exception_message: str, **kwargs: Any) -> None:
        super().__init__(exception_message, **kwargs)


class SnapshotException(AzureMLException):
    """A snapshot of a source directory failed."""

    def __init__(self, exception_message: str, **kwargs: Any) -> None:
        super().__init__(exception_message, **kwargs)


class TrainingException(AzureMLException):
    """A training run failed."""

    def __init__(self, exception_message: str, **kwargs: Any) -> None:
        super().__init__(exception_message, **kwargs)


class RunConfigurationException(AzureMLException):
    """A run configuration is wrong."""

    def __init__(self, exception_message: str, **kwargs: Any) -> None:
        super().__init__(exception_message, **kwargs)


class RunEnvironmentException(AzureMLException):
    """The code does not run inside a run."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("Not inside a run: the run's environment variables are not set.", **kwargs)


class ExperimentExecutionException(AzureMLException):
    """An experiment could not be started."""

    def __init__(self, exception_message: str, **kwargs: Any) -> None:
        super().__init__(exception_message, **kwargs)


class ActivityFailedException(ExperimentExecutionException):
    """A run failed.

    Attributes:
        error_details: the service's own description, a text or JSON object.
    """

    def __init__(self, error_details: Any, **kwargs: Any) -> None:
        self.error_details = error_details
        text = error_details if isinstance(error_details, str) else json.dumps(error_details)
        super().__init__(f"Activity Failed:\n{text}", **kwargs)


class ActivityCanceledException(ExperimentExecutionException):
    """A run was cancelled."""

    def __init__(self, cancellation_source: str | None = None, **kwargs: Any) -> None:
        super().__init__("Activity Canceled" + (f" by {cancellation_source}" if cancellation_source else ""))
        self.extra = kwargs


class DiscoveryUrlNotFoundException(AzureMLException):
    """A service is unknown to discovery."""

    def __init__(self, discovery_key: str, **kwargs: Any) -> None:
        super().__init__(f"No address is known for {discovery_key}.", **kwargs)


class ParallelRunException(AzureMLException):
    """A parallel run failed."""

    def __init__(
        self, exception_message: str, code: str | None = None, delay_seconds: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(exception_message, **kwargs)
        self.code = code or ""
        self.delay_seconds = delay_seconds


class DatasetTimestampMissingError(AzureMLException):
    """A dataset has no timestamp column."""

    def __init__(self, error_details: Any, **kwargs: Any) -> None:
        self.error_details = error_details
        super().__init__(str(error_details), **kwargs)
