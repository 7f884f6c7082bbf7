"""A second listener, by HTTPS, for `az`: it speaks nothing else, and needs a CA that it can be told to trust."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace

from mooring_server.authority import Authority
from mooring_server.domain.errors import MooringError
from mooring_server.edges.native.az import AzEndpoint
from mooring_server.serving import join, listen, local_host
from mooring_server.settings import Home, Settings
from mooring_server.tls import Certificate

log = logging.getLogger("mooring_server")

# Adds a socket with a certificate to the running server, and takes it away again.
Add = Callable[[socket.socket, Certificate], Awaitable[Callable[[], None]]]


class AzListener:
    """Open once `mooring az-setup` has asked for it, and from then on whenever the server starts.

    Where the server itself speaks TLS there is nothing to open: `az` talks to it as everybody does.
    """

    def __init__(self, home: Home, settings: Settings, host: str, public: str, *, tls: bool) -> None:
        self._home = home
        self._settings = settings
        self._host = host
        self._public = public
        self._tls = tls
        self._authority = Authority(home.path / "az")
        self._add: Add | None = None
        self._remove: Callable[[], None] | None = None
        self._port = 0

    async def attach(self, add: Add) -> None:
        """The server is there; open the port of the last time, if there was one."""
        self._add = add
        if self._tls or not self._settings.az_port:
            return
        try:
            await self._listen(self._settings.az_port)
        except MooringError as error:
            log.warning("az: %s %s", error.message, "`mooring az-setup` opens another port.")

    async def open(self) -> AzEndpoint:
        """Be there for `az`.

        Raises:
            MooringError: ``PortUnavailable``.
        """
        if self._tls:
            return AzEndpoint(f"https://{join(self._public, self._settings.port)}", None)
        if not self._port:
            await self._listen(None)
        self._remember(self._port)
        authority = self._authority.certificate.read_text()
        return AzEndpoint(f"https://{join(self._name, self._port)}", authority)

    async def close(self) -> None:
        """Close the port and forget it; the CA stays."""
        self._remember(0)
        if self._remove is not None:
            self._remove()
            self._remove = None
        self._port = 0

    @property
    def _name(self) -> str:
        return "localhost" if self._public in {"127.0.0.1", "::1"} else self._public

    async def _listen(self, port: int | None) -> None:
        assert self._add is not None  # noqa: S101 - nobody asks before the server is there
        here = {"127.0.0.1", "::1", local_host(self._host), self._public}
        names = [self._name, *sorted(here | {"localhost", socket.gethostname()} - {self._name})]
        self._authority.ensure(names)
        listener = listen(self._host, port, self._settings.az_port)
        self._remove = await self._add(listener, Certificate(self._authority.chain, self._authority.key))
        self._port = listener.getsockname()[1]
        log.info("az: listening on port %s", self._port)

    def _remember(self, port: int) -> None:
        if self._settings.az_port != port:
            self._settings = replace(self._settings, az_port=port)
            self._settings.save(self._home)
