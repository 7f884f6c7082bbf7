"""Container engines: needed for Dockerfiles, apt packages and the container target, for nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

from mooring.cli.doctor.check import MISSING, OK, Check
from mooring.cli.doctor.machine import Machine

_SCHEME = "unix://"

NEED = "needed only for Dockerfiles, apt packages and services in containers"


def checks(machine: Machine) -> Iterator[Check]:
    """Podman, Docker, buildah."""
    yield engine(machine, "podman", "Install the package podman; it works without root.")
    yield engine(machine, "docker", "Install Docker and join its group, or use podman.")
    yield builder(machine)
    yield api(machine)


def engine(machine: Machine, name: str, install: str) -> Check:
    """Whether it is there and whether it answers: a client without its daemon is common."""
    path = machine.which(name)
    if path is None:
        return Check(name.capitalize(), MISSING, f"not installed; {NEED}", install)
    status, text = machine.run([path, "info"])
    if status != 0:
        reason = text.splitlines()[-1] if text else f"exit status {status}"
        return Check(
            name.capitalize(), MISSING, f"installed, but `{name} info` fails: {reason}", "Start its service."
        )
    return Check(name.capitalize(), OK, path)


def builder(machine: Machine) -> Check:
    """Buildah builds without a daemon."""
    path = machine.which("buildah")
    if path is None:
        return Check("Buildah", MISSING, f"not installed; {NEED}", "Podman or Docker build as well.")
    return Check("Buildah", OK, path)


def sockets(machine: Machine) -> list[str]:
    """Where the server looks for an engine (docs/guide/containers.md)."""
    for variable in ("DOCKER_HOST", "CONTAINER_HOST"):
        if address := machine.variable(variable):
            return [address[len(_SCHEME) :]] if address.startswith(_SCHEME) else []
    own = machine.variable("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid() if hasattr(os, 'getuid') else 0}"
    return [
        f"{own}/docker.sock",
        f"{own}/podman/podman.sock",
        "/var/run/docker.sock",
        "/run/podman/podman.sock",
    ]


def api(machine: Machine) -> Check:
    """The engine that `mooring up --target container` would use."""
    name = "Container target"
    for path in sockets(machine):
        status, text = machine.ask(path, "/version")
        if status == 200:
            found = json.loads(text)
            engine = "Podman" if "podman" in text.lower() else "Docker"
            return Check(name, OK, f"{engine} {found.get('Version', '')} ({found.get('Arch', '')}) at {path}")
    return Check(
        name,
        MISSING,
        "no container engine answers at a Unix socket; services run as processes",
        "For `mooring up --target container` start Docker or Podman's socket (systemctl --user start podman.socket).",
    )
