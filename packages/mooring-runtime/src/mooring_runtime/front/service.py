"""The front under its supervisor.

JSON lines over a socket. The supervisor says what shall be, whole, each time it changes::

    {"op": "sync", "service", "auth_keys", "max_request_bytes", "scoring_timeout_ms", "max_queue",
     "max_queue_wait_ms", "active": bool, "mode", "schema": see `mooring_runtime.worker.contract`,
     "app_root", "metrics_open": bool, "telemetry": {"OTEL_...": ""},
     "functions": see `mooring_runtime.functions.host`, or null,
     "workers": [{"id", "socket", "mode", "batch": the most requests in one call, or null, "drain": bool}]}
    {"op": "stop", "drain_seconds": 5}
    {"op": "measured", ...}: see `mooring_runtime.front.scrape`

``socket`` is a name in the run directory. A worker that is listed takes requests; with ``drain`` it gets no
more; one that is not listed is forgotten. A switch between revisions is one such message. The front says::

    {"event": "listening"}                       connections are accepted
    {"event": "failed", "message", "code"?}      the address cannot be bound, or (``CertificateUnusable``) the
                                                 certificate be used; the process ends
    {"event": "drained", "worker"}               nothing of it is left to do
    {"event": "lost", "worker"}                  its connection ended, or could not be made
    {"event": "stuck", "worker", "request_id"}   it exceeded the scoring timeout
    {"event": "measure"}                         somebody wants metrics: answer ``measured``
    {"event": "functions", ...}                  see `mooring_runtime.functions.host`
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mooring_runtime.front.app import ScoringApp
from mooring_runtime.front.auth import Keys
from mooring_runtime.front.channel import Channel
from mooring_runtime.front.contract import Contract
from mooring_runtime.front.dispatch import Dispatcher, Limits
from mooring_runtime.front.exchange import Engine
from mooring_runtime.front.reply import ScoringFailed
from mooring_runtime.tls import Certificate, CertificateUnusable

if TYPE_CHECKING:
    from mooring_runtime.functions.host import FunctionHost

LINE_LIMIT = 64 << 20
FLUSH_SECONDS = 2.0
LOOK_SECONDS = 1.0


class Front:
    """A scoring front.

    Args:
        engine: the HTTP server.
        listen_fd: a socket bound to the service's address; see `mooring_runtime.supervisor.address`.
        control_fd: the socket to the supervisor.
        run_dir: where the workers' sockets are.
        tls: paths of certificate and key; None for http.
    """

    def __init__(
        self, engine: Engine, *, listen_fd: int, control_fd: int, run_dir: str, tls: list[str] | None
    ) -> None:
        self._engine = engine
        self._listener = socket.socket(fileno=listen_fd)
        self._tls = tls
        self._control = socket.socket(fileno=control_fd)
        # Short paths to sockets whatever the directory is called: /proc/self/fd/N/name.
        self._run_fd = os.open(run_dir, os.O_PATH | os.O_DIRECTORY)
        self._connecting: dict[str, asyncio.Task[None]] = {}
        self._functions: FunctionHost | None = None

    async def run(self) -> int:
        """Serves until told to stop; the process's exit status."""
        loop = asyncio.get_running_loop()
        self._control.setblocking(False)
        reader, self._writer = await asyncio.open_connection(sock=self._control, limit=LINE_LIMIT)
        self._dispatcher = Dispatcher(loop, drained=self._drained, lost=self._lost, stuck=self._stuck)
        self._app = ScoringApp(self._dispatcher, lambda: self._say("measure"))
        self._wanted: set[str] = set()
        self._draining: set[str] = set()
        self._hung: set[str] = set()
        try:
            certificate = Certificate(*map(Path, self._tls)) if self._tls is not None else None
        except CertificateUnusable as exc:
            self._say("failed", code="CertificateUnusable", message=str(exc))
            await self._writer.drain()
            return 1
        serving = asyncio.create_task(
            self._engine.serve(self._app, self._listener, lambda: self._say("listening"), certificate)
        )
        watching = asyncio.create_task(_watch(certificate)) if certificate is not None else None
        commands = asyncio.create_task(self._obey(reader))
        done, _ = await asyncio.wait({serving, commands}, return_when=asyncio.FIRST_COMPLETED)
        if serving in done:
            self._say("failed", message=str(serving.exception() or "the HTTP engine ended"))
            await self._writer.drain()
            return 1
        if watching is not None:
            watching.cancel()
        self._engine.stop()
        await asyncio.wait({serving}, timeout=FLUSH_SECONDS)
        await self._app.tracing.close()
        return 0

    def _say(self, event: str, **facts: Any) -> None:
        self._writer.write(json.dumps({"event": event, **facts}).encode() + b"\n")

    async def _obey(self, reader: asyncio.StreamReader) -> None:
        """Follows the supervisor; returns on ``stop``, or at once when the supervisor is gone."""
        while line := await reader.readline():
            message = json.loads(line)
            if message["op"] == "stop":
                await self._finish(float(message["drain_seconds"]))
                return
            if message["op"] == "measured":
                self._app.scrape.told(message)
            else:
                self._sync(message)

    async def _finish(self, seconds: float) -> None:
        """Lets the requests that wait or run come to their end."""
        self._app.stopping = True
        deadline = asyncio.get_running_loop().time() + seconds
        if self._functions is not None:
            await self._functions.finish(seconds)
        while self._dispatcher.in_flight and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - requests must not pay for an event
            await asyncio.sleep(0.01)

    def _sync(self, message: dict[str, Any]) -> None:
        app, dispatcher = self._app, self._dispatcher
        app.keys = Keys(message["auth_keys"])
        app.max_request_bytes = message["max_request_bytes"]
        app.mode = message["mode"]
        app.scrape.service = message["service"]
        app.scrape.open = message["metrics_open"]
        app.tracing.configure(message["service"], message["telemetry"])
        app.contract = Contract(message["service"], message["schema"])
        # Both the service's own limit and the script's environment may set one; the shorter holds.
        timeout = min(message["scoring_timeout_ms"], app.contract.scoring_timeout_ms or sys.maxsize)
        dispatcher.limits = Limits(timeout, message["max_queue"], message["max_queue_wait_ms"])
        dispatcher.active = message["active"]
        self._serve_functions(message["functions"])
        workers = {worker["id"]: worker for worker in message["workers"]}
        # The supervisor may not have heard yet that a worker hangs; it must get no second connection.
        self._hung &= set(workers)
        self._wanted = set(workers) - self._hung
        self._draining = {name for name, worker in workers.items() if worker["drain"]}
        # New workers first: a request that waits finds them before the old ones are gone.
        for name in self._wanted - set(dispatcher.channels) - set(self._connecting):
            self._connect(workers[name])
        for name, channel in list(dispatcher.channels.items()):
            if name not in workers:
                channel.close(ScoringFailed(502, "The worker was stopped.", failed=True))
            elif name in self._draining:
                dispatcher.drain(channel)

    def _serve_functions(self, wanted: dict[str, Any] | None) -> None:
        if self._functions is None and wanted is not None:
            from mooring_runtime.functions.host import FunctionHost  # of no use to web services

            self._functions = FunctionHost(self._app, self._dispatcher, self._say)
        if self._functions is not None:
            self._functions.configure(wanted)

    def _connect(self, worker: dict[str, Any]) -> None:
        name = worker["id"]
        if worker["drain"]:
            self._say("drained", worker=name)
            return
        task = asyncio.get_running_loop().create_task(self._open(name, worker))
        self._connecting[name] = task
        task.add_done_callback(lambda _: self._connecting.pop(name, None))

    async def _open(self, name: str, worker: dict[str, Any]) -> None:
        dispatcher = self._dispatcher
        path = Path(f"/proc/self/fd/{self._run_fd}") / worker["socket"]
        channel = Channel(name, worker["mode"], dispatcher.changed, worker.get("batch"))
        try:
            await channel.connect(str(path))
        except OSError:
            channel.tokens.close()
            self._say("lost", worker=name)
            return
        if name not in self._wanted:
            channel.close(ScoringFailed(502, "The worker was stopped."))
        else:
            channel.draining = name in self._draining
            dispatcher.attach(channel)

    def _drained(self, channel: Channel) -> None:
        self._say("drained", worker=channel.worker)

    def _lost(self, channel: Channel) -> None:
        if channel.worker in self._wanted:
            # No second connection: if it lives, the supervisor is going to end it.
            self._wanted.discard(channel.worker)
            self._hung.add(channel.worker)
            self._say("lost", worker=channel.worker)

    def _stuck(self, channel: Channel, request_id: str) -> None:
        self._wanted.discard(channel.worker)
        self._hung.add(channel.worker)
        self._say("stuck", worker=channel.worker, request_id=request_id)


async def _watch(certificate: Certificate) -> None:
    """Takes over a certificate that is replaced on disk."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        said = certificate.refresh()
        if said is not None:
            sys.stderr.write(f"{said}\n")
