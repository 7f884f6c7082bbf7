"""The broker's process: started when there is a namespace, brought back when it dies, gone when the server is."""

from __future__ import annotations

import importlib.util
import json
import logging
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mooring_server.domain.errors import MooringError
from mooring_server.servicebus.counts import QueueCounts, read_counts
from mooring_server.servicebus.entities import Entities

log = logging.getLogger("mooring_server")
FILE = "servicebus.db"
INSTALL = (
    'Install it beside the server: pip install "mooring-server[servicebus]". It compiles Qpid Proton, for which it '
    "needs a C compiler and Python's headers (Debian: apt install gcc python3-dev)."
)
# Where Azure's SDKs look for a broker that speaks TLS, whatever port a connection string names.
TLS_PORT = 5671
_BACKLOG = 512
_STOP_SECONDS = 10.0
_ANSWER_SECONDS = 60.0
_PAUSES = (0.1, 0.5, 2.0, 10.0, 30.0)


@dataclass(frozen=True)
class Place:
    """Where the broker listens.

    Attributes:
        host: address to listen on.
        name: the name by which clients reach it.
        port: None for that of the last run, else a free one.
        certificate: PEM files of the chain and its key; None for plain TCP.
    """

    host: str = "127.0.0.1"
    name: str = "127.0.0.1"
    port: int | None = None
    certificate: tuple[Path, Path] | None = None


def port_setting(variables: Mapping[str, str]) -> int | None:
    """``MOORING_SERVICEBUS_PORT``: the broker's port.

    Raises:
        MooringError: ``SettingInvalid``.
    """
    text = variables.get("MOORING_SERVICEBUS_PORT", "").strip()
    if not text:
        return None
    if not text.isdecimal() or not 0 < int(text) < 1 << 16:
        raise MooringError(
            "SettingInvalid",
            f"MOORING_SERVICEBUS_PORT must be a port number; it is {text!r}.",
            hint="Correct it or unset it.",
            phase="Start",
        )
    return int(text)


class BrokerProcess:
    """One broker for all namespaces: a `services.bus_entities.Broker`.

    The socket is the server's: it goes on to listen while the broker is started again, and clients wait in it.

    Args:
        folder: where its file and its port are kept.
        log_file: what it writes to standard error.
        entities: what there is, whenever it is asked.
        place: where it listens.
    """

    def __init__(self, folder: Path, log_file: Path, entities: Callable[[], Entities], place: Place) -> None:
        self._folder, self._log, self._entities, self._place = folder, log_file, entities, place
        self._lock = threading.RLock()
        self._listener: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = threading.Event()
        self._kept = False

    @property
    def tls(self) -> bool:
        """Whether it speaks TLS."""
        return self._place.certificate is not None

    @property
    def endpoint(self) -> str | None:
        """``sb://host:port/``; None before it was ever started."""
        port = self._last_port()
        name = f"[{self._place.name}]" if ":" in self._place.name else self._place.name
        return f"sb://{name}:{port}/" if port else None

    def start(self) -> None:
        """With the server: start it if there is a namespace, in the background: the server works without it."""
        if self._entities().namespaces:
            threading.Thread(target=self._start_quietly, name="servicebus-start", daemon=True).start()

    def ensure(self) -> None:
        """Start it unless it runs.

        Raises:
            MooringError: ``ServiceBusNotInstalled``, ``ServiceBusNotStarted``, ``PortUnavailable``.
        """
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                _check_installed()
                self._start()

    def refresh(self) -> None:
        """Tell it what there is, if it runs; when this returns it knows."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._tell(self._process)

    def counts(self, queues: list[str]) -> dict[str, QueueCounts]:
        """What is in queues, by their uid."""
        return read_counts(self._folder / FILE, queues)

    def close(self) -> None:
        """End it; what it acknowledged is on disk."""
        self._closing.set()
        with self._lock:
            process, self._process = self._process, None
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        if process is None:
            return
        _hang_up(process)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        if self._listener is None:
            self._listener = self._listen()
        descriptor = self._listener.fileno()
        command = [
            sys.executable, "-m", "mooring_server.servicebus", str(self._folder / FILE), str(descriptor)
        ]  # fmt: skip
        command += [str(path) for path in self._place.certificate or ()]
        with self._log.open("ab") as out:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
                cwd=self._folder,
                pass_fds=[descriptor],
                start_new_session=True,
            )
        self._process = process
        if not self._kept:
            self._kept = True
            threading.Thread(target=self._keep, name="servicebus", daemon=True).start()
        self._tell(process)

    def _start_quietly(self) -> None:
        try:
            with self._lock:
                if not self._closing.is_set():
                    self.ensure()
        except MooringError as error:
            log.warning("Service Bus: %s: %s %s", error.code, error.message, error.hint)

    def _keep(self) -> None:
        """Bring it back when it ends, with growing pauses while that does not help."""
        misses = 0
        while not self._closing.is_set():
            process = self._process
            if process is None:
                return
            process.wait()
            if self._closing.wait(_PAUSES[min(misses, len(_PAUSES) - 1)]):
                return
            log.warning("the Service Bus broker has ended (%s); starting it again", process.returncode)
            with self._lock:
                _hang_up(process)
                self._start_quietly()
                alive = self._process is not process and self._process is not None
            misses = 0 if alive else misses + 1

    def _tell(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None  # noqa: S101 - they are pipes
        assert process.stdout is not None  # noqa: S101
        try:
            process.stdin.write(json.dumps(self._entities().to_json()).encode() + b"\n")
            process.stdin.flush()
            ready, _, _ = select.select([process.stdout], [], [], _ANSWER_SECONDS)
            heard = bool(ready) and process.stdout.readline() != b""
        except BrokenPipeError:
            heard = False
        if not heard:
            process.kill()
            process.wait()
            raise MooringError(
                "ServiceBusNotStarted",
                "The Service Bus broker has ended, or does not answer.",
                hint="It is started again by itself. Its log is logs/servicebus.log in the data directory.",
                phase="Start",
                evidence={"log": self._said()},
                status_code=503,
            )

    def _said(self) -> str:
        lines = self._log.read_text("utf-8", "replace").splitlines() if self._log.exists() else []
        return "\n".join(lines[-30:]) or "(it wrote nothing)"

    def _listen(self) -> socket.socket:
        place = self._place
        wanted = place.port or (TLS_PORT if self.tls else None)
        for port in [wanted] if wanted else [self._last_port() or 0, 0]:
            listener = socket.socket(socket.AF_INET6 if ":" in place.host else socket.AF_INET)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((place.host, port))
            except OSError as error:
                listener.close()
                if not wanted and port:
                    continue
                raise MooringError(
                    "PortUnavailable",
                    f"The Service Bus broker cannot listen on {place.host}:{port}: {error.strerror}.",
                    hint="Choose another port with MOORING_SERVICEBUS_PORT, and start the server again.",
                    phase="Start",
                ) from error
            listener.listen(_BACKLOG)
            (self._folder / "port").write_text(str(listener.getsockname()[1]))
            return listener
        raise AssertionError("one of the candidates was bound or raised")

    def _last_port(self) -> int | None:
        path = self._folder / "port"
        text = path.read_text() if path.exists() else ""
        return int(text) if text.isdecimal() else None


def _hang_up(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):  # what it did not read any more does not matter
                pipe.close()


def _check_installed() -> None:
    if importlib.util.find_spec("proton") is None:
        raise MooringError(
            "ServiceBusNotInstalled",
            "The Service Bus broker is not installed beside this server.",
            hint=INSTALL,
            phase="Start",
            status_code=501,
        )
