"""`mooring az-setup`: the server as a cloud of Azure's own command line."""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mooring.cli import workspaces
from mooring.cli.calls import call
from mooring.cli.failures import CliError
from mooring.cli.options import DryRun
from mooring.cli.session import Session, command

CLOUD = "mooring"
# Where `az` returns to when the cloud that was active before is not known.
USUAL_CLOUD = "AzureCloud"
BUNDLE_VARIABLE = "REQUESTS_CA_BUNDLE"


def add(app: typer.Typer) -> None:
    """Put the command on the root."""
    command(app, "az-setup", workspace=False, people=True)(az_setup)


def az_setup(
    session: Session,
    remove: Annotated[
        bool, typer.Option("--remove", help="Undo it: az forgets the server, its token is revoked.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Make Azure's command line (az) talk to this server.

    The server becomes a cloud named mooring of az, signed in with a token of its own. Each step is shown. The server
    opens an HTTPS port for az; its certificate is by a CA that is made the first time. What is printed at the end is
    for the shell: each call of az has to be told of that CA.

    Examples:
      eval "$(mooring az-setup)"
      mooring az-setup --dry-run
      mooring az-setup --remove
    """
    az = _Az(session, dry_run=dry_run)
    if remove:
        _remove(session, az)
    else:
        _register(session, az)


def _register(session: Session, az: _Az) -> None:
    subscription, _, _ = workspaces.scope(None, None, None)
    found = {"endpoint": "https://HOST:PORT", "tenantId": "TENANT"}
    token = "TOKEN"  # noqa: S105 - what stands for it where nothing is done
    if not az.dry_run:
        found = call("PUT", "/az")
        _write_bundle(found["certificateAuthority"])
        token = _new_token()
        _forget(az, sign_out=False)
    url, tenant = found["endpoint"], found["tenantId"]
    az.do("cloud", "register", "--name", CLOUD, "--endpoint-resource-manager", url)
    az.do("cloud", "set", "--name", CLOUD)
    az.sign_in(_user(), token, tenant)
    az.do("account", "set", "--subscription", subscription)
    if session.json:
        result = {
            "cloud": CLOUD,
            "endpoint": url,
            "tenantId": tenant,
            "user": _user(),
            "subscription": subscription,
            "caBundle": str(_bundle()),
        }
        session.show(result, ())
        return
    from mooring.cli.output import write

    session.say("Every shell that calls az needs this line; your profile is a place for it:")
    write(f"export {BUNDLE_VARIABLE}={shlex.quote(str(_bundle()))}\n")


def _remove(session: Session, az: _Az) -> None:
    if az.dry_run:
        session.say(
            f"Would unregister the cloud {CLOUD}, revoke the token {_user()} and close the port for az."
        )
        return
    was_there = _forget(az, sign_out=True)
    _revoke()
    call("DELETE", "/az")
    for path in (_bundle(), _kept()):
        path.unlink(missing_ok=True)
    if session.json:
        session.show({"removed": was_there}, ())
        return
    session.say(f"az does not know this server any more. In your shell: unset {BUNDLE_VARIABLE}")


def _forget(az: _Az, *, sign_out: bool) -> bool:
    """Unregister the cloud, and remember which one was active; returns whether it was registered."""
    active = str((az.ask("cloud", "show") or {}).get("name") or USUAL_CLOUD)
    if active != CLOUD:
        _kept().write_text(active, encoding="utf-8")
    if az.ask("cloud", "show", "--name", CLOUD) is None:
        return False
    if sign_out:
        az.do("cloud", "set", "--name", CLOUD)
        if any(one["user"]["name"] == _user() for one in az.ask("account", "list") or []):
            az.do("logout", "--username", _user())
    # az unregisters no cloud that is active.
    az.do("cloud", "set", "--name", _kept().read_text(encoding="utf-8") if _kept().exists() else USUAL_CLOUD)
    az.do("cloud", "unregister", "--name", CLOUD)
    return True


class _Az:
    """Azure's command line."""

    def __init__(self, session: Session, *, dry_run: bool) -> None:
        self._session = session
        self.dry_run = dry_run
        self._program = shutil.which("az")
        if self._program is None and not dry_run:
            raise CliError(
                "AzNotInstalled",
                "Azure's command line (az) is not on the PATH",
                hint="Install it, for example by: pipx install azure-cli",
            )

    def ask(self, *arguments: str) -> Any:
        """What a command says as JSON, or None when it fails."""
        done = self._run([*arguments, "--output", "json"])
        return json.loads(done.stdout) if done.returncode == 0 and done.stdout.strip() else None

    def do(self, *arguments: str) -> None:
        """Show a command and run it.

        Raises:
            CliError: ``AzFailed``.
        """
        self._shown(arguments, arguments)

    def sign_in(self, user: str, token: str, tenant: str) -> None:
        """Show the token to nobody: az reads it from a file, since command lines are public on a machine."""
        # Else az would go on with what it got for the token of the last time, which is revoked.
        if not self.dry_run:
            self.ask("logout", "--username", user)
        login = ["login", "--service-principal", "--username", user, "--tenant", tenant, "--password"]
        with tempfile.TemporaryDirectory(prefix="mooring-az-") as folder:  # 0700
            path = Path(folder) / "token"
            path.write_text(token, encoding="ascii")
            self._shown([*login, f"@{path}"], [*login, "TOKEN"])

    def _shown(self, arguments: Sequence[str], shown: Sequence[str]) -> None:
        line = shlex.join(["az", *shown])
        self._session.say(line)
        if self.dry_run:
            return
        done = self._run([*arguments, "--only-show-errors", "--output", "none"])
        if done.returncode:
            raise CliError(
                "AzFailed",
                f"`{line}` failed",
                hint="Mend what it says, and run mooring az-setup again; it begins anew.",
                evidence={"az": (done.stderr or done.stdout).strip()[-3000:]},
            )

    def _run(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        variables = {**os.environ, BUNDLE_VARIABLE: str(_bundle())}
        command = [str(self._program), *arguments]
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


def _user() -> str:
    """The token's name, and az's user: one a machine."""
    return "az-" + (re.sub(r"[^a-zA-Z0-9._-]", "-", platform.node()) or "machine")[:50]


def _new_token() -> str:
    _revoke()
    made = call(
        "POST", "/tokens", {"name": _user(), "role": "owner", "workspaces": None, "expiresInDays": None}
    )
    return str(made["token"])


def _revoke() -> None:
    for token in call("GET", "/tokens")["value"]:
        if token["name"] == _user() and token["state"] == "Active":
            call("DELETE", f"/tokens/{token['id']}")


def _folder() -> Path:
    from mooring.sdk import local_server

    folder = local_server.home() / "az"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _bundle() -> Path:
    """All that az trusts: the variable that names it replaces az's own list."""
    return _folder() / "ca-bundle.pem"


def _kept() -> Path:
    """Holds the name of the cloud that was active before."""
    return _folder() / "cloud-before"


def _write_bundle(authority: str | None) -> None:
    import certifi

    from mooring.sdk.connection import configured

    before = os.environ.get(BUNDLE_VARIABLE) or certifi.where()
    if Path(before) == _bundle():
        before = certifi.where()
    parts = [Path(before).read_text(encoding="utf-8"), authority or ""]
    config = workspaces.nearest_config()
    named = configured(config.settings if config else None)
    if named is not None and named.ca_bundle:
        parts.append(Path(named.ca_bundle).expanduser().read_text(encoding="utf-8"))
    _bundle().write_text("\n".join(parts), encoding="utf-8")
