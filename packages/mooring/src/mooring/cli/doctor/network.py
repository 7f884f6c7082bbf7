"""Ports and the package index."""

from __future__ import annotations

import socket
import tempfile

from mooring.cli.doctor.check import LIMITED, OK, WRONG, Check
from mooring.cli.doctor.machine import Machine


def loopback() -> Check:
    """Services and the server listen on loopback."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
    except OSError as error:
        return Check(
            "Ports",
            WRONG,
            f"no port on 127.0.0.1 can be opened: {error}",
            "Check the loopback interface and sandboxing.",
        )
    return Check("Ports", OK, f"127.0.0.1 is usable (tried port {port})")


def index(machine: Machine) -> Check:
    """Asks uv to resolve a tiny package: uv knows and honours the user's index settings."""
    path = machine.which("uv")
    if path is None:
        return Check(
            "Package index", LIMITED, "not tried: uv is missing", "pip install 'mooring[server]' brings it."
        )
    with tempfile.TemporaryDirectory() as target:
        status, text = machine.run(
            [path, "pip", "install", "--dry-run", "--no-deps", "--refresh", "--target", target, "six"]
        )
    if status == 0:
        return Check("Package index", OK, "reachable")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return Check(
        "Package index",
        LIMITED,
        f"not reachable: {lines[-1] if lines else 'no answer'}",
        "New environments need it; those whose wheels are cached do not. "
        "For a mirror: uv.toml, pip.conf or UV_DEFAULT_INDEX.",
    )
