"""What an engine is asked for, without I/O: a revision's container (Docker API, ``POST /containers/create``)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mooring_runtime.supervisor.spec import ContainerSpec, RevisionSpec

MOUNT = "/run/mooring"
SOCKET = "launcher.sock"
# Who may start it, and who did: what nobody owns any more is removed.
LABEL_SERVICE = "dev.mooring.service"
LABEL_OWNER = "dev.mooring.owner"
PROCESSES = 1024  # and threads, for each worker, as in the process target's control groups
OPEN_FILES = 1 << 16
USER_PROCESSES = 1 << 15  # of all containers with the same user; PidsLimit is each container's own
_NANO = 1_000_000_000
# Where scripts may write. In memory: it counts as theirs and goes with the container.
WRITABLE = "/tmp"  # noqa: S108 - in the container
_TMPFS = "rw,nosuid,nodev,mode=1777"


def service_label(directory: Path) -> str:
    """Which service a container belongs to; two services of one machine never have the same."""
    return hashlib.sha256(str(directory).encode()).hexdigest()[:24]


def container_name(service: str, revision: str, unique: str) -> str:
    """For people who list containers; the labels tell what counts."""
    allowed = "".join(
        c if c.isascii() and (c.isalnum() or c in "_.-") else "-" for c in f"{service}-{revision}"
    )
    return f"mooring-{allowed}-{unique}"


def create_body(
    revision: RevisionSpec,
    container: ContainerSpec,
    *,
    folder: Path,
    labels: Mapping[str, str],
    ceilings: Mapping[str, int],
) -> dict[str, Any]:
    """The container of a revision.

    Args:
        revision: what runs in it.
        container: its ``container``.
        folder: with the launcher's socket; mounted read-only, which sockets do not mind.
        labels: whose it is.
        ceilings: see `ulimits`.
    """
    return {
        "Image": container.image,
        "User": container.user,
        "WorkingDir": revision.app_root,
        # -I: neither the worker's folder nor variables of the image may lead the launcher astray.
        "Entrypoint": [revision.python, "-I", f"{revision.worker_dir}/launcher.py"],
        "Cmd": [f"{MOUNT}/{SOCKET}"],
        "Env": list(environment(revision.env)),
        "Labels": {**container.labels, **labels},
        "StopSignal": "SIGTERM",
        "HostConfig": host_config(revision, container, folder, ceilings),
    }


def environment(given: Mapping[str, str]) -> Iterable[str]:
    """The container's variables: HOME where scripts may write, unless something else is asked for."""
    variables = {"HOME": WRITABLE, **given}
    return (f"{name}={variables[name]}" for name in sorted(variables))


def ulimits(ceilings: Mapping[str, int]) -> list[dict[str, Any]]:
    """The limits of each process.

    All are named: some engines ask for more than they may give when they are not told. No core dumps, since
    they would put callers' data on disk.

    Args:
        ceilings: the finite hard limits of this process by their names: an engine of the same user cannot give more.
    """
    wanted = {"core": 0, "nofile": OPEN_FILES, "nproc": USER_PROCESSES}
    values = {name: min(most, ceilings.get(name, most)) for name, most in wanted.items()}
    return [{"Name": name, "Soft": most, "Hard": most} for name, most in values.items()]


def host_config(
    revision: RevisionSpec, container: ContainerSpec, folder: Path, ceilings: Mapping[str, int]
) -> dict[str, Any]:
    """Limits and confinement."""
    limits: dict[str, Any] = {
        "PidsLimit": PROCESSES * revision.workers,
        "Ulimits": ulimits(ceilings),
    }
    if revision.memory_bytes is not None:
        limits |= {"Memory": revision.memory_bytes, "MemorySwap": revision.memory_bytes}
    if revision.cpu_cores is not None:
        limits["NanoCpus"] = int(revision.cpu_cores * _NANO)
    return {
        **limits,
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "Tmpfs": {WRITABLE: _TMPFS},
        "Binds": [f"{folder}:{MOUNT}:ro"],
        "NetworkMode": "none" if container.network == "none" else "",
        # The supervisor starts what ends, with growing pauses.
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
    }
