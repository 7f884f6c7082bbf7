"""Container engines: needed for Dockerfiles, apt packages and the container target, for nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from mooring.cli.doctor.check import MISSING, OK, Check
from mooring.cli.doctor.machine import Machine

NEED = "needed only for Dockerfiles, apt packages and services in containers"


def checks(machine: Machine) -> Iterator[Check]:
    """Podman, Docker, buildah."""
    yield engine(machine, "podman", "Install the package podman; it works without root.")
    yield engine(machine, "docker", "Install Docker and join its group, or use podman.")
    yield builder(machine)


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
