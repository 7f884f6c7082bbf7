"""What targets with a supervisor on this machine have in common: all but where their workers run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mooring_runtime.supervisor import proctable, remains
from mooring_runtime.supervisor.client import SupervisorClient, SupervisorUnavailable
from mooring_runtime.supervisor.failure import SupervisorError
from mooring_server.domain.errors import MooringError, PhaseFailed, from_json
from mooring_server.store.content import disk_full, full_disk, nothing_free
from mooring_server.targets.base import Observation, ServiceSpec, Usage
from mooring_server.targets.watch import ProcessWatch

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
# With coverage measuring subprocesses, its settings must reach the supervisor; they hold no secret.
_INHERITED_PREFIXES = ("LC_", "COVERAGE_")
# A machine that is busy with other things starts an interpreter by and by.
_START_SECONDS = 60.0
_MAX_BODY = 100 * 1024 * 1024
_LOG = "worker.log"
# A deleted service's directory has this before its name while its files go.
REMOVED = ".removed-"


class SupervisedTarget(ABC):
    """Services below ``root``, one directory each, with supervisor and front on this machine.

    Supervisors run in sessions of their own and go on when the server stops; `observe` finds them again. A service
    goes from one such target to another as it goes from one revision to the next.
    """

    def __init__(self, root: Path, host: str) -> None:
        self._root = root
        self._host = host
        self._watch = ProcessWatch()
        root.mkdir(mode=0o700, parents=True, exist_ok=True)

    @abstractmethod
    def prepare(self, image_digest: str) -> None:
        """See `Target.prepare`."""

    @abstractmethod
    def prune(self, keep: Callable[[], set[str]]) -> None:
        """See `Target.prune`."""

    @abstractmethod
    def _workplace(self, spec: ServiceSpec) -> dict[str, Any]:
        """What the ``revision`` of the supervisor's spec says of where its workers run."""

    def known(self) -> list[str]:
        """The directories there are."""
        return sorted(p.name for p in self._root.iterdir() if p.is_dir() and not p.name.startswith("."))

    def clean_stale(self) -> int:
        """Remove what deletions that were killed have left."""
        left = list(self._root.glob(f"{REMOVED}*"))
        for directory in left:
            shutil.rmtree(directory, onerror=_already_gone)
        return len(left)

    def on_loss(self, lost: Callable[[str], None]) -> None:
        """Call ``lost`` when the supervisor of a service that was observed has ended."""
        self._watch.start(lost)

    def close(self) -> None:
        """Watch nothing any more; services go on."""
        self._watch.stop()

    def apply(self, spec: ServiceSpec) -> None:
        """Hand the specification to the service's supervisor, starting one if there is none.

        Raises:
            PhaseFailed: ``SupervisorNotStarted``, with the end of its log.
        """
        directory = self._root / spec.uid
        document = self._document(spec)
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
            document["tls"] = _write_certificate(directory, spec.certificate)
        except OSError as error:
            raise disk_full(error, self._root, 1, phase="Start") or error from error
        client = SupervisorClient(directory)
        try:
            try:
                client.apply(document)
            except SupervisorUnavailable:
                self._start(spec.uid, directory)
                client.apply(document)
        except SupervisorError as error:
            if nothing_free(self._root):
                said = {"supervisor": error.failure.message}
                raise full_disk(self._root, 1, phase="Start", evidence=said) from error
            raise from_json(error.failure.to_json()) from error

    def observe(self, uid: str) -> Observation:
        """Ask the supervisor; without one the service is ``Absent``."""
        try:
            state = SupervisorClient(self._root / uid).status()
        except SupervisorUnavailable:
            return Observation("Absent")
        self._watch.add(uid, state["pid"])
        return Observation(
            phase=state["phase"],
            url=state.get("url"),
            active_revision=_number(state.get("active_revision")),
            target_revision=_number(state.get("target_revision")),
            generation=int(state.get("generation") or 0),
            failure=state.get("failure"),
            isolation=state.get("isolation"),
            workers=tuple(state.get("workers") or ()),
            functions=state.get("functions") or {},
        )

    def usage(self, uid: str) -> Usage | None:
        """What /proc says of the workers and what they have started."""
        entries = proctable.table()
        members = [
            entry
            for worker in self.observe(uid).workers
            for entry in proctable.family(entries, int(worker.get("pid") or 0))
        ]
        if not members:
            return None
        highest = max(proctable.peak(entry.pid) for entry in members)
        return Usage(
            cpu_seconds=sum(entry.cpu for entry in members),
            memory_bytes=max(sum(entry.rss for entry in members), highest),
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
        """Stop the supervisor with its drain, kill what does not stop, then remove the service's directory.

        The directory goes by one rename under the supervisor's lock: one that is just starting finds either the
        lock taken or no directory, and cannot bring the service back.

        Raises:
            PhaseFailed: ``DeleteFailed``.
        """
        directory = self._root / uid
        removed = self._root / f"{REMOVED}{uid}"
        try:
            with remains.ended(directory):
                self._watch.forget(uid)
                directory.rename(removed)
        except FileNotFoundError:
            self._watch.forget(uid)  # it never ran here, or an earlier deletion came this far
        except remains.NotEnded as error:
            raise PhaseFailed(
                "DeleteFailed", f"The service cannot be ended: {error}.", phase="Delete"
            ) from error
        shutil.rmtree(removed, onerror=_already_gone)

    def _document(self, spec: ServiceSpec) -> dict[str, Any]:
        return {
            "service": spec.name,
            "generation": spec.generation,
            "host": self._host,
            "port": spec.port,
            "auth_keys": list(spec.auth_keys),
            "scoring_timeout_ms": spec.scoring_timeout_ms,
            "max_request_bytes": _MAX_BODY,
            "functions": None if spec.functions is None else asdict(spec.functions),
            "revision": {
                "id": str(spec.revision),
                "workers": spec.workers,
                "init_deadline_seconds": spec.init_seconds,
                "cpu_cores": spec.cpu_cores,
                "memory_bytes": spec.memory_bytes,
                **self._workplace(spec),
            },
        }

    def _start(self, uid: str, directory: Path) -> None:
        """Start a supervisor that is nobody's child, so that it outlives this process."""
        inherited = {
            k: v for k, v in os.environ.items() if k in _INHERITED or k.startswith(_INHERITED_PREFIXES)
        }
        try:
            started = subprocess.run(
                [sys.executable, "-m", "mooring_runtime.supervisor", "--dir", str(directory), "--detach"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                cwd="/",
                env=inherited,
                timeout=_START_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise PhaseFailed(
                "SupervisorNotStarted",
                f"The supervisor of service {uid} did not start within {_START_SECONDS:g} s.",
                phase="Start",
                hint="The machine is short of processor time or memory; deploy again when it is not.",
            ) from error
        deadline = time.monotonic() + _START_SECONDS
        while started.returncode == 0 and time.monotonic() < deadline:
            if self.observe(uid).phase != "Absent":
                return
            time.sleep(0.01)
        path = directory / "logs" / "supervisor.log"
        if nothing_free(self._root):  # it cannot write its files, nor a log that would say so
            raise full_disk(self._root, 1, phase="Start", evidence={"log": started.stderr})
        raise PhaseFailed(
            "SupervisorNotStarted",
            f"The supervisor of service {uid} did not answer.",
            phase="Start",
            hint="Its log tells why; `mooring doctor` checks what this machine can do.",
            evidence={
                "log": (path.read_text(errors="replace")[-4000:] if path.exists() else "") + started.stderr
            },
        )

    def _log_files(self, uid: str) -> list[Path]:
        logs = self._root / uid / "logs"
        rotated = sorted(
            logs.glob(f"{_LOG}.*"), key=lambda p: -int(p.suffix[1:]) if p.suffix[1:].isdigit() else 0
        )
        return [*rotated, *([logs / _LOG] if (logs / _LOG).exists() else [])]


def _write_certificate(directory: Path, certificate: tuple[str, str] | None) -> dict[str, str] | None:
    """Puts a certificate where the front looks: one that replaces another is taken over without a restart."""
    if certificate is None:
        return None
    paths = {}
    for (name, file), text in zip((("certificate", "tls.crt"), ("key", "tls.key")), certificate, strict=True):
        path = directory / file
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            fresh = directory / f".{file}.new"
            fresh.unlink(missing_ok=True)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
                opened.write(text)
            fresh.replace(path)
        paths[name] = str(path)
    return paths


def _number(revision: Any) -> int | None:
    return int(revision) if revision not in {None, ""} else None


def _already_gone(_function: Any, path: str, info: Any) -> None:
    if not isinstance(info[1], FileNotFoundError):
        raise MooringError(
            "DeleteFailed", f"{path} could not be removed: {info[1]}", phase="Delete"
        ) from info[1]
