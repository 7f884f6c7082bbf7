"""The servers, each started as its documentation says and with what makes it fast."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from benchmarks.scoring.environments import environment, version
from mooring_runtime.supervisor import proctable
from mooring_runtime.testing import WORKER_DIR, Service

WORKERS = 2
STOP_SECONDS = 15.0
LOG_LINES = 8
MARK = "MOORING_BENCH_RUN"


class NotStarted(Exception):
    """A server does not come up; the text has the end of its log."""


@dataclass(frozen=True)
class Running:
    """A server that has been started.

    Attributes:
        leader: the process whose session and descendants are the server.
        ended: whether it is no more.
        log: the end of what it wrote.
    """

    leader: int
    port: int
    ended: Callable[[], bool]
    log: Callable[[], str]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Server:
    """One of the compared.

    Attributes:
        name: in the tables.
        lock: ``requirements/bench-LOCK.txt`` has what it needs; Mooring's own worker needs the model's packages.
        package: whose version is shown; of this environment, for Mooring.
        settings: what was chosen, for the reader.
        path: of a request for a score.
        field: the member of the request that has the rows.
        command: of its process: the environment's folder, the port.
        script: of Mooring, the entry script; it is started by its supervisor.
        variables: of Mooring, more of the script's environment.
    """

    name: str
    lock: str
    package: str
    settings: str
    path: str = "/score"
    field: str = "data"
    command: Callable[[Path, int], list[str]] | None = None
    script: str = "score.py"
    variables: tuple[tuple[str, str], ...] = ()

    def body(self, row: list[float]) -> str:
        """A request for one row."""
        return json.dumps({self.field: [row]})

    def version(self) -> str:
        """Of its package."""
        own = self.command is None
        return metadata.version(self.package) if own else version(environment(self.lock), self.package)

    @contextmanager
    def running(self, app: Path, folder: Path) -> Iterator[Running]:
        """Started, not yet ready; ended afterwards with all its processes.

        Args:
            app: the folder with the scripts and the model.
            folder: for its log and its own files.

        Raises:
            NotStarted: it ends at once.
        """
        python = environment(self.lock)
        if self.command is None:
            with _mooring(self, python, app, folder) as running:
                yield running
        else:
            with _process(self.command, python, app, folder) as running:
                yield running


@contextmanager
def _process(
    command: Callable[[Path, int], list[str]], python: Path, app: Path, folder: Path
) -> Iterator[Running]:
    port = _free_port()
    mark = secrets.token_hex(8)
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(python, port),
            cwd=app,
            env={**worker_env(app), **PEER_ENV, "PATH": f"{python / 'bin'}:/usr/bin:/bin", MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield Running(
            process.pid,
            port,
            lambda: process.poll() is not None,
            lambda: _end_of(log.read_text("utf-8", "replace")),
        )
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pid in proctable.marked(f"{MARK}={mark}"):
            proctable.kill(pid)


@contextmanager
def _mooring(server: Server, python: Path, app: Path, folder: Path) -> Iterator[Running]:
    """As the process target starts it: key, sandbox, limits."""
    key = secrets.token_hex(16)
    service = Service(folder / "service")
    try:
        service.apply_spec(
            {
                "auth_keys": [key, secrets.token_hex(16)],
                "revision": {
                    "id": "1",
                    "python": str(python / "bin" / "python"),
                    "worker_dir": str(WORKER_DIR),
                    "app_root": str(app),
                    "entry_script": server.script,
                    "env": {**worker_env(app), **dict(server.variables)},
                    "workers": WORKERS,
                    "memory_bytes": 4 << 30,
                    "sandbox": {"mode": "auto", "readable": [str(python)]},
                },
            }
        )
        state = service.settled()
        if state["phase"] != "Ready":
            raise NotStarted(f"{state['failure']['message']}\n{_end_of(service.log('worker'))}")
        yield Running(
            service.process.pid,
            state["port"],
            lambda: service.process.poll() is not None,
            lambda: _end_of(service.log("worker")),
            {"Authorization": f"Bearer {key}"},
        )
    finally:
        service.close()


# One thread for each call in all of them: there are as many workers as cores.
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
PEER_ENV = {
    "HOME": os.environ.get("HOME", "/"),
    "BENTOML_DO_NOT_TRACK": "True",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # MLflow starts uvicorn's command.
    "UVICORN_ACCESS_LOG": "false",
}


def worker_env(app: Path) -> dict[str, str]:
    """What the score function's process has in its environment."""
    return {**THREADS, "AZUREML_MODEL_DIR": str(app), "LANG": "C.UTF-8"}


def _end_of(log: str) -> str:
    return "\n".join(log.strip().splitlines()[-LOG_LINES:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
