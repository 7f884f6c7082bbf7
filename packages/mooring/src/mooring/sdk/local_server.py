"""The per-user server: found, started, looked at and stopped (docs/protocols.md, section 3).

It listens on loopback, keeps its data in `home()` and writes ``server.json`` there once it answers.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import mooring
from mooring.sdk.connection import Connection, configured
from mooring.sdk.console import note, note_once
from mooring.sdk.errors import user_error
from mooring.sdk.exceptions import UserErrorException
from mooring.sdk.types import JSON
from mooring.sdk.versions import API, other_version

START_SECONDS = 30.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.05
# Children are kept so that one that has ended is reaped and not taken for a living server.
_children: dict[int, subprocess.Popen[bytes]] = {}


def home() -> Path:
    """Where the per-user server keeps its data: ``MOORING_HOME``, else the user's data directory."""
    named = os.environ.get("MOORING_HOME")
    return Path(named).expanduser().absolute() if named else usual_home()


def usual_home() -> Path:
    """`home` without ``MOORING_HOME``."""
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "mooring"


def ensure_server() -> Connection:
    """The server to talk to: the one that is configured, else the per-user one, started if need be.

    Raises:
        UserErrorException: it cannot be started; the evidence has its last words.
    """
    return configured() or running() or start()


def running() -> Connection | None:
    """The per-user server if it answers, else None.

    Raises:
        UserErrorException: HomeNotOwned; ServerVersion: it speaks another version of the API.
    """
    check_owner(home())
    found = _find()
    if found is None:
        return None
    connection, api = found
    version = connection.version
    if api != API:
        raise other_version(connection.endpoint, version, api, local=True)
    if version.split(".")[:2] != mooring.__version__.split(".")[:2]:
        note_once(
            f"The Mooring server that runs is version {version}, this client is {mooring.__version__}; "
            "restart it with: mooring down && mooring up"
        )
    return connection


def check_owner(root: Path) -> None:
    """Refuse a data directory of somebody else: its server acts, and its files are read, with their rights.

    Raises:
        UserErrorException: HomeNotOwned.
    """
    if not hasattr(os, "geteuid"):
        return  # Windows keeps other users out of a profile by itself
    with contextlib.suppress(OSError):  # absent or out of reach: whoever makes or reads it says so
        owner = root.stat().st_uid
        if owner != os.geteuid():
            raise user_error(
                f"The data directory {root} belongs to user {owner}, not to user {os.geteuid()}.",
                code="HomeNotOwned",
                phase="Start",
                hint="Set MOORING_HOME to a directory of your own, or run as its owner; "
                "to use a server of somebody else, set MOORING_ENDPOINT and MOORING_TOKEN.",
            )


def _find() -> tuple[Connection, str] | None:
    """The per-user server and its API's version, if one answers."""
    data = _read(home() / "server.json")
    if not data or not _alive(int(data.get("pid") or 0)):
        return None
    connection = _told(data)
    told = _livez(connection)
    if told is None:
        return None
    version, api = told
    return replace(connection, version=version), api


def start(arguments: Sequence[str] = ()) -> Connection:
    """Start the per-user server in the background, in a session of its own, and wait until it answers.

    Does nothing but connect if it runs already; safe when several processes do it at once.

    Args:
        arguments: for the server, such as ``["--port", "8777"]``.

    Raises:
        UserErrorException: ServerNotInstalled, ServerStartFailed (with the log) or ServerStartTimeout.
    """
    root = home()
    check_owner(root)
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise user_error(
            f"The data directory {root} cannot be made: {error.strerror}.",
            code="HomeNotWritable",
            phase="Start",
            hint="Set MOORING_HOME to a directory of your own.",
        ) from error
    with _locked(root / "start.lock"):
        found = running()
        if found:
            return found
        if importlib.util.find_spec("mooring_server") is None:
            raise user_error(
                "No Mooring server is configured, and none is installed here to start one.",
                code="ServerNotInstalled",
                hint='Install one for this machine (pip install "mooring[server]"), '
                "or name one elsewhere with MOORING_ENDPOINT and MOORING_TOKEN.",
            )
        command = [sys.executable, "-m", "mooring_server", "--home", str(root), *arguments]
        connection = _launch(root, command)
    note(f"Started Mooring server at {connection.endpoint} (data in {root}; stop it with: mooring down)")
    return connection


