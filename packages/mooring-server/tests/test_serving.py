"""The server as uvicorn runs it: those who only wait for news are let go when it stops."""

from __future__ import annotations

import asyncio
import socket

from fastapi import FastAPI

from mooring_server.services.signals import Signals
from mooring_server.serving import Server


async def _ready(_server: Server) -> None:
    """There is no other socket."""


def test_who_waits_is_answered_when_the_server_stops() -> None:
    signals, arrived = Signals(), asyncio.Event()
    app = FastAPI()

    @app.get("/news")
    async def news() -> bool:
        waiter = signals.subscribe("news")
        arrived.set()
        try:
            return await signals.woken(waiter, 3600)
        finally:
            signals.unsubscribe("news", waiter)

    async def run() -> bytes:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            server = Server(app, None, lambda: None, _ready, signals.stop)
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(b"GET /news HTTP/1.1\r\nHost: x\r\n\r\n")
            await arrived.wait()
            server.should_exit = True
            answer = await reader.read()
            writer.close()
            await serving
        return answer

    # Who waits longer than the server's grace is cut off, and hears nothing.
    assert asyncio.run(run()).endswith(b"false")


def test_signals_wake_and_time_out_and_after_the_stop_nobody_waits() -> None:
    async def run() -> list[bool]:
        signals = Signals()
        signals.attach(asyncio.get_running_loop())
        waiter = signals.subscribe("key")
        signals.notify("key")
        woken = [await signals.woken(waiter, 3600)]
        waiter.clear()
        woken.append(await signals.woken(waiter, 0.01))
        signals.stop()
        return [*woken, await signals.woken(signals.subscribe("other"), 3600)]

    assert asyncio.run(run()) == [True, False, False]
