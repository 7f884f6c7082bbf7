"""Where a container engine listens."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from mooring_runtime.engine.client import Engine, EngineError, EngineUnavailable

# As Docker's and Podman's own clients have it; the first that is set counts.
VARIABLES = ("DOCKER_HOST", "CONTAINER_HOST")
_SCHEME = "unix://"
_ASK_SECONDS = 10.0


class EngineNotFound(EngineError):
    """No engine answers anywhere.

    Attributes:
        tried: each place, and what was wrong there.
    """

    def __init__(self, message: str, tried: tuple[str, ...]) -> None:
        super().__init__(message)
        self.tried = tried


def sockets(environ: Mapping[str, str], user: int) -> list[Path]:
    """Where to look, best first: the address that is named, and then no other; else the usual places.

    Args:
        environ: the environment.
        user: whose engine it may be.

    Raises:
        EngineNotFound: an address is named that is no Unix socket.
    """
    for variable in VARIABLES:
        address = environ.get(variable, "").strip()
        if address.startswith(f"{_SCHEME}/"):
            return [Path(address[len(_SCHEME) :])]
        if address:
            raise EngineNotFound(
                f"{variable} is {address}; the container target needs an engine on this machine, at a Unix"
                " socket (unix:///...).",
                (),
            )
    runtime = Path(environ.get("XDG_RUNTIME_DIR") or f"/run/user/{user}")
    system = [Path("/var/run/docker.sock"), Path("/run/podman/podman.sock")]
    return [runtime / "docker.sock", runtime / "podman/podman.sock", *system]


def find(environ: Mapping[str, str] | None = None) -> Engine:
    """The engine that answers.

    Raises:
        EngineNotFound: none does.
    """
    tried = []
    for path in sockets(os.environ if environ is None else environ, os.getuid()):
        wrong = _wrong(path)
        if wrong is None:
            return Engine(path)
        tried.append(wrong)
    raise EngineNotFound("No container engine answers on this machine.", tuple(tried))


def _wrong(path: Path) -> str | None:
    """Why no engine can be used there; None if one can."""
    try:
        Engine(path, _ASK_SECONDS).version()
    except EngineUnavailable as error:
        return str(error).partition(" at ")[2]
    except EngineError as error:
        return f"{path}: {error}"
    return None