def stop(timeout_seconds: float = STOP_SECONDS) -> bool:
    """Stop the per-user server; deployed services go on.

    Returns:
        Whether one was running.

    Raises:
        UserErrorException: it did not end in time.
    """
    data = _read(home() / "server.json")
    pid = int(data.get("pid") or 0) if data else 0
    if data is None or not _alive(pid) or _livez(_told(data)) is None:
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout_seconds
    while _alive(pid):
        if time.monotonic() > deadline:
            raise user_error(
                f"The Mooring server (process {pid}) has not stopped within {timeout_seconds:.0f} s.",
                code="ServerStopTimeout",
                hint=f"Look at {home() / 'logs' / 'server.log'}.",
            )
        time.sleep(POLL_SECONDS)
    return True


def status() -> JSON:
    """What is known of the server that scripts of this user would talk to.

    Returns:
        ``{running, configured, home, url, pid, version, startedTime, log}``; never the token.
    """
    root = home()
    named = configured()
    data = _read(root / "server.json") or {}
    found = None if named else _find()
    connection = found[0] if found else named
    version = connection.version or (_livez(connection) or ("",))[0] if connection else None
    local = connection is not None and connection.local
    return {
        "running": bool(version),
        "configured": named is not None,
        "home": str(root),
        "url": connection.endpoint if connection else None,
        "pid": data.get("pid") if local else None,
        "version": version or None,
        "startedTime": data.get("startedTime") if local else None,
        "log": str(root / "logs" / "server.log"),
    }


def _launch(root: Path, command: list[str]) -> Connection:
    logs = root / "logs"
    logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = logs / "server.log"
    with log.open("ab") as output:
        begin = output.tell()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=root,
            start_new_session=True,
            close_fds=True,
        )
    _children[process.pid] = process
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise _start_error(f"it ended with status {process.returncode}", "ServerStartFailed", log, begin)
        data = _read(root / "server.json") or {}
        # Another server may own the directory without having been started by a client; the one that
        # answers is the right one whatever its process id.
        if _alive(int(data.get("pid") or 0)):
            found = running()
            if found:
                return found
        time.sleep(POLL_SECONDS)
    process.terminate()
    reason = f"it did not answer within {START_SECONDS:.0f} s"
    raise _start_error(reason, "ServerStartTimeout", log, begin)


def _start_error(reason: str, code: str, log: Path, begin: int) -> UserErrorException:
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode("utf-8", "replace").splitlines()
    return user_error(
        f"The Mooring server could not be started: {reason}.",
        code=code,
        phase="Start",
        hint=f"The whole log is in {log}. To see it start: {Path(sys.executable).name} -m mooring_server "
        f"--home {home()}",
        evidence={"log": "\n".join(lines[-30:]) or "(it wrote nothing)"},
    )


def _read(path: Path) -> JSON | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # absent, or of a server that was killed: not running
        return None
    return data if isinstance(data, dict) else None


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    child = _children.get(pid)
    if child is not None:
        return child.poll() is None
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _told(data: JSON) -> Connection:
    """What `server.json` says."""
    return Connection(
        str(data.get("url", "")).rstrip("/"),
        str(data.get("token", "")),
        local=True,
        certificate=str(data.get("certificate") or ""),
    )


def _livez(connection: Connection) -> tuple[str, str] | None:
    """The versions of the server and of its API if it answers, else None.

    Plain http.client: finding a server must be quick.
    """
    import http.client  # ssl comes with it

    split = urlsplit(connection.endpoint)
    if not split.hostname:
        return None
    if split.scheme == "https":
        from mooring.sdk import trust

        checked = trust.context(connection.endpoint, connection)
        asked: http.client.HTTPConnection = http.client.HTTPSConnection(
            split.hostname, split.port, timeout=5, context=checked
        )
    else:
        asked = http.client.HTTPConnection(split.hostname, split.port, timeout=5)
    try:
        asked.request("GET", f"{split.path.rstrip('/')}/livez")
        answer = asked.getresponse()
        data = json.loads(answer.read(65536))
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        asked.close()
    if answer.status != 200 or not isinstance(data, dict):
        return None
    return str(data.get("version", "")), str(data.get("api", API))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock; where there is no flock (Windows) the server's own lock decides alone."""
    with path.open("a+b") as file:
        if importlib.util.find_spec("fcntl") is not None:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
