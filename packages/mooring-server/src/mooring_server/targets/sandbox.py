"""The server's settings for the sandbox of services (docs/guide/isolation.md)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mooring_runtime.supervisor.spec import NETWORKS, SANDBOX_MODES
from mooring_server.domain.errors import MooringError

MODE = "MOORING_SANDBOX"
NETWORK = "MOORING_SANDBOX_NETWORK"
READ = "MOORING_SANDBOX_READ"
PORTS = "MOORING_SANDBOX_PORTS"
_MAX_PORT = 65535


@dataclass(frozen=True)
class SandboxSettings:
    """How services are confined.

    Attributes:
        mode: ``auto``, ``bwrap``, ``landlock`` or ``none``.
        network: ``auto``, ``none``, ``outbound`` or ``all``.
        read: folders of the host that services may read, beside the system's.
        protected: folders that they may not, wherever they lie.
        open_ports: ports that ``outbound`` reaches beside the usual ones.
        closed_ports: ports that ``outbound`` does not reach.
    """

    mode: str = "auto"
    network: str = "auto"
    read: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    open_ports: tuple[int, ...] = ()
    closed_ports: tuple[int, ...] = ()

    @classmethod
    def load(cls, environ: Mapping[str, str], home: Path, port: int) -> SandboxSettings:
        """What the environment says.

        Args:
            environ: the server's environment.
            home: the data directory.
            port: the server's own.

        Raises:
            MooringError: ``SettingInvalid``.
        """
        read = tuple(part for part in environ.get(READ, "").split(os.pathsep) if part)
        for part in read:
            if not Path(part).is_absolute():
                raise _invalid(READ, part, f"absolute paths, separated by {os.pathsep!r}")
            if home.resolve().is_relative_to(Path(part).resolve()):
                raise _invalid(READ, part, "folders that do not contain the server's data directory")
        return cls(
            mode=_one_of(environ, MODE, SANDBOX_MODES),
            network=_one_of(environ, NETWORK, NETWORKS),
            read=read,
            protected=(str(home),),
            open_ports=_ports(environ.get(PORTS, "")),
            closed_ports=(port,),
        )

    def document(self, image: tuple[Path, ...]) -> dict[str, Any]:
        """The ``sandbox`` of a revision in the supervisor's spec; ``image`` is where the image lies."""
        return {
            "mode": self.mode,
            "network": self.network,
            "readable": [*map(str, image), *self.read],
            "protected": list(self.protected),
            "open_ports": list(self.open_ports),
            "closed_ports": list(self.closed_ports),
        }


def _one_of(environ: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    value = environ.get(name, "").strip().lower() or "auto"
    if value not in known:
        raise _invalid(name, value, f"one of {', '.join(known)}")
    return value


def _ports(text: str) -> tuple[int, ...]:
    """``8125,20000-20010`` as numbers."""
    found: list[int] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        first, dash, last = part.partition("-")
        ends = (first, last if dash else first)
        if not all(end.isdecimal() and 0 < int(end) <= _MAX_PORT for end in ends):
            raise _invalid(PORTS, part, "ports and ranges of ports like 8125,20000-20010")
        found += range(int(ends[0]), int(ends[1]) + 1)
    return tuple(found)


def _invalid(name: str, value: str, expected: str) -> MooringError:
    return MooringError(
        "SettingInvalid",
        f"{name} must be {expected}, not {value!r}.",
        hint="Correct the variable, or remove it, and start the server again.",
        phase="Start",
    )
