"""`mooring doctor --check`: whether the server's data is whole. The server looks; here it is asked and shown."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from typing import Any

from mooring.cli.failures import CliError
from mooring.sdk.connection import Connection
from mooring.sdk.types import JSON


def report(*, deep: bool) -> JSON:
    """The report of the server that scripts would talk to, else of the data directory itself.

    Returns:
        ``{ok, findings: [{code, severity, subject, message, hint}], checked}``.

    Raises:
        CliError: nobody can look.
    """
    from mooring.sdk import local_server
    from mooring.sdk.connection import configured

    connection = configured() or local_server.running()
    if connection is not None:
        return _ask(connection, deep=deep)
    home = local_server.home()
    if not home.exists():
        return {"ok": True, "findings": [], "checked": {}}
    if importlib.util.find_spec("mooring_server") is None:
        raise CliError(
            "ServerNotInstalled",
            f"no server runs, and mooring-server is not installed here to look at {home}",
            hint="pip install 'mooring[server]'",
            phase="Start",
        )
    command = [sys.executable, "-m", "mooring_server", "--home", str(home), "--check"]
    done = subprocess.run(
        [*command, *(["--deep"] if deep else [])], check=False, capture_output=True, text=True
    )
    try:
        found: JSON = json.loads(done.stdout)
    except ValueError:
        raise CliError(
            "CheckFailed",
            f"the check of {home} ended with status {done.returncode}",
            hint="The evidence has its last words.",
            phase="Run",
            evidence={"log": done.stderr[-4000:]},
        ) from None
    return found


def _ask(connection: Connection, *, deep: bool) -> JSON:
    import httpx

    from mooring.sdk.http import http_client

    headers = {"Authorization": f"Bearer {connection.token}"}
    try:
        with http_client(connection.endpoint, connection, headers=headers) as client:
            # A deep check reads everything, which takes as long as it takes.
            url = f"{connection.endpoint}/mooring/v1/check"
            answer = client.get(url, params={"deep": deep}, timeout=None if deep else 300)
        data: JSON = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise CliError(
            "ServerUnreachable",
            f"the server at {connection.endpoint} did not answer: {error}",
            hint="mooring status; without a server, mooring doctor --check looks by itself.",
            phase="Run",
        ) from error
    if answer.status_code != 200:
        told = data.get("error") or {}
        raise CliError(
            str(told.get("code") or "CheckFailed"),
            str(told.get("message") or answer.text[:1000]),
            hint=str(told.get("hint") or ""),
            phase="Run",
        )
    return data


def show(found: JSON) -> None:
    """For people."""
    from rich.console import Console

    from mooring.cli import output

    console = Console(highlight=False, soft_wrap=True, file=output.stdout())
    for finding in found["findings"]:
        wrong = finding["severity"] == "wrong"
        console.print("WRONG   " if wrong else "note    ", style="bold red" if wrong else "yellow", end="")
        console.print(f"{finding['code']}: {finding['subject']}", markup=False)
        console.print(f"        {finding['message']}", markup=False)
        console.print(f"        -> {finding['hint']}", markup=False, style="dim")
    counts: dict[str, Any] = found["checked"]
    looked = ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "nothing there yet"
    wrong = sum(finding["severity"] == "wrong" for finding in found["findings"])
    console.print(f"Looked at {looked}.", markup=False)
    console.print(f"{wrong} wrong." if wrong else "Everything is in order.")
