"""`mooring backup` and `mooring restore`."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring.cli.failures import CliError
from mooring.cli.session import Session, command

if TYPE_CHECKING:
    from mooring.cli.progress import Bytes
    from mooring.sdk.connection import Connection

# The last entry of an archive and its end (mooring_server.store.archive): what comes before is hashed.
TRAILER, BLOCK = 2048, 512
FIELDS = (
    ("File", "file"),
    ("Data", "home"),
    ("Made", "createdTime"),
    ("By version", "version"),
    ("Schema", "dataVersion"),
    ("Workspaces", "workspaces"),
    ("Models", "models"),
    ("Images", "images"),
    ("Services", "services"),
    ("Blobs", "blobs"),
    ("Artifacts", "artifacts"),
    ("Size", lambda row: size_text(row.get("bytes"))),
    ("New ports", "moved"),
)
Archive = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.", show_default=False)]


def add(app: typer.Typer) -> None:
    """Put the commands on the root."""
    command(app, "backup", workspace=False, people=True)(backup)
    command(app, "restore", workspace=False, people=True)(restore)


def backup(
    session: Session,
    file: Archive,
    force: Annotated[bool, typer.Option("--force", help="Replace a file of that name.")] = False,
) -> None:
    """Write everything into one file: models, images, services, MLflow's runs, keys, the server's token and port.

    The server and the services go on meanwhile. The file can be read by its owner only; keep it as you keep
    the keys in it. Caches are left out and made again.

    Examples:
      mooring backup mooring.tar
      mooring backup mooring.tar --force --output json
    """
    from mooring.cli.progress import Bytes
    from mooring.sdk import local_server
    from mooring.sdk.connection import configured

    path = file.expanduser().absolute()
    if path.exists() and not force:
        raise CliError(
            "FileExists", f"{path} exists already", hint="Name another file, or replace it with --force."
        )
    progress = Bytes("Backing up", quiet=session.quiet)
    connection = configured() or local_server.running()
    if connection is not None:
        result = _download(connection, path, progress)
    else:
        result = _server_command("create", path, local_server.home(), progress)
    session.show(result, FIELDS)


def restore(
    session: Session,
    file: Archive,
    force: Annotated[bool, typer.Option("--force", help="Replace the data that are there.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the backup and tell what it holds.")
    ] = False,
) -> None:
    """Put a backup into the data directory (MOORING_HOME). The backup is checked before anything is changed.

    Then start the server with `mooring up`: services come back with their keys, on their ports where those are free.

    Examples:
      mooring restore mooring.tar --dry-run
      mooring restore mooring.tar
    """
    from mooring.cli.progress import Bytes
    from mooring.sdk import local_server

    path = file.expanduser().absolute()
    progress = Bytes("Checking" if dry_run else "Restoring", quiet=session.quiet)
    what = "inspect" if dry_run else "restore"
    result = _server_command(what, path, local_server.home(), progress, *(["--force"] if force else []))
    session.show(result, FIELDS)
    if not dry_run:
        session.say("Restored. Start the server and its services with: mooring up")


def size_text(size: int | None) -> str | None:
    """`1.5 GiB`."""
    from mooring.cli.output import bytes_text

    return None if size is None else bytes_text(size)


def _download(connection: Connection, path: Path, progress: Bytes) -> dict[str, Any]:
    """Stream the server's backup into a file that appears when it is complete, right and on disk."""
    import httpx

    from mooring.sdk.http import Http

    part = path.with_name(f"{path.name}.part")
    http = Http(connection)
    try:
        stream = http.stream("/mooring/v1/backup", noun="backup")
        with stream as pieces:
            part.unlink(missing_ok=True)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            total = int(stream.headers["Content-Length"])
            with os.fdopen(descriptor, "wb") as out:
                for piece in _checked(pieces, total):
                    out.write(piece)
                    progress(out.tell(), total)
                out.flush()
                os.fsync(out.fileno())
            summary: dict[str, Any] = json.loads(stream.headers["Mooring-Backup"])
        part.replace(path)
    except httpx.TransportError as error:
        raise CliError(
            "BackupInterrupted",
            f"the server ended before the backup did ({type(error).__name__})",
            hint="Nothing was kept. Look at the server with `mooring status`, then try again.",
            phase="Run",
        ) from error
    finally:
        progress.close()
        part.unlink(missing_ok=True)
        http.close()
    return {**summary, "bytes": total, "file": str(path)}


def _checked(pieces: Iterator[bytes], total: int) -> Iterator[bytes]:
    """The pieces; at the end what came is compared with the checksum in the archive."""
    digest = hashlib.sha256()
    held = b""
    for piece in pieces:
        held += piece
        if len(held) > TRAILER:
            digest.update(memoryview(held)[:-TRAILER])
            held = held[-TRAILER:]
        yield piece
    try:
        right = json.loads(held[BLOCK : 2 * BLOCK])["sha256"] == digest.hexdigest()
    except (ValueError, KeyError, TypeError):
        right = False
    if not right:
        raise CliError(
            "BackupDamaged",
            f"the {total:,} bytes that came do not fit their checksum",
            hint="Nothing was kept. Try again.",
            phase="Run",
        )


def _server_command(what: str, path: Path, home: Path, progress: Bytes, *options: str) -> dict[str, Any]:
    """Run a part of mooring-server that does it, and show its progress."""
    from importlib.util import find_spec

    if find_spec("mooring_server") is None:
        raise CliError(
            "ServerNotInstalled",
            "mooring-server is not installed in this environment",
            hint="pip install 'mooring[server]'",
            phase="Start",
        )
    arguments = [
        sys.executable,
        "-m",
        "mooring_server.backup",
        what,
        str(path),
        "--home",
        str(home),
        *options,
    ]
    last: dict[str, Any] = {}
    with subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - asked for
        for line in process.stdout:
            last = json.loads(line)
            if "progress" in last:
                progress(*last["progress"])
    progress.close()
    if "error" in last:
        error = last["error"]
        raise CliError(
            error["code"],
            error["message"],
            hint=error["hint"],
            phase=error["phase"],
            evidence=error["evidence"],
        )
    if "result" not in last:
        raise CliError(
            "BackupInterrupted",
            f"`{what}` ended with status {process.returncode} before it was done",
            hint="What it wrote on standard error tells why; then try again.",
            phase="Run",
        )
    result: dict[str, Any] = last["result"]
    return result
