"""The service's port, reserved for the service's whole life."""

from __future__ import annotations

import socket


class Reservation:
    """A bound socket. The first front makes it listen; each front gets it from the one before.

    So nobody else can take the port, and while a front that was killed has no successor yet, callers wait in the
    kernel's queue instead of being refused.

    Attributes:
        socket: for fronts.
        host: the address.
        port: the port, never 0.
    """

    def __init__(self, host: str, port: int, *, ours: bool = False) -> None:
        """Reserves ``port``, or a free one for 0; ``ours`` if we have it already, on another address.

        Raises:
            OSError: it is in use, or not ours to use.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        if port and not ours:
            _probe(family, host, port)
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self.socket.bind((host, port))
        except OSError:
            self.socket.close()
            raise
        self.host = host
        self.port: int = self.socket.getsockname()[1]

    def close(self) -> None:
        """Gives the port away."""
        self.socket.close()

    def url(self, *, tls: bool) -> str:
        """``http://host:port`` or ``https://host:port``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if tls else 'http'}://{host}:{self.port}"


def _probe(family: int, host: str, port: int) -> None:
    """Fails if another service of the same user has the port: with SO_REUSEPORT both would get it."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
