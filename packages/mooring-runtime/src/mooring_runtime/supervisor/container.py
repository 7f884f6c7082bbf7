"""The container of one revision: its keeper, its launcher, and the workers in it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import secrets
import shutil
import signal
import socket
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mooring_runtime.supervisor import files, proctable
from mooring_runtime.supervisor.child import Child
from mooring_runtime.supervisor.container_plan import SOCKET, container_name, create_body, service_label
from mooring_runtime.supervisor.container_worker import ContainerChild
from mooring_runtime.supervisor.failure import Failure
from mooring_runtime.supervisor.logs import Output
from mooring_runtime.supervisor.spec import RevisionSpec

PACKET = 1 << 16
# For the keeper to tell how a container ended whose launcher has gone.
REASON_SECONDS = 5.0
# For a launcher to end its container before the engine is asked to.
LEAVE_SECONDS = 3.0

# As in a shell, 137 is signal 9.
_SIGNALLED = 128

note = logging.getLogger("mooring.supervisor").info


class RevisionContainer:
    """A container; when it has ended it stays so, and the next worker gets another.

    Args:
        loop: the event loop.
        directory: the service's.
        service: its name.
        revision: with a ``container``.
        changed: called when workers have ended.

    Attributes:
        revision: what runs in it.
        failure: why it could not be made or kept; None if nothing of the engine's went wrong.
        log: what its first process printed last, once it has ended.
        over: it takes no workers any more.

    Raises:
        OSError: the keeper cannot be started.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        directory: Path,
        service: str,
        revision: RevisionSpec,
        changed: Callable[[], None],
    ) -> None:
        if revision.container is None:
            raise ValueError("the revision has no container")
        self._loop = loop
        self._changed = changed
        self._workers: dict[str, ContainerChild] = {}
        self._connection: socket.socket | None = None
        self._launcher_pid = 0
        self._exit: tuple[int, bool] | None = None
        self._oom_told = False
        self._away: Failure | None = None
        self.revision = revision
        self.failure: Failure | None = None
        self.log = ""
        self.over = False
        unique = secrets.token_hex(4)
        self._folder = directory / files.RUN / f"c{unique}"
        # The container's user is another one; nobody else gets past the service's own folder (0700).
        self._folder.mkdir()
        self._folder.chmod(0o755)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with files.short_path(self._folder, SOCKET) as path:
            self._listener.bind(path)
        (self._folder / SOCKET).chmod(0o666)
        self._listener.listen(1)
        self._listener.setblocking(False)
        loop.add_reader(self._listener, self._accept)
        settings = {
            "engine": revision.container.engine,
            "name": container_name(service, revision.id, unique),
            "service": service_label(directory),
            "container": create_body(
                revision,
                revision.container,
                folder=self._folder,
                labels={"dev.mooring.name": service, "dev.mooring.revision": revision.id},
                ceilings=_ceilings(),
            ),
        }
        try:
            self._keeper = self._start_keeper(directory, settings)
        except OSError:
            self._forget_socket()
            raise
        note("container %s is made for revision %s", settings["name"], revision.id)

    def _start_keeper(self, directory: Path, settings: Mapping[str, Any]) -> Child:
        said = Output(self._keeper_said)
        descriptor = os.memfd_create("mooring-keeper", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, json.dumps(settings).encode())
            return Child(
                self._loop,
                [sys.executable, "-m", "mooring_runtime.supervisor.keeper", str(descriptor)],
                env=os.environ,
                cwd=None,
                directory=directory,
                pass_fds=[descriptor],
                outputs=[said, Output(_note_lines)],
                last=said.tail,
            )
        finally:
            os.close(descriptor)

    def start(self, worker: ContainerChild) -> None:
        """Starts a worker, now or when the container is up."""
        self._workers[worker.name] = worker
        if self._connection is not None:
            self._hand_over(worker)

    def tell(self, message: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Says something to the launcher; one that does not listen any more is ended."""
        if self._connection is None:
            return
        try:
            socket.send_fds(self._connection, [json.dumps(message).encode()], list(descriptors))
        except BlockingIOError:
            self.terminate()
        except OSError:
            self._lost()

    def terminate(self) -> None:
        """Ends the container by the engine, whatever its processes do."""
        if self._keeper.poll() is None:
            self._keeper.send(signal.SIGTERM)

    def leave(self) -> None:
        """Ends it in peace: the launcher ends when nobody is at the other end."""
        self.over = True
        self._disconnect()
        self._loop.call_later(LEAVE_SECONDS, self.terminate)

    def poll(self) -> bool:
        """Whether its keeper has ended, and with it the container; its workers are told."""
        code = self._keeper.poll()
        if code is None:
            return False
        self._end()
        return True

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # it has gone again
            return
        connection.setblocking(False)
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        self._launcher_pid = struct.unpack("3i", credentials)[0]
        # One launcher, and what it starts cannot come in its place.
        self._forget_socket()
        self._connection = connection
        self._loop.add_reader(connection, self._read)
        for worker in self._workers.values():
            self._hand_over(worker)

    def _hand_over(self, worker: ContainerChild) -> None:
        message, descriptors = worker.request()
        self.tell(message, descriptors)
        worker.handed_over()

    def _read(self) -> None:
        while self._connection is not None:
            try:
                data = self._connection.recv(PACKET)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._lost()
                return
            self._launcher_said(data)

    def _launcher_said(self, data: bytes) -> None:
        try:
            event = json.loads(data)
            kind, worker = event["event"], self._workers.get(str(event.get("id")))
            if kind == "launched" and worker is not None:
                worker.pid = self._host_pid(int(event["pid"]))
            elif kind == "exit" and worker is not None:
                code, oom, used = int(event["code"]), event["oom"] is True, int(event["used"])
                del self._workers[worker.name]
                self._oom_told |= oom
                worker.end(code, oom=oom, used=used)
                self._changed()
        except (ValueError, KeyError, TypeError, AttributeError):
            # User code runs beside the launcher and can reach what it has.
            note("what the launcher says is ignored: %.100r", data)

    def _host_pid(self, inside: int) -> int:
        """The pid that we see of a worker; 0 if we see none, as of an engine in a virtual machine."""
        for entry in proctable.table().values():
            if (
                self._launcher_pid
                and entry.parent == self._launcher_pid
                and proctable.pid_inside(entry.pid) == inside
            ):
                return entry.pid
        return 0

    def _keeper_said(self, lines: list[bytes]) -> None:
        for line in lines:
            event = json.loads(line)
            if event["event"] == "ended":
                # The engine remembers each time that memory ran out; a worker's own was told by the launcher.
                self._exit = (event["exit_code"], event["oom"] and not self._oom_told)
                self.log = event["log"] or event["error"]
                note("container ended with status %d: %s", event["exit_code"], event["error"] or "-")
            elif event["event"] == "failed" and self._exit is None:
                self.failure = self._failure(event)
                note("%s: %s", self.failure.code, self.failure.message)
            elif event["event"] == "away":
                self._away = self._failure(event)
                note("%s", self._away.message)
            elif event["event"] == "back":
                self._away = None

    def _failure(self, event: Mapping[str, Any]) -> Failure:
        return Failure(**{**event["failure"], "revision": self.revision.id})

    def _lost(self) -> None:
        """The launcher has gone; the keeper soon knows why."""
        self._disconnect()
        if not self.over:
            self.over = True
            self._loop.call_later(REASON_SECONDS, self._without_reason)

    def _without_reason(self) -> None:
        # An engine that has gone, and took the container along, cannot tell.
        self.failure = self.failure or self._away
        self._end()
        self.terminate()
        self._changed()

    def _end(self) -> None:
        """Nothing runs in it any more."""
        self.over = True
        self._disconnect()
        self._forget_socket()
        shutil.rmtree(self._folder, ignore_errors=True)
        code, oom = self._exit or (_SIGNALLED + signal.SIGKILL, False)
        ended, self._workers = list(self._workers.values()), {}
        for worker in ended:
            worker.end(128 - code if code > 128 else code, oom=oom, used=0)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._loop.remove_reader(self._connection)
            self._connection.close()
            self._connection = None

    def _forget_socket(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            with suppress(FileNotFoundError):
                (self._folder / SOCKET).unlink()


def _ceilings() -> dict[str, int]:
    names = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    found = {name: resource.getrlimit(number)[1] for name, number in names.items()}
    return {name: hard for name, hard in found.items() if hard != resource.RLIM_INFINITY}


def _note_lines(lines: list[bytes]) -> None:
    for line in lines:
        note("keeper: %s", line.decode("utf-8", "replace"))


class Containers:
    """The containers of a service's revisions.

    Args:
        loop: the event loop.
        directory: the service's.
        changed: called when workers have ended.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, directory: Path, changed: Callable[[], None]) -> None:
        self._loop = loop
        self._directory = directory
        self._changed = changed
        self._made: list[RevisionContainer] = []

    def of(self, revision: RevisionSpec, service: str) -> RevisionContainer | None:
        """The container for a revision's next worker; None for one without.

        Raises:
            OSError: its keeper cannot be started.
        """
        if revision.container is None:
            return None
        for one in self._made:
            if not one.over and one.revision.same_processes(revision):
                return one
        made = RevisionContainer(self._loop, self._directory, service, revision, self._changed)
        self._made.append(made)
        return made

    def keep(self, revisions: Sequence[RevisionSpec]) -> None:
        """Ends those of all other revisions."""
        for one in self._made:
            if not one.over and not any(one.revision.same_processes(revision) for revision in revisions):
                one.leave()

    def poll(self) -> None:
        """Forgets those that have ended; their workers have been told."""
        self._made = [one for one in self._made if not one.poll()]

    async def close(self, seconds: float) -> None:
        """Ends all, and waits for the engine to have removed them."""
        self.keep([])
        deadline = self._loop.time() + seconds
        while self._made and self._loop.time() < deadline:
            await asyncio.sleep(0.02)
            self.poll()
