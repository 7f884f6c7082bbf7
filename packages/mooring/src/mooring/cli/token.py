"""`mooring token` and `mooring audit`: who may use the server, and who did."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from mooring.cli import workspaces as places
from mooring.cli.options import Text, Texts
from mooring.cli.output import Columns
from mooring.cli.session import Session, command, group

ROLES = ("reader", "contributor", "owner")
TIMES = {"d": 1.0, "h": 1 / 24, "m": 1 / 1440}


def _reach(token: Mapping[str, Any]) -> str:
    if token["workspaces"] is None:
        return "all"
    return ", ".join(identity.rsplit("/", 1)[-1] for identity in token["workspaces"]) or "none any more"


COLUMNS: Columns = (
    ("Id", "id"),
    ("Name", "name"),
    ("Role", "role"),
    ("Workspaces", _reach),
    ("State", "state"),
    ("Expires", lambda token: token["expiresTime"] or "never"),
    ("Last used", lambda token: token["lastUsedTime"] or "never"),
)
AUDIT_COLUMNS: Columns = (
    ("Time", "time"),
    ("Token", lambda entry: (entry.get("token") or {}).get("name") or "-"),
    ("Address", "address"),
    ("Status", "status"),
    ("Method", "method"),
    ("Workspace", lambda entry: entry.get("workspace") or "-"),
    ("Resource", "resource"),
)

app = group("Tokens with roles, for other people and programs.")


def add(root: typer.Typer) -> None:
    """Put the commands on the root."""
    root.add_typer(app, name="token")
    command(root, "audit", workspace=False, people=True)(audit)


def create(
    session: Session,
    name: Annotated[str, typer.Option("--name", "-n", help="Name of the token, for people.")],
    role: Annotated[str, typer.Option("--role", help="reader, contributor or owner.")],
    workspace: Annotated[
        Texts,
        typer.Option(
            "--workspace-name", "-w", help="Only for this workspace; may be repeated [default: all]"
        ),
    ] = None,
    expires: Annotated[
        Text,
        typer.Option("--expires", metavar="30d", help="Good for so many days (d), hours (h), minutes (m)."),
    ] = None,
    resource_group: Annotated[
        Text, typer.Option("--resource-group", "-g", help="Resource group of the workspaces.")
    ] = None,
    subscription_id: Annotated[
        Text, typer.Option("--subscription-id", help="Subscription of the workspaces.")
    ] = None,
) -> None:
    """Make a token. It is shown once; the server keeps only a hash of it.

    Examples:
      mooring token create --name ci --role contributor -w myworkspace --expires 30d
      mooring token create --name dashboards --role reader
    """
    if role not in ROLES:
        raise typer.BadParameter(f"expected one of {', '.join(ROLES)}, got {role!r}", param_hint="--role")
    meant = None
    if workspace:
        scopes = [places.scope(one, resource_group, subscription_id) for one in workspace]
        meant = [{"subscription": s, "resourceGroup": g, "name": n} for s, g, n in scopes]
    body = {"name": name, "role": role, "workspaces": meant, "expiresInDays": _days(expires)}
    made = call("POST", "/tokens", body)
    if not session.json:
        session.say("Keep this token; it is not shown again. Callers set it as MOORING_TOKEN.")
    session.show(made, (("Token", "token"), *COLUMNS[:-1]))


def list_(session: Session) -> None:
    """List the tokens, also those that are good no more.

    Examples:
      mooring token list
    """
    session.show_all(
        call("GET", "/tokens")["value"], COLUMNS, empty="There are no tokens but the server's own."
    )


def revoke(
    session: Session,
    token: Annotated[str, typer.Argument(help="Id or name of the token.")],
) -> None:
    """Revoke a token; its next request is refused.

    Examples:
      mooring token revoke ci
    """
    from mooring.sdk.client import part

    call("DELETE", f"/tokens/{part(token)}")
    session.say(f"Revoked {token}.")


def audit(
    session: Session,
    count: Annotated[int, typer.Option("--count", "-n", help="So many entries.", min=1, max=10_000)] = 50,
) -> None:
    """Show the last changes of the server's resources, and what was refused, oldest first.

    Examples:
      mooring audit
      mooring audit -n 500 --output json
    """
    rows = call("GET", f"/audit?count={count}")["value"]
    session.show_all(rows, AUDIT_COLUMNS, empty="Nothing was changed or refused yet.")


def call(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Call the native API outside of a workspace."""
    from mooring.sdk.client import ROOT
    from mooring.sdk.connection import configured
    from mooring.sdk.http import Http
    from mooring.sdk.local_server import ensure_server

    config = places.nearest_config()
    http = Http(configured(config.settings if config else None) or ensure_server())
    try:
        return http.json(method, ROOT + path, body=body)[0]
    finally:
        http.close()


def _days(text: str | None) -> float | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([dhm])", text)
    if match is None or float(match[1]) == 0:
        raise typer.BadParameter(
            f"expected a duration like 30d, 12h or 15m, got {text!r}", param_hint="--expires"
        )
    return float(match[1]) * TIMES[match[2]]


command(app, "create", workspace=False)(create)
command(app, "list", workspace=False)(list_)
command(app, "revoke", workspace=False)(revoke)
