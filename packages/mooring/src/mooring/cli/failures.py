"""Errors as people and scripts read them.

Whatever the SDK raises (objects with `code, phase, message, hint, evidence`, docs/protocols.md section 1)
becomes a block on stderr, or the same JSON envelope that the server sends with `--output json`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

WIDTH = 100


class CliError(Exception):
    """A mistake found before the SDK was asked; the same attributes as every other Mooring error."""

    exit_status = 1

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str = "",
        phase: str = "Validate",
        target: str | None = None,
        evidence: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.phase = phase
        self.target = target
        self.evidence = dict(evidence or {})


class WaitStopped(CliError):
    """Ctrl+C while a command waited for an operation, which goes on in the server."""

    exit_status = 130  # 128 + SIGINT, as shells report it

    def __init__(self, title: str, look: str) -> None:
        super().__init__(
            code="WaitStopped",
            message=f"Stopped waiting. {title} goes on in the server.",
            hint=f"Look at it with: {look}",
            phase="Ready",
        )


def as_json(error: BaseException) -> dict[str, Any]:
    """The `error` envelope of any exception; unknown classes are reported as `InternalError`."""
    body: dict[str, Any] = {"code": _code(error), "message": _message(error)}
    phase = getattr(error, "phase", None)
    status = getattr(error, "status_code", None)
    target = getattr(error, "target", None)
    evidence = getattr(error, "evidence", None)
    if isinstance(phase, str) and phase:
        body["phase"] = phase
    if isinstance(status, int):
        body["statusCode"] = status
    body["hint"] = _hint(error)
    if isinstance(target, str) and target:
        body["target"] = target
    body["evidence"] = {str(k): str(v) for k, v in evidence.items()} if isinstance(evidence, Mapping) else {}
    return {"error": body}


def report(error: BaseException, *, machine: bool, debug: bool) -> None:
    """Write `error` to stderr. With `debug` the traceback comes first."""
    if debug:
        import traceback

        sys.stderr.write("".join(traceback.format_exception(type(error), error, error.__traceback__)))
        sys.stderr.flush()
    envelope = as_json(error)
    if machine:
        sys.stderr.write(json.dumps(envelope, indent=2) + "\n")
        sys.stderr.flush()
        return
    from rich.console import Console

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for text, style in lines(envelope["error"]):
        console.print(text, style=style, markup=False)


def lines(error: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The block's lines with their styles: what happened, where, the evidence, what to do."""
    place = " ".join(
        part for part in (error["code"], f"in {error['phase']}" if error.get("phase") else "") if part
    )
    result = [(f"Error: {error['message']}", "bold red"), (f"  {place}", "dim")]
    for name, text in error["evidence"].items():
        result.append((f"  {name}:", "bold"))
        result += [(f"    | {line}", "") for line in str(text).rstrip().splitlines()]
    if error["hint"]:
        result.append((f"  What to do: {error['hint']}", "green"))
    return result


def _code(error: BaseException) -> str:
    code = getattr(error, "code", None)
    if isinstance(code, str) and code:
        return code
    if isinstance(error, FileNotFoundError):
        return "FileNotFound"
    if isinstance(error, (PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)):
        return "FileNotUsable"
    if type(error).__module__.startswith("mooring"):
        return type(error).__name__
    return "InternalError"


def _message(error: BaseException) -> str:
    message = getattr(error, "message", None)
    if isinstance(message, str) and message:
        return message
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    text = str(error)
    if _code(error) == "InternalError":
        return f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text


def _hint(error: BaseException) -> str:
    hint = getattr(error, "hint", None)
    if isinstance(hint, str) and hint:
        return hint
    if _code(error) == "InternalError":
        return "This is a defect in Mooring, not in what you wrote. Run again with --debug and report it."
    if isinstance(error, FileNotFoundError):
        return "Check the path; paths are relative to the current directory."
    if isinstance(error, OSError):
        return "Check the path and its permissions."
    return ""
