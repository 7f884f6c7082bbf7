"""Files that readers see whole, locks, and sockets with long paths."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SPEC = "spec.json"
STATE = "state.json"
ACTIVE = "active.json"
LOCK = "supervisor.lock"
CONTROL = "control.sock"
CONTROL_KEY = "control.key"
LOGS = "logs"
RUN = "run"


class Locked(Exception):
    """Another process holds the lock."""


def write_json(path: Path, data: Any, *, durable: bool = False) -> None:
    """Replaces ``path`` (0600) in one step; a reader sees the old file or the new one.

    With ``durable`` this holds for a crash of the machine as well.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(data, file, indent=1)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    temporary.replace(path)


def control_key(directory: Path) -> str:
    """What callers of the control socket show: that they can read the service's folder.

    A sandboxed worker of the same user cannot, but where Landlock confines it, it can connect to any Unix socket.
    """
    path = directory / CONTROL_KEY
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        return ""


def make_control_key(directory: Path) -> str:
    """The key, made if there is none."""
    path = directory / CONTROL_KEY
    if not path.exists():
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
        temporary.replace(path)
    return control_key(directory)


def read_json(path: Path) -> Any:
    """The file's content; None if there is no file."""
    if not path.exists():
        return None
    return json.loads(path.read_text(encoding="utf-8"))


def remove_left(directory: Path) -> None:
    """Removes what a killed supervisor of this directory left: half-written files, sockets of its workers."""
    for file in (*directory.glob(".*.json.*"), *(directory / RUN).glob("*.sock")):
        file.unlink(missing_ok=True)
    for folder in (directory / RUN).glob("c*/"):
        shutil.rmtree(folder)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on ``path`` while the context lasts; processes started inside do not.

    Raises:
        Locked: another process holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise Locked(str(path)) from exc
        yield
    finally:
        os.close(descriptor)


@contextmanager
def short_path(directory: Path, name: str) -> Iterator[str]:
    """A path to ``directory/name`` that fits into a socket address (108 bytes) however long it is."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)


def listen(directory: Path, name: str, backlog: int = 16) -> socket.socket:
    """A listening Unix socket (0600) at ``directory/name``, in place of one left by a dead process."""
    (directory / name).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with short_path(directory, name) as path:
        listener.bind(path)
    (directory / name).chmod(0o600)
    listener.listen(backlog)
    return listener
