"""A worker's process: its environment, its socket, and what it reports."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mooring_runtime.supervisor import files
from mooring_runtime.supervisor.child import Child
from mooring_runtime.supervisor.container import RevisionContainer
from mooring_runtime.supervisor.container_worker import ContainerChild
from mooring_runtime.supervisor.logs import Output, RotatingLog
from mooring_runtime.supervisor.records import Records
from mooring_runtime.supervisor.sandbox import Sandbox
from mooring_runtime.supervisor.spec import RevisionSpec
from mooring_runtime.supervisor.status import socket_name

# What a worker inherits of our environment; everything else is the image's business.
INHERITED = (
    "CUDA_VISIBLE_DEVICES",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "LC_ALL",
    "LOGNAME",
    "NO_PROXY",
    "NVIDIA_VISIBLE_DEVICES",
    "PATH",
    "PYTHONDONTWRITEBYTECODE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "TZ",
    "USER",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)


MAX_REPORT = 64 << 20

note = logging.getLogger("mooring.supervisor").info


def environment(revision: RevisionSpec, ours: Mapping[str, str]) -> dict[str, str]:
    """The environment of a worker; what the spec says wins."""
    azure = {
        "AML_APP_ROOT": revision.app_root,
        "AZUREML_ENTRY_SCRIPT": revision.entry_script,
        "PYTHONNOUSERSITE": "1",
    }
    if revision.source_directory is not None:
        azure["AZUREML_SOURCE_DIRECTORY"] = revision.source_directory
    inherited = {name: ours[name] for name in INHERITED if name in ours}
    return {**inherited, **azure, **revision.env}


def reported(line: bytes) -> Mapping[str, Any] | None:
    """What a worker reports; None if it is nothing that a worker of ours says: user code can write there, too."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or event.get("event") not in ("started", "ready", "failed"):
        return None
    sound = event["event"] != "ready" or (
        isinstance(event.get("mode"), str) and isinstance(event.get("schema"), (dict, type(None)))
    )
    return event if sound else None


class WorkerProcess:
    """A worker.

    Args:
        loop: the event loop.
        name: the worker's id.
        revision: what it runs.
        directory: the service's.
        log: takes what it prints.
        joins: its control groups' files.
        sandbox: its confinement.
        count_processes: whether the sandbox limits the number of processes itself.
        container: what it runs in; None for a process of this machine.
        reported: called with each event it reports.

    Attributes:
        started: it has reported that its interpreter runs.
        report: its report of a failure.

    Raises:
        OSError: the interpreter cannot be started.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        name: str,
        revision: RevisionSpec,
        *,
        directory: Path,
        log: RotatingLog,
        joins: Sequence[Path],
        sandbox: Sandbox | None,
        count_processes: bool,
        container: RevisionContainer | None = None,
        reported: Callable[[str, Mapping[str, Any]], None],
    ) -> None:
        self._loop = loop
        self._reported = reported
        self._partial = b""
        self._socket = directory / files.RUN / socket_name(name)
        self.name = name
        self.revision = revision
        self._sandbox = sandbox
        self._pid: int | None = None
        inside = sandbox.revision if sandbox is not None else revision
        self.started = False
        self.report: Mapping[str, Any] | None = None
        listener = files.listen(self._socket.parent, self._socket.name)
        self._pipe, written = os.pipe()
        os.set_blocking(self._pipe, False)
        settings = {
            "app_root": inside.app_root,
            "source_directory": revision.source_directory,
            "entry_script": revision.entry_script,
        }
        passed = {"report_fd": written, "listen_fd": listener.fileno()}
        self._records = Records(log.append, name, revision.id) if revision.json_logs else None
        if self._records is not None:
            passed["request_fd"] = self._records.current.fd
        output = Output(log.write)
        outputs = [output] if self._records is None else self._records.streams
        last = output.tail if self._records is None else self._records.tail
        command = [revision.python, str(Path(revision.worker_dir) / "main.py")]
        try:
            self.child: Child | ContainerChild
            if container is not None:
                self.child = ContainerChild(
                    loop,
                    container,
                    name,
                    command,
                    env=environment(inside, {}),
                    cwd=inside.app_root,
                    settings=settings,
                    pass_fds=passed,
                    outputs=outputs,
                    last=last,
                )
            else:
                self.child = Child(
                    loop,
                    sandbox.command(command) if sandbox is not None else command,
                    env={
                        **environment(inside, os.environ),
                        "MOORING_WORKER": json.dumps({**settings, **passed}),
                    },
                    cwd=inside.app_root,
                    directory=directory,
                    pass_fds=list(passed.values()),
                    outputs=outputs,
                    last=last,
                    joins=joins,
                    confine=sandbox.confine(count_processes=count_processes) if sandbox is not None else None,
                )
        except OSError:
            os.close(self._pipe)
            if self._records is not None:
                self._records.current.close()
            self._socket.unlink(missing_ok=True)
            raise
        finally:
            os.close(written)
            listener.close()
        loop.add_reader(self._pipe, self._read)

    def _read(self) -> bool:
        try:
            data = os.read(self._pipe, 1 << 16)
        except BlockingIOError:
            return False
        if not data:
            self._loop.remove_reader(self._pipe)
            return False
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > MAX_REPORT:
            self._partial = b""
        for line in lines:
            event = reported(line)
            if event is None:
                note("worker %s: what its report says is ignored: %.100r", self.name, line)
                continue
            self.started = True
            if event["event"] == "failed":
                self.report = event
            self._reported(self.name, event)
        return True

    def poll(self) -> int | None:
        """How it ended, or None; see `Child.poll`."""
        code = self.child.poll()
        if code is None:
            return None
        while self._read():
            continue
        self._loop.remove_reader(self._pipe)
        os.close(self._pipe)
        if self._records is not None:
            self._records.current.close()
            self._records = None
        self._socket.unlink(missing_ok=True)
        return self._sandbox.exit_code(code) if self._sandbox is not None else code

    @property
    def pid(self) -> int:
        """The worker's pid; before its interpreter runs, that of the process which starts it. 0: not known."""
        if self._pid is None and self.started:
            inner = self._sandbox.worker_pid(self.child.pid) if self._sandbox is not None else self.child.pid
            self._pid = inner
        return self._pid or self.child.pid

    def send(self, number: signal.Signals) -> None:
        """Sends the worker a signal."""
        if isinstance(self.child, ContainerChild):
            self.child.send(number)
            return
        with suppress(ProcessLookupError):  # in a sandbox it may end before the process around it
            os.kill(self.pid, number)
