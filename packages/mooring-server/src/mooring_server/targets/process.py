"""The process target: supervisors on this machine, workers from the image's own unpacked environment."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mooring_runtime.supervisor.client import SupervisorClient, SupervisorUnavailable
from mooring_server.domain.errors import MooringError, PhaseFailed
from mooring_server.images.unpack import Unpacker
from mooring_server.targets.base import Observation, ServiceSpec

# What a supervisor inherits from the server: nothing that could hold a credential.
_INHERITED = (
    "PATH",
    "HOME",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
_START_SECONDS = 15.0
_STOP_SECONDS = 20.0
_MAX_BODY = 100 * 1024 * 1024
_LOG = "worker.log"


class ProcessTarget:
    """Services as supervised processes below ``root``, one directory each.

    Supervisors run in sessions of their own and go on when the server stops; `observe` finds them again.
    """

    def __init__(self, root: Path, unpacker: Unpacker, host: str = "127.0.0.1") -> None:
        self._root = root
        self._unpacker = unpacker
        self._host = host
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def prepare(self, image_digest: str) -> None:
        """Unpack the image."""
        self._unpacker.materialise(image_digest)

    def apply(self, spec: ServiceSpec) -> None:
        """Hand the specification to the service's supervisor, starting one if there is none.

        Raises:
            PhaseFailed: ``SupervisorNotStarted``, with the end of its log.
        """
        directory = self._root / spec.uid
        directory.mkdir(mode=0o700, exist_ok=True)
        document = self._document(spec)
        client = SupervisorClient(directory)
        try:
            client.apply(document)
        except SupervisorUnavailable:
            self._start(spec.uid, directory)
            client.apply(document)

    def observe(self, uid: str) -> Observation:
        """Ask the supervisor; without one the service is ``Absent``."""
        self._reap()
        try:
            state = SupervisorClient(self._root / uid).status()
        except SupervisorUnavailable:
            return Observation("Absent")
        return Observation(
            phase=state["phase"],
            url=state.get("url"),
            active_revision=_number(state.get("active_revision")),
            target_revision=_number(state.get("target_revision")),
            generation=int(state.get("generation") or 0),
            failure=state.get("failure"),
            isolation=state.get("isolation"),
            workers=tuple(state.get("workers") or ()),
        )

    def logs(self, uid: str, tail: int) -> str:
        """The last lines of the workers' output, rotated files included."""
        lines: deque[str] = deque(maxlen=max(tail, 0))
        for path in self._log_files(uid):
            with path.open(encoding="utf-8", errors="replace") as file:
                lines.extend(file)
        return "".join(lines)

    def follow_logs(self, uid: str, tail: int) -> Iterator[str]:
        """The last lines, then new ones as they come; ends when the service's directory is gone."""
        path = self._root / uid / "logs" / _LOG
        position = path.stat().st_size if path.exists() else 0
        yield self.logs(uid, tail)
        while path.parent.parent.exists():
            size = path.stat().st_size if path.exists() else 0
            if size < position:
                position = 0  # rotated
            if size > position:
                with path.open("rb") as file:
                    file.seek(position)
                    data = file.read(size - position)
                position += len(data)
                yield data.decode("utf-8", "replace")
            else:
                yield ""
                time.sleep(0.1)

    def delete(self, uid: str) -> None:
        """Stop the supervisor with its drain, then remove the service's directory."""
        directory = self._root / uid
        client = SupervisorClient(directory)
        try:
            pid = int(client.status()["pid"])
            client.stop()
        except SupervisorUnavailable:
            pid = 0
        deadline = time.monotonic() + _STOP_SECONDS
        while pid and _alive(pid):
            self._reap()
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)  # its children die with it
                deadline = float("inf")
            time.sleep(0.01)
        self._reap()
        shutil.rmtree(directory, ignore_errors=False, onerror=_already_gone)

    def prune(self, keep: set[str]) -> None:
        """Remove what was unpacked for other images."""
        self._unpacker.prune(keep)

    def services(self) -> set[str]:
        """The services that have a directory."""
        return {entry.name for entry in self._root.iterdir() if entry.is_dir()}

    def _document(self, spec: ServiceSpec) -> dict[str, Any]:
        image = self._unpacker.materialise(spec.image_digest)
        return {
            "service": spec.name,
            "generation": spec.generation,
            "host": self._host,
            "port": spec.port,
            "auth_keys": list(spec.auth_keys),
            "scoring_timeout_ms": spec.scoring_timeout_ms,
            "max_request_bytes": _MAX_BODY,
            "revision": {
                "id": str(spec.revision),
                "python": str(image.python),
                "worker_dir": str(image.worker_dir),
                "app_root": str(image.app_root),
                "entry_script": image.entry_script,
                "source_directory": image.source_directory,
                "env": {**image.env, **spec.env},
                "workers": spec.workers,
                "init_deadline_seconds": 300,
                "cpu_cores": spec.cpu_cores,
                "memory_bytes": spec.memory_bytes,
            },
        }

    def _start(self, uid: str, directory: Path) -> None:
        logs = directory / "logs"
        logs.mkdir(mode=0o700, exist_ok=True)
        inherited = {k: v for k, v in os.environ.items() if k in _INHERITED or k.startswith("LC_")}
        # With coverage measuring subprocesses, its settings must reach the supervisor; they hold no secret.
        inherited |= {k: v for k, v in os.environ.items() if k.startswith("COVERAGE_")}
        with (logs / "supervisor.log").open("ab") as output:
            child = subprocess.Popen(
                [sys.executable, "-m", "mooring_runtime.supervisor", "--dir", str(directory)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd="/",
                env=inherited,
            )
        self._children[uid] = child
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and child.poll() is None:
            if self.observe(uid).phase != "Absent":
                return
            time.sleep(0.01)
        tail = (logs / "supervisor.log").read_text(errors="replace")[-4000:]
        raise PhaseFailed(
            "SupervisorNotStarted",
            f"The supervisor of service {uid} did not answer"
            + (f"; it exited with status {child.returncode}." if child.poll() is not None else "."),
            phase="Start",
            hint="Its log tells why; `mooring doctor` checks what this machine can do.",
            evidence={"log": tail},
        )

    def _log_files(self, uid: str) -> list[Path]:
        logs = self._root / uid / "logs"
        rotated = sorted(
            logs.glob(f"{_LOG}.*"), key=lambda p: -int(p.suffix[1:]) if p.suffix[1:].isdigit() else 0
        )
        return [*rotated, *([logs / _LOG] if (logs / _LOG).exists() else [])]

    def _reap(self) -> None:
        for uid, child in list(self._children.items()):
            if child.poll() is not None:
                self._children.pop(uid, None)


def _number(revision: Any) -> int | None:
    return int(revision) if revision not in {None, ""} else None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _already_gone(_function: Any, path: str, info: Any) -> None:
    if not isinstance(info[1], FileNotFoundError):
        raise MooringError(
            "DeleteFailed", f"{path} could not be removed: {info[1]}", phase="Delete"
        ) from info[1]
