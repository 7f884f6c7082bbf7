"""``python -m mooring_server --home DIR``: the server, in the foreground."""

from __future__ import annotations

import argparse
import fcntl
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import uvicorn

import mooring_server
from mooring_server.app import create_app
from mooring_server.domain.errors import MooringError
from mooring_server.domain.init_timeout import (
    DEFAULT_INIT_SECONDS,
    INIT_TIMEOUT_VARIABLE,
    parse_init_seconds,
)
from mooring_server.settings import Home, Settings, write_private
from mooring_server.store.tables import now

log = logging.getLogger("mooring_server")


def main(arguments: list[str] | None = None) -> int:
    """Run the server until SIGTERM or SIGINT. Returns the exit status (1: it could not start)."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        home = Home.open(options.home.expanduser().absolute())
        with home.lock.open("a") as lock:
            _acquire(lock.fileno(), home)
            _serve(home, options.host, options.port, _init_seconds(options.init_timeout))
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
    return parser


def _acquire(descriptor: int, home: Home) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise MooringError(
            "ServerRunning",
            f"A server is running on {home.path} already.",
            hint="`mooring status` shows it, `mooring down` stops it.",
            phase="Start",
            status_code=409,
        ) from None


def _init_seconds(given: str | None) -> float:
    text = given or os.environ.get(INIT_TIMEOUT_VARIABLE)
    return parse_init_seconds(text) if text else DEFAULT_INIT_SECONDS


def _serve(home: Home, host: str, port: int | None, init_seconds: float) -> None:
    settings = Settings.load(home)
    listener = _listen(host, port, settings.port)
    actual = listener.getsockname()[1]
    settings = Settings(settings.token, actual)
    settings.save(home)
    address = f"{host}:{actual}"
    app = create_app(home, token=settings.token, address=address, init_seconds=init_seconds)
    announcement = {
        "url": f"http://{address}",
        "token": settings.token,
        "pid": os.getpid(),
        "version": mooring_server.__version__,
        "startedTime": now(),
    }
    config = uvicorn.Config(
        app, log_level="warning", lifespan="on", timeout_graceful_shutdown=3, server_header=False
    )
    server = _Server(config, lambda: write_private(home.announcement, json.dumps(announcement)))
    # uvicorn raises the signal that stopped it once more when it is done; what follows must still run.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    try:
        server.run(sockets=[listener])
    finally:
        home.announcement.unlink(missing_ok=True)


class _Server(uvicorn.Server):
    """Announces itself when it answers, not before."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()
            log.info("listening, pid %s", os.getpid())


def _listen(host: str, port: int | None, last: int) -> socket.socket:
    """A listening socket on the port asked for, else on the last one if it is free, else on any."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in [port] if port is not None else [last, 0]:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
        except OSError as error:
            listener.close()
            if candidate == last and port is None:
                continue
            raise MooringError(
                "PortUnavailable",
                f"Cannot listen on {host}:{candidate}: {error.strerror}.",
                hint="Choose another with --port.",
                phase="Start",
            ) from error
        listener.listen(2048)
        return listener
    raise AssertionError("one of the candidates was bound or raised")


if __name__ == "__main__":
    sys.exit(main())
