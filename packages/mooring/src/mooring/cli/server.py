"""`mooring up`, `down`, `status` and `doctor`: the per-user server."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from mooring.cli.doctor import command as doctor_command
from mooring.cli.failures import CliError
from mooring.cli.options import DryRun, File, Number, Text, Yes
from mooring.cli.output import Columns
from mooring.cli.session import Session, command

STATUS_FIELDS: Columns = (
    ("Running", "running"),
    ("URL", "url"),
    ("Version", "version"),
    ("Process", "pid"),
    ("Started", "startedTime"),
    ("Data", "home"),
    ("Log", "log"),
    (
        "Services",
        lambda found: "\n".join(f"{s['name']}  {s['phase']}  {s['url']}" for s in found.get("services", [])),
    ),
)


def add(app: typer.Typer) -> None:
    """Put the commands on the root."""
    command(app, "up", workspace=False, people=True)(up)
    command(app, "down", workspace=False, people=True)(down)
    command(app, "status", workspace=False, people=True)(status)
    command(app, "doctor", workspace=False, people=True)(doctor_command.doctor)


def up(
    session: Session,
    port: Annotated[Number, typer.Option("--port", help="Port to listen on.", min=1, max=65535)] = None,
    host: Annotated[Text, typer.Option("--host", help="Address to listen on [default: 127.0.0.1]")] = None,
    tls_cert: Annotated[
        File, typer.Option("--tls-cert", metavar="PEM", help="Certificate chain for HTTPS; remembered.")
    ] = None,
    tls_key: Annotated[File, typer.Option("--tls-key", metavar="PEM", help="Its key; remembered.")] = None,
    no_tls: Annotated[bool, typer.Option("--no-tls", help="Forget the certificate.")] = False,
    public_host: Annotated[
        Text, typer.Option("--public-host", metavar="NAME", help="Name for other machines; remembered.")
    ] = None,
    target: Annotated[
        Text,
        typer.Option(
            "--target", help="Where models run: process or container; remembered.", metavar="TARGET"
        ),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let other machines connect without TLS.")
    ] = False,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay attached; Ctrl+C stops it.")] = False,
    at_boot: Annotated[
        bool, typer.Option("--at-boot", help="Instead, write a systemd unit that starts it.")
    ] = False,
) -> None:
    """Start the per-user server. Scripts and commands start it by themselves when they need it.

    Services that were running are found again.

    Examples:
      mooring up
      mooring up --port 8777
      mooring up --foreground
      mooring up --host 0.0.0.0 --port 8777 --tls-cert server.pem --tls-key server.key
      mooring up --at-boot
      mooring up --target container
    """
    from mooring.sdk import local_server

    if target not in {None, "process", "container"}:
        raise CliError("TargetUnknown", f"--target must be process or container, not {target}")
    found = local_server.running()
    named = {
        "--host": host,
        "--port": port,
        "--tls-cert": tls_cert and tls_cert.absolute(),
        "--tls-key": tls_key and tls_key.absolute(),
        "--public-host": public_host,
        "--target": target,
    }
    arguments = [text for name, value in named.items() if value is not None for text in (name, str(value))]
    arguments += [name for name, chosen in (("--no-tls", no_tls), ("--insecure", insecure)) if chosen]
    if at_boot:
        _write_unit(session, arguments)
        return
    if found is not None and (foreground or arguments):
        raise CliError(
            "ServerRunning",
            f"a server runs already at {found.endpoint}",
            hint="Stop it first: mooring down",
            phase="Start",
        )
    if foreground:
        _foreground(str(local_server.home()), arguments)
    if found is None:
        local_server.start(arguments)
    session.show(local_server.status(), STATUS_FIELDS)


def _write_unit(session: Session, arguments: list[str]) -> None:
    from mooring.cli import boot
    from mooring.sdk import local_server

    unit = boot.unit_for(local_server.home(), local_server.usual_home())
    changed = unit.write(local_server.home(), arguments)
    steps = boot.next_steps(unit)
    if session.json:
        session.show({"unit": str(unit.path), "changed": changed, "enabled": True, "next": steps}, ())
        return
    session.say(f"{'Wrote and enabled' if changed else 'Enabled already:'} {unit.path}")
    for step in steps:
        session.say(step)


def _remove_unit(session: Session, *, dry_run: bool) -> None:
    from mooring.cli import boot
    from mooring.sdk import local_server

    unit = boot.unit_for(local_server.home(), local_server.usual_home())
    if dry_run:
        session.say(f"Would remove {unit.path}.")
        return
    removed = unit.remove()
    if session.json:
        session.show({"unit": str(unit.path), "removed": removed}, ())
        return
    session.say(
        f"Removed {unit.path}; nothing starts the server at boot." if removed else "There was no unit."
    )
    if removed and boot.systemd_runs():
        session.say(f"systemd forgets it with: {unit.systemctl} daemon-reload")


def _foreground(home: str, arguments: list[str]) -> None:
    from importlib.util import find_spec

    if find_spec("mooring_server") is None:
        raise CliError(
            "ServerNotInstalled",
            "mooring-server is not installed in this environment",
            hint="pip install 'mooring[server]'",
            phase="Start",
        )
    os.makedirs(home, mode=0o700, exist_ok=True)  # noqa: PTH103 - Path.mkdir gives its mode to the last part only
    whole = [sys.executable, "-m", "mooring_server", "--home", home, *arguments]
    sys.stdout.flush()
    # Replaces this process, so that signals and the exit status are the server's own.
    os.execv(sys.executable, whole)  # noqa: S606


def down(
    session: Session,
    services: Annotated[
        bool, typer.Option("--services", help="Also stop the services that run here.")
    ] = False,
    at_boot: Annotated[
        bool, typer.Option("--at-boot", help="Instead, remove the unit of mooring up --at-boot.")
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Stop the per-user server. Deployed services go on answering.

    With --services their processes stop as well; nothing is deleted, and `mooring up` starts them again. With
    --at-boot nothing is stopped; the server just does not start with the machine any more.

    Examples:
      mooring down
      mooring down --services --yes
      mooring down --at-boot
    """
    if at_boot:
        _remove_unit(session, dry_run=dry_run)
        return
    from mooring.cli import processes
    from mooring.cli.confirm import confirm
    from mooring.sdk import local_server

    running = processes.services(local_server.home()) if services else []
    names = ", ".join(service.name for service in running) or "no service"
    if dry_run:
        session.say(f"Would stop the server{f' and {names}' if services else ''}.")
        return
    if running:
        confirm(f"stop the server and {names}", yes=yes)
    stopped = local_server.stop()
    for service in running:
        processes.stop(service)
    result: dict[str, Any] = {"stopped": stopped, "services": [service.name for service in running]}
    if session.json:
        session.show(result, ())
        return
    session.say("The server has stopped." if stopped else "No server was running.")
    if services:
        session.say(f"Stopped {names}.")
    elif left := processes.services(local_server.home()):
        session.say(f"{len(left)} service(s) go on: {', '.join(service.name for service in left)}.")


def status(session: Session) -> None:
    """Show the server that this user's scripts and commands talk to. Exit status 1 when none runs.

    Examples:
      mooring status
      mooring status --output json
    """
    from mooring.cli import processes
    from mooring.sdk import local_server

    found: dict[str, Any] = dict(local_server.status())
    if not found["configured"]:
        found["services"] = [
            {"name": s.name, "phase": s.phase, "url": s.url, "pid": s.pid}
            for s in processes.services(local_server.home())
        ]
    session.show(found, STATUS_FIELDS)
    if not found["running"]:
        raise typer.Exit(1)
