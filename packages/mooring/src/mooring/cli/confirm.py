"""Asking before something is lost."""

from __future__ import annotations

import sys

import typer

from mooring.cli.failures import CliError


def confirm(what: str, *, yes: bool) -> None:
    """Ask on a terminal. Without one a command that destroys needs `--yes`.

    Raises:
        CliError: `ConfirmationNeeded` when there is nobody to ask.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise CliError(
            "ConfirmationNeeded",
            f"this would {what}, and there is no terminal to ask on",
            hint="Add --yes to go ahead, or --dry-run to see what would happen.",
        )
    if not typer.confirm(f"This will {what}. Go ahead?", err=True):
        print("Nothing was changed.", file=sys.stderr)  # noqa: T201
        raise typer.Exit(1)
