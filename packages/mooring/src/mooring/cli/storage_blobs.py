"""`mooring storage container` and `mooring storage blob`, by the verbs of `az storage`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mooring.cli.calls import call
from mooring.cli.confirm import confirm
from mooring.cli.options import DryRun, Number, Text, Yes
from mooring.cli.output import Columns
from mooring.cli.session import Session, command, group
from mooring.cli.storage_places import find

if TYPE_CHECKING:
    from mooring.sdk.storage import BlobStorage

CONTAINERS: Columns = (("Name", "name"), ("Last modified", lambda row: row["properties"]["lastModified"]))
BLOBS: Columns = (
    ("Name", "name"),
    ("Length", lambda row: row["properties"]["contentLength"]),
    ("Content type", lambda row: row["properties"]["contentSettings"]["contentType"]),
    ("Last modified", lambda row: row["properties"]["lastModified"]),
)

containers = group("Containers of a storage account.")
blobs = group("Blobs of a container.")

Connection = Annotated[
    Text,
    typer.Option(
        "--connection-string",
        envvar="AZURE_STORAGE_CONNECTION_STRING",
        show_envvar=True,
        show_default=False,
        help="Connection string of the account.",
    ),
]
Account = Annotated[
    Text,
    typer.Option(
        "--account-name",
        envvar="AZURE_STORAGE_ACCOUNT",
        show_envvar=True,
        show_default=False,
        help="Or its name.",
    ),
]
ContainerName = Annotated[str, typer.Option("--name", "-n", help="Name of the container.")]
OfContainer = Annotated[str, typer.Option("--container-name", "-c", help="Name of the container.")]
BlobName = Annotated[str, typer.Option("--name", "-n", help="Name of the blob.")]


@command(containers, "create", workspace=False)
def create_container(
    session: Session, name: ContainerName, connection_string: Connection = None, account_name: Account = None
) -> None:
    """Create a container.

    Examples:
      mooring storage container create -n input --account-name triggerstorage
    """
    with _storage(connection_string, account_name) as storage:
        session.show({"created": storage.create_container(name)}, (("Created", "created"),))


@command(containers, "list", workspace=False)
def list_containers(
    session: Session,
    prefix: Annotated[str, typer.Option("--prefix", help="Only those whose name begins so.")] = "",
    connection_string: Connection = None,
    account_name: Account = None,
) -> None:
    """List the containers of a storage account.

    Examples:
      mooring storage container list --account-name triggerstorage
    """
    with _storage(connection_string, account_name) as storage:
        session.show_all(list(storage.containers(prefix)), CONTAINERS, empty="There are no containers.")


@command(containers, "delete", workspace=False)
def delete_container(
    session: Session,
    name: ContainerName,
    connection_string: Connection = None,
    account_name: Account = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Delete a container with all its blobs.

    Examples:
      mooring storage container delete -n input --account-name triggerstorage --yes
    """
    if dry_run:
        session.say(f"Would delete the container {name} with all its blobs.")
        return
    confirm(f"delete the container {name} with all its blobs", yes=yes)
    with _storage(connection_string, account_name) as storage:
        session.show({"deleted": storage.delete_container(name)}, (("Deleted", "deleted"),))


@command(blobs, "upload", workspace=False)
def upload_blob(
    session: Session,
    container: OfContainer,
    file: Annotated[Path, typer.Option("--file", "-f", help="The file.", exists=True, dir_okay=False)],
    name: Annotated[
        Text, typer.Option("--name", "-n", help="Name of the blob [default: that of the file]")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a blob that is there.")] = False,
    content_type: Annotated[Text, typer.Option("--content-type", help="Kept with the blob.")] = None,
    connection_string: Connection = None,
    account_name: Account = None,
) -> None:
    """Upload a file.

    Examples:
      mooring storage blob upload -c input -f house.json --account-name triggerstorage
    """
    with _storage(connection_string, account_name) as storage:
        done = storage.upload(
            container, name or file.name, file, overwrite=overwrite, content_type=content_type
        )
    session.show(done, (("ETag", "etag"), ("Last modified", "lastModified")))


@command(blobs, "list", workspace=False)
def list_blobs(
    session: Session,
    container: OfContainer,
    prefix: Annotated[str, typer.Option("--prefix", help="Only those whose name begins so.")] = "",
    num_results: Annotated[
        Number, typer.Option("--num-results", help="So many [default: 5000]", min=1)
    ] = None,
    connection_string: Connection = None,
    account_name: Account = None,
) -> None:
    """List the blobs of a container.

    Examples:
      mooring storage blob list -c output --account-name triggerstorage
    """
    with _storage(connection_string, account_name) as storage:
        rows = list(islice(storage.blobs(container, prefix), num_results or 5000))
    session.show_all(rows, BLOBS, empty="There are no blobs.")


@command(blobs, "download", workspace=False)
def download_blob(
    session: Session,
    container: OfContainer,
    name: BlobName,
    file: Annotated[Path, typer.Option("--file", "-f", help="Where to; replaced if it is there.")],
    connection_string: Connection = None,
    account_name: Account = None,
) -> None:
    """Download a blob into a file, which is there when it is complete.

    Examples:
      mooring storage blob download -c output -n house_out.json -f out.json --account-name triggerstorage
    """
    with _storage(connection_string, account_name) as storage:
        session.show(storage.download(container, name, file), BLOBS)


@command(blobs, "delete", workspace=False)
def delete_blob(
    session: Session,
    container: OfContainer,
    name: BlobName,
    connection_string: Connection = None,
    account_name: Account = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Delete a blob.

    Examples:
      mooring storage blob delete -c input -n house.json --account-name triggerstorage --yes
    """
    if dry_run:
        session.say(f"Would delete the blob {name}.")
        return
    confirm(f"delete the blob {name}", yes=yes)
    with _storage(connection_string, account_name) as storage:
        storage.delete(container, name)
    session.say(f"Deleted {name}.")


@contextmanager
def _storage(connection_string: str | None, account_name: str | None) -> Iterator[BlobStorage]:
    from mooring.sdk.storage import BlobStorage

    if connection_string is None:
        if account_name is None:
            raise typer.BadParameter("give one of them", param_hint="--connection-string or --account-name")
        path = find(account_name, None, None)
        connection_string = call("POST", f"{path}/connectionString")["connectionString"]
    storage = BlobStorage(connection_string)
    try:
        yield storage
    finally:
        storage.close()
