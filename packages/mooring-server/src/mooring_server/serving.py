"""Sockets and HTTP: where the server listens, and how it tells clients of this machine."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

from mooring_server.domain.errors import MooringError
from mooring_server.edges.slow import HttpProtocol
from mooring_server.tls import Certificate

log = logging.getLogger("mooring_server")

# uvicorn ticks ten times a second; a renewed certificate is found within two.
_TICKS = 20
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised, not chosen


class Server(uvicorn.Server):
    """Announces itself when it answers, not before; looks after its certificate.

    Args:
        app: the application.
        certificate: for TLS.
        announce: is called when it answers.
        ready: is called before that, for other sockets.
        stopping: is called when it takes nothing new, before it waits for those that it still answers.
    """

    def __init__(
        self,
        app: Any,
        certificate: Certificate | None,
        announce: Callable[[], None],
        ready: Callable[[Server], Awaitable[None]],
        stopping: Callable[[], None],
    ) -> None:
        config = uvicorn.Config(
            app,
            http=HttpProtocol,
            ws="none",
            log_level="warning",
            lifespan="on",
            timeout_graceful_shutdown=3,
            server_header=False,
            # Nothing stands before the server whose word about the caller's address could be taken.
            proxy_headers=False,
        )
        config.load()
        config.ssl = certificate.context if certificate else None
        super().__init__(config)
        self._certificate = certificate
        self._announce = announce
        self._ready = ready
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started:
            await self._ready(self)
            self._announce()
            log.info("listening, pid %s", os.getpid())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let those go who only wait for news; the others have uvicorn's time to end."""
        self._stopping()
        await super().shutdown(sockets)

    async def add(self, listener: socket.socket, certificate: Certificate) -> Callable[[], None]:
        """Serve the same application on one more socket, by TLS; returns what ends that."""

        def protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = HttpProtocol(
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            )
            return made

        loop = asyncio.get_running_loop()
        opened = await loop.create_server(protocol, sock=listener, ssl=certificate.context, backlog=2048)
        self.servers.append(opened)

        def remove() -> None:
            opened.close()
            self.servers.remove(opened)

        return remove

    async def on_tick(self, counter: int) -> bool:
        """Look after the certificate; then uvicorn's own duties."""
        if self._certificate is not None and counter % _TICKS == 0:
            news = self._certificate.refresh()
            if news:
                log.info("TLS: %s", news)
        return await super().on_tick(counter)


def check_exposure(listener: socket.socket, *, tls: bool, insecure: bool) -> None:
    """Refuse to be reached from other machines without TLS, unless that was asked for.

    Raises:
        MooringError: ``TlsRequired``.
    """
    address = str(listener.getsockname()[0])
    if tls or insecure or ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        return
    raise MooringError(
        "TlsRequired",
        f"Without TLS the server does not listen on {address}: tokens, keys and models would cross the network "
        "in the clear.",
        hint="Give --tls-cert and --tls-key; or, behind something that encrypts, --insecure.",
        phase="Start",
        target=address,
    )


def local_host(host: str) -> str:
    """How programs on this machine reach a server that listens on ``host``."""
    return _WILDCARDS.get(host, host)


def join(host: str, port: int) -> str:
    """``host:port``, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen(host: str, port: int | None, last: int) -> socket.socket:
    """A bound socket on the port asked for, else on the last one if it is free, else on any."""
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
        return listener
    raise AssertionError("one of the candidates was bound or raised")
