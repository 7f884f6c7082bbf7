"""``python -m mooring_server --home DIR``: the server, in the foreground."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path

import mooring_server
from mooring_server.app import create_app
from mooring_server.az_listener import AzListener
from mooring_server.domain.errors import MooringError
from mooring_server.domain.init_timeout import (
    DEFAULT_INIT_SECONDS,
    INIT_TIMEOUT_VARIABLE,
    parse_init_seconds,
)
from mooring_server.servicebus.process import Place, port_setting
from mooring_server.services.checks.checker import check, missing_database
from mooring_server.services.restores import finish
from mooring_server.serving import Server, check_exposure, join, listen, local_host
from mooring_server.settings import TARGETS, Home, Settings, locked, write_private
from mooring_server.store.database import Database
from mooring_server.store.tables import now
from mooring_server.tls import Certificate

log = logging.getLogger("mooring_server")


def main(arguments: list[str] | None = None) -> int:
    """Run the server until SIGTERM or SIGINT. Returns the exit status (1: it could not start)."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("alembic", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        home = Home.open(options.home.expanduser().absolute())
        with locked(home):
            if options.check:
                return _check(home, deep=options.deep)
            if finish(home):
                log.info("completed a restore that was interrupted")
            _serve(home, options)
    except MooringError as error:
        sys.stderr.write(f"mooring-server: {error.code}: {error.message}\n  {error.hint}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mooring-server",
        description="Mooring's server, in the foreground. `mooring up` starts it in the background.",
    )
    parser.add_argument("--version", action="version", version=mooring_server.__version__)
    default = os.environ.get("MOORING_HOME")
    parser.add_argument(
        "--home", type=Path, default=default, required=default is None, help="data directory (MOORING_HOME)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: loopback only)")
    parser.add_argument("--port", type=int, help="port (default: that of the last run, else a free one)")
    parser.add_argument(
        "--init-timeout",
        metavar="SECONDS",
        help="what init() may take where the environment does not say "
        f"({INIT_TIMEOUT_VARIABLE}; default: {DEFAULT_INIT_SECONDS:.0f})",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="look at the data while no server runs, print findings as JSON, end",
    )
    parser.add_argument("--deep", action="store_true", help="with --check: read every blob")
    parser.add_argument(
        "--tls-cert",
        type=Path,
        metavar="PEM",
        help="certificate chain; remembered, and read again when renewed",
    )
    parser.add_argument("--tls-key", type=Path, metavar="PEM", help="its key; remembered")
    parser.add_argument("--no-tls", action="store_true", help="forget the certificate")
    parser.add_argument(
        "--public-host", metavar="NAME", help="name under which other machines reach the server; remembered"
    )
    parser.add_argument(
        "--target",
        choices=TARGETS,
        help="where workers run from now on; remembered (default: processes of this machine)",
    )
    parser.add_argument(
        "--insecure", action="store_true", help="listen on other addresses than loopback without TLS"
    )
    return parser


def _check(home: Home, *, deep: bool) -> int:
    """Print the report; 1 when something is wrong."""
    if home.database.exists():
        database = Database(f"sqlite:///{home.database}")
        report = check(home, database, deep=deep)
        database.close()
    else:
        report = missing_database(home)
    sys.stdout.write(json.dumps(report.to_json(), indent=1) + "\n")
    return 0 if report.ok else 1


def _init_seconds(given: str | None) -> float:
    text = given or os.environ.get(INIT_TIMEOUT_VARIABLE)
    return parse_init_seconds(text) if text else DEFAULT_INIT_SECONDS


def _serve(home: Home, options: argparse.Namespace) -> None:
    init_seconds = _init_seconds(options.init_timeout)
    settings = _remember(Settings.load(home), options)
    certificate = _certificate(settings)
    listener = listen(options.host, options.port, settings.port)
    check_exposure(listener, tls=certificate is not None, insecure=options.insecure)
    listener.listen(2048)
    port = listener.getsockname()[1]
    settings = replace(settings, port=port)
    scheme = "https" if certificate else "http"
    public = _public_name(settings, options.host)
    az = AzListener(home, settings, options.host, public, tls=certificate is not None)
    app = create_app(
        home,
        token=settings.token,
        address=join(public, port),
        az=az,
        scheme=scheme,
        init_seconds=init_seconds,
        bus_place=Place(
            options.host,
            _public_name(settings, options.host),
            port_setting(os.environ),
            (Path(settings.tls_cert), Path(settings.tls_key))
            if settings.tls_cert and settings.tls_key
            else None,
        ),
        target=settings.target,
    )
    settings.save(home)  # not before: data of a newer Mooring are refused, and left as they are
    announcement = {
        "url": f"{scheme}://{join(local_host(options.host), port)}",
        "token": settings.token,
        "pid": os.getpid(),
        "version": mooring_server.__version__,
        "startedTime": now(),
        "certificate": settings.tls_cert,
    }
    server = Server(
        app,
        certificate,
        lambda: write_private(home.announcement, json.dumps(announcement)),
        lambda running: az.attach(running.add),
        app.state.stopping,
    )
    # uvicorn raises the signal that stopped it once more when it is done; what follows must still run.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    try:
        server.run(sockets=[listener])
    finally:
        home.announcement.unlink(missing_ok=True)


def _remember(settings: Settings, options: argparse.Namespace) -> Settings:
    """What was kept, with what was given this time over it."""
    if options.no_tls:
        settings = replace(settings, tls_cert=None, tls_key=None)
    if bool(options.tls_cert) != bool(options.tls_key):
        raise MooringError(
            "TlsIncomplete",
            "A certificate and its key belong together; only one of them was given.",
            hint="Give both --tls-cert and --tls-key.",
            phase="Start",
        )
    if options.tls_cert:
        cert, key = (str(p.expanduser().absolute()) for p in (options.tls_cert, options.tls_key))
        settings = replace(settings, tls_cert=cert, tls_key=key)
    if options.public_host:
        settings = replace(settings, public_host=options.public_host)
    if options.target:
        settings = replace(settings, target=options.target)
    return settings


def _certificate(settings: Settings) -> Certificate | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return Certificate(Path(settings.tls_cert), Path(settings.tls_key))


def _public_name(settings: Settings, host: str) -> str:
    """The name in image locations and links: the one given, else the address, else the machine's own name."""
    if settings.public_host:
        return settings.public_host
    return host if local_host(host) == host else socket.gethostname()


if __name__ == "__main__":
    sys.exit(main())
