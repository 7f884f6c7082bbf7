"""`mooring registry`: from where a workspace's images are pulled, and with which credentials."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli.options import Text, Yes
from mooring.cli.session import Session, command, group

if TYPE_CHECKING:
    from mooring.cli.output import Columns

PASSWORDS = ("password", "password2")
FIELDS: Columns = (
    ("Address", "address"),
    ("User name", "username"),
    ("External", lambda row: "yes" if row["external"] else "no"),
)
CREDENTIALS: Columns = (("Address", "location"), ("User name", "username"), *((n, n) for n in PASSWORDS))

app = group("The registry that a workspace's images are pulled from.")


@command(app, "show")
def show(session: Session) -> None:
    """Show the registry; images are at ADDRESS/IMAGE:VERSION.

    Example:
      mooring registry show
    """
    session.show(session.workspace().mooring.call("GET", "/registry"), FIELDS)


@command(app, "credentials")
def credentials(session: Session) -> None:
    """Show its user name and passwords, for docker login and podman login.

    Example:
      mooring registry credentials
    """
    _show_credentials(session, session.workspace())


@command(app, "renew")
def renew(
    session: Session,
    password_name: Annotated[
        str, typer.Option("--password-name", help="password or password2; the other one stays as it is.")
    ],
    yes: Yes = False,
) -> None:
    """Make another password for the server's own registry; the old one opens nothing any more.

    Example:
      mooring registry renew --password-name password2 --yes
    """
    from mooring.cli.confirm import confirm

    confirm(f"make the registry's {password_name} useless for those who have it", yes=yes)
    workspace = session.workspace()
    workspace.mooring.call("POST", "/registry/regenerateCredential", {"name": password_name})
    _show_credentials(session, workspace)


@command(app, "use")
def use(
    session: Session,
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="host[:port], with a prefix if you like.")
    ],
    username: Annotated[Text, typer.Option("--username", "-u", help="Of the registry.")] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the registry's password from the input.")
    ] = False,
) -> None:
    """Push the images that are built from now on to a registry elsewhere.

    Without a user name the credentials are used that `docker login` or `podman login` keep on the server's machine.

    Example:
      mooring registry use registry.example.com:5000/team -u me --password-stdin < password.txt
    """
    password = sys.stdin.readline().rstrip("\n") if password_stdin else ""
    body = {"address": address, "username": username or "", "password": password}
    session.show(session.workspace().mooring.call("PUT", "/registry", body), FIELDS)


@command(app, "reset")
def reset(session: Session) -> None:
    """Keep images in the server's own registry again; what was pushed elsewhere stays there.

    Example:
      mooring registry reset
    """
    session.show(session.workspace().mooring.call("DELETE", "/registry"), FIELDS)


def _show_credentials(session: Session, workspace: Any) -> None:
    keys = workspace.list_keys()["containerRegistryCredentials"]
    passwords = {each["name"]: each["value"] for each in keys["passwords"]}
    session.show({"location": keys["location"], "username": keys["username"], **passwords}, CREDENTIALS)
