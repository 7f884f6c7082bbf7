"""Calls of what belongs to the whole server, not to a workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mooring.cli import workspaces as places
from mooring.cli.confirm import confirm
from mooring.cli.session import Session

if TYPE_CHECKING:
    from mooring.sdk.http import Http


def server() -> Http:
    """The server that the configuration names, else the local one."""
    from mooring.sdk.connection import configured
    from mooring.sdk.http import Http
    from mooring.sdk.local_server import ensure_server

    config = places.nearest_config()
    return Http(configured(config.settings if config else None) or ensure_server())


def call(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """The answer's JSON; ``path`` begins behind the API's root.

    Raises:
        MooringError: what the server says.
    """
    from mooring.sdk.client import ROOT

    http = server()
    try:
        return http.json(method, ROOT + path, body=body)[0]
    finally:
        http.close()


def delete(session: Session, path: str, what: str, *, yes: bool, dry_run: bool) -> None:
    """Delete what is at ``path``, once that is confirmed; with ``dry_run`` only look whether it is there.

    Raises:
        MooringError: what the server says.
        CliError: ``ConfirmationNeeded``.
    """
    if dry_run:
        call("GET", path)
        session.say(f"Would delete {what}.")
        return
    confirm(f"delete {what}", yes=yes)
    call("DELETE", path)
    session.say(f"Deleted {what}.")
