"""The tracking server's process: started when it is needed, gone when the server is."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

from packaging.version import Version

from mooring_runtime.supervisor import files
from mooring_server.domain.errors import MooringError
from mooring_server.tracking import FORGOTTEN

SOCKET = "tracking.sock"
# The first with workspaces.
OLDEST = "3.17"
INSTALL = (
    'Install it beside the server: pip install "mooring-server[mlflow]"; or set MOORING_MLFLOW_TRACKING_URI.'
)
_BACKLOG = 128
_STOP_SECONDS = 5.0
_DELETE_SECONDS = 60.0


class TrackingServer:
    """One MLflow for all workspaces; each has an MLflow workspace of its own in it.

    The socket listens before the process is up: a request made meanwhile waits in it and needs no second try.

    Args:
        folder: where runs and artifacts lie.
        log: a file.
    """

    def __init__(self, folder: Path, log: Path) -> None:
        self.folder = folder
        self._log = log
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0
        self._directory: int | None = None

    @property
    def address(self) -> str:
        """The socket's path, short however long the folder's is; good from the first start until `close`."""
        return f"/proc/self/fd/{self._directory}/{SOCKET}"

    def ensure(self) -> int:
        """Start it unless it runs; the process's id.

        Raises:
            MooringError: ``TrackingServerNotInstalled``, ``TrackingServerTooOld``.
        """
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                _check_installed()
                self._process = self._start()
            return self._process.pid

    def forget(self, workspace: str) -> None:
        """Delete the runs, registered models and artifacts of a workspace that nobody can name any more.

        Its files go at once, its rows with them when the process runs, else when it is next started.

        Args:
            workspace: its name in MLflow, which is never given again.
        """
        if not (self.folder / "mlflow.db").exists():
            return
        mark = self.folder / FORGOTTEN / workspace
        mark.parent.mkdir(mode=0o700, exist_ok=True)
        mark.touch(0o600)
        shutil.rmtree(self.folder / "artifacts" / "workspaces" / workspace, ignore_errors=True)
        with self._lock:
            running = self._process is not None and self._process.poll() is None
        if running and self._delete(workspace):
            mark.unlink(missing_ok=True)

    def _delete(self, workspace: str) -> bool:
        """Whether the process has done it, now or when it was started."""
        import httpx

        path = f"http://localhost/api/3.0/mlflow/workspaces/{workspace}"
        transport = httpx.HTTPTransport(uds=self.address, verify=False)
        with httpx.Client(transport=transport, timeout=_DELETE_SECONDS) as client:
            try:
                answer = client.delete(path, params={"mode": "CASCADE"})
            except httpx.TransportError:  # it ends, or has much to do
                return False
        return answer.status_code in {204, 404}

    def said(self) -> str:
        """The last lines of its log since it was started."""
        with self._log.open("rb") as log:
            log.seek(self._began)
            return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-30:])

    def close(self) -> None:
        """End it; what it answered is on disk."""
        with self._lock:
            process, self._process = self._process, None
            directory, self._directory = self._directory, None
        if directory is not None:
            os.close(directory)
        if process is None:
            return
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        process.stdin.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if self._directory is None:
            self._directory = os.open(self.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        # What the server's user set for MLflow is for clients.
        variables = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        with files.listen(self.folder, SOCKET, _BACKLOG) as listener, self._log.open("ab") as log:
            self._began = log.tell()
            descriptor = listener.fileno()
            command = [sys.executable, "-m", "mooring_server.tracking", str(self.folder), str(descriptor)]
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=variables,
                pass_fds=[descriptor],
                start_new_session=True,
            )


def _check_installed() -> None:
    if importlib.util.find_spec("mlflow") is None or importlib.util.find_spec("flask") is None:
        raise MooringError(
            "TrackingServerNotInstalled",
            "MLflow's tracking server is not installed beside this server.",
            hint=INSTALL,
            phase="Start",
            status_code=501,
        )
    # The full distribution has the other as a part, of the same version.
    version = importlib.metadata.version("mlflow-skinny")
    if Version(version) < Version(OLDEST):
        raise MooringError(
            "TrackingServerTooOld",
            f"MLflow {version} is installed beside this server; its tracking server needs {OLDEST} or newer.",
            hint=INSTALL,
            phase="Start",
            status_code=501,
        )
