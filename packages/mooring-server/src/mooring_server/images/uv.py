"""Runs uv, the resolver and installer."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mooring_server.domain.errors import PhaseFailed
from mooring_server.images.pythons import clean_environment

# They choose an interpreter, a project or an output of their own, which is decided here.
_OURS = {
    *("UV_BREAK_SYSTEM_PACKAGES", "UV_COMPILE_BYTECODE", "UV_PROJECT", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON"),
    *("UV_SYSTEM_PYTHON", "UV_TARGET", "UV_WORKING_DIR", "UV_WORKING_DIRECTORY", "UV_CUSTOM_COMPILE_COMMAND"),
}
DEADLINE_S = 3600
Log = Callable[[str], None]


@dataclass(frozen=True)
class UvResult:
    """How a run of uv ended: exit status, standard output and (without credentials) standard error."""

    status: int
    output: str
    errors: str


def redact(text: str) -> str:
    """The text without user names and passwords in addresses."""
    return re.sub(r"(?<=://)[^/\s@]+@", "", text)


class Uv:
    """The uv binary that is installed as a dependency of the server.

    Args:
        cache_dir: where uv keeps what it downloads, unless the user set ``UV_CACHE_DIR``.
    """

    def __init__(self, cache_dir: Path) -> None:
        self._cache_dir = cache_dir

    def run(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        settings: Mapping[str, str],
        log: Log,
        phase: str,
    ) -> UvResult:
        """Run uv to its end, handing its messages to ``log`` as they come.

        Args:
            arguments: must not contain credentials: other users of the machine can read them.
            cwd: a directory of ours, so that no project's settings apply.
            settings: environment variables for uv (they may contain credentials).
            log: gets each line of uv's messages, without credentials.
            phase: for the error.

        Raises:
            PhaseFailed: code ``BuildTimeout`` when it does not end.
        """
        from uv import find_uv_bin

        cwd.mkdir(parents=True, exist_ok=True)
        environment = {name: value for name, value in clean_environment().items() if name not in _OURS}
        environment.setdefault("UV_CACHE_DIR", str(self._cache_dir))
        environment |= {**settings, "UV_PYTHON_DOWNLOADS": "never", "PYTHONHASHSEED": "0", "NO_COLOR": "1"}
        process = subprocess.Popen(
            [find_uv_bin(), *arguments, "--no-progress", "--color", "never"],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        timed_out = threading.Event()

        def stop() -> None:
            timed_out.set()
            process.kill()

        watchdog = threading.Timer(DEADLINE_S, stop)
        watchdog.start()
        follower = _Follower(process, log)
        try:
            follower.start()
            output = process.stdout.read() if process.stdout else ""
            follower.join()
            status = process.wait()
        finally:
            watchdog.cancel()
            if process.poll() is None:
                process.kill()
                process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        if follower.failure is not None:
            raise follower.failure
        if timed_out.is_set():
            raise PhaseFailed(
                "BuildTimeout",
                f"uv {' '.join(arguments[:2])} had not ended after {DEADLINE_S} seconds.",
                hint="Look at the build log; the package index may not be answering.",
                phase=phase,
                evidence={"resolver": "\n".join(follower.lines[-100:])},
            )
        return UvResult(status, output, "\n".join(follower.lines))


class _Follower(threading.Thread):
    """Hands uv's messages on while it runs; a ``log`` that raises ends uv, and the caller raises it again."""

    def __init__(self, process: subprocess.Popen[str], log: Log) -> None:
        super().__init__()
        self._process = process
        self._log = log
        self.lines: list[str] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        for line in self._process.stderr or ():
            self.lines.append(redact(line.rstrip()))
            if not self.lines[-1] or self.failure is not None:
                continue
            try:
                self._log(f"uv: {self.lines[-1]}")
            except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits for uv
                self.failure = error
                self._process.kill()


def own_settings_text() -> str:
    """What the user's own uv.toml files say; empty when there is none or they are switched off."""
    if os.environ.get("UV_NO_CONFIG"):
        return ""
    if named := os.environ.get("UV_CONFIG_FILE"):
        files = [Path(named)]
    else:
        home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        system = (os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
        files = [
            home / "uv/uv.toml",
            *(Path(folder, "uv/uv.toml") for folder in system),
            Path("/etc/uv/uv.toml"),
        ]
    return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files if file.is_file())
