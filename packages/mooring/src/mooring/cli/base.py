"""`mooring base`: base images, upon which images are built that run in containers."""

from __future__ import annotations

import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli import workspaces as places
from mooring.cli.failures import CliError
from mooring.cli.options import DryRun, Text, Yes
from mooring.cli.output import Columns
from mooring.cli.session import Session, command, group

if TYPE_CHECKING:
    from mooring.sdk.http import Http

FIELDS: Columns = (
    ("Name", "name"),
    ("Default", lambda row: "yes" if row["default"] else "no"),
    ("Digest", "digest"),
    ("Reference", "reference"),
    ("Architecture", "architecture"),
    ("Pythons", lambda row: ", ".join(row["pythons"]) or "none"),
    ("C library", lambda row: f"glibc {row['glibc']}"),
    ("Shell", lambda row: row["shell"] or "none"),
    ("Size", lambda row: f"{row['sizeInBytes'] / 1e6:.1f} MB"),
    ("From", "origin"),
    ("Created", "createdTime"),
)
COLUMNS: Columns = tuple(
    (title.upper(), source)
    for title, source in FIELDS
    if title in {"Name", "Default", "Pythons", "Size", "From"}
)
NameOption = Annotated[Text, typer.Option("--name", "-n", help="What the base is called here.")]
Named = Annotated[str, typer.Argument(metavar="NAME", help="The base.", show_default=False)]

app = group("Base images: what lies below images that run in containers.")


def add(root: typer.Typer) -> None:
    """Put the commands on the root."""
    root.add_typer(app, name="base")


def build(
    session: Session,
    name: NameOption = None,
    mirror: Annotated[
        Text, typer.Option("--mirror", help="Debian's packages: http://..., or copy:///folder.")
    ] = None,
) -> None:
    """Build the default base from Debian's packages, by mmdebstrap on the server's machine.

    It has Python, no shell and no package manager, about 20 MB packed. No registry is asked, no root needed.

    Examples:
      mooring base build
    """
    with _server() as http:
        made = http.follow(
            "POST", _path(), said=session.say, key="base", json={"name": name, "mirror": mirror}
        )
    session.show(made, FIELDS)


def import_(
    session: Session,
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="A tar archive, or a folder with an OCI layout.")
    ],
    name: Annotated[str, typer.Option("--name", "-n", help="What the base is called here.")],
) -> None:
    """Take a base image from a file: of `docker save`, `skopeo copy ... oci-archive:`, or of a root directory.

    Examples:
      mooring base import ubuntu.tar --name ubuntu22
      mooring base import ./layout --name ubuntu22
    """
    if not source.exists():
        raise CliError("FileNotFound", f"There is no {source}", hint="Name an archive or a folder.")
    with _server() as http:
        made = http.follow("PUT", _path(name), said=session.say, key="base", content=lambda: _pieces(source))
    session.show(made, FIELDS)


def pull(
    session: Session,
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="As for docker pull.")],
    name: NameOption = None,
    username: Annotated[Text, typer.Option("--username", "-u", help="Of the registry.")] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the registry's password from the input.")
    ] = False,
) -> None:
    """Take a base image from a registry; a digest in REFERENCE pins it.

    Credentials that `docker login` or `podman login` keep on the server's machine are used, too.

    Examples:
      mooring base pull debian:12 --name debian12
    """
    password = sys.stdin.readline().rstrip("\n") if password_stdin else None
    body = {"reference": reference, "name": name, "username": username, "password": password}
    with _server() as http:
        made = http.follow("POST", _path("pull"), said=session.say, key="base", json=body)
    session.show(made, FIELDS)


def list_(session: Session) -> None:
    """List the base images.

    Examples:
      mooring base list
    """
    with _server() as http:
        rows = http.json("GET", _path())[0]["value"]
    session.show_all(rows, COLUMNS, empty="No base images: images run on the process target only.")


def show(session: Session, name: Named) -> None:
    """Show one base image.

    Examples:
      mooring base show debian12-python3.11
    """
    with _server() as http:
        session.show(http.json("GET", _path(name))[0], FIELDS)


def default(session: Session, name: Named) -> None:
    """Build images upon this base from now on, unless they name another.

    Examples:
      mooring base default ubuntu22
    """
    with _server() as http:
        http.json("PUT", _path(name, "/default"))
    session.say(f"Images are built upon {name} from now on.")


def delete(session: Session, name: Named, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Forget a base image; images built upon it stay as they are.

    Examples:
      mooring base delete ubuntu22 --yes
    """
    from mooring.cli.confirm import confirm

    if dry_run:
        with _server() as http:
            http.json("GET", _path(name))
        session.say(f"Would delete the base image {name}.")
        return
    confirm(f"delete the base image {name}", yes=yes)
    with _server() as http:
        http.json("DELETE", _path(name))
    session.say(f"Deleted {name}.")


def _path(name: str = "", rest: str = "") -> str:
    from mooring.sdk.client import ROOT, part

    return f"{ROOT}/bases" + (f"/{part(name)}" if name else "") + rest


@contextmanager
def _server() -> Iterator[Http]:
    from mooring.sdk.connection import configured
    from mooring.sdk.http import Http
    from mooring.sdk.local_server import ensure_server

    config = places.nearest_config()
    http = Http(configured(config.settings if config else None) or ensure_server())
    try:
        yield http
    finally:
        http.close()


def _pieces(source: Path) -> Iterator[bytes]:
    """The archive; a folder is packed on the way."""
    if source.is_file():
        with source.open("rb") as file:
            while piece := file.read(1 << 20):
                yield piece
        return
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        info = tarfile.TarInfo(path.relative_to(source).as_posix())
        info.size = path.stat().st_size
        yield info.tobuf(tarfile.PAX_FORMAT)
        yield from _pieces(path)
        yield bytes(-info.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


for _name, _function in (
    ("build", build),
    ("import", import_),
    ("pull", pull),
    ("list", list_),
    ("show", show),
    ("default", default),
    ("delete", delete),
):
    command(app, _name, workspace=False)(_function)
