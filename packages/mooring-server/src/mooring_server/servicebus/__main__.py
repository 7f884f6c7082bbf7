"""``python -m mooring_server.servicebus FILE FD [CERTIFICATE KEY]``: the broker, on a socket it inherits.

The server tells it by a line of JSON on standard input which namespaces, queues and rules there are, whenever that
changes; it answers each with a line on standard output once it is so. It ends when its standard input does, which is
when the server has ended, however that happened.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from mooring_runtime.tls import Certificate
from mooring_server.servicebus.broker import Broker
from mooring_server.servicebus.connection import Connection
from mooring_server.servicebus.entities import Entities
from mooring_server.servicebus.hub import Hub
from mooring_server.servicebus.store import Store

# All namespaces in one line.
_LONGEST = 64 << 20
_RENEW_SECONDS = 2.0


def main() -> None:
    """Serve until standard input ends."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    path, listener = Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
    certificate = Certificate(Path(sys.argv[3]), Path(sys.argv[4])) if len(sys.argv) > 3 else None
    asyncio.run(_serve(path, listener, certificate))


async def _serve(path: Path, listener: socket.socket, certificate: Certificate | None) -> None:
    loop = asyncio.get_running_loop()
    store = Store(path, lambda function: _post(loop, function))
    hub = Hub(Broker(store))
    lines = asyncio.StreamReader(limit=_LONGEST)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    server: asyncio.Server | None = None
    tasks = [asyncio.create_task(hub.run())]
    if certificate:
        tasks.append(asyncio.create_task(_renew(certificate)))
    while line := await lines.readline():
        hub.apply(Entities.from_json(json.loads(line)))
        if server is None:  # not before it knows its queues: nobody is told that there is none
            context = certificate.context if certificate else None
            server = await loop.create_server(lambda: Connection(hub), sock=listener, ssl=context)
        sys.stdout.write("{}\n")
        sys.stdout.flush()
    for task in tasks:
        task.cancel()
    if server is not None:
        server.close()
    for connection in list(hub.connections):
        connection.abort()
    store.close()


def _post(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(function)


async def _renew(certificate: Certificate) -> None:
    """Take up a certificate that was renewed on disk."""
    while True:
        await asyncio.sleep(_RENEW_SECONDS)
        news = certificate.refresh()
        if news:
            logging.getLogger("mooring.servicebus").info("TLS: %s", news)


if __name__ == "__main__":
    main()
