"""``python -m mooring_runtime.container``: process 1 of an image's container.

The supervisor itself, told by the image's variables what to serve, with the service's output on the container's.
Its own files are in the temporary directory: the image's may be read-only. It ends with 3 when the service cannot
come up, so that what runs the container sees it and says when to try again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
import threading
from pathlib import Path

from mooring_runtime.serve.arguments import parser
from mooring_runtime.serve.log import Follower
from mooring_runtime.serve.settings import Settings, SettingsError, settle
from mooring_runtime.supervisor import files
from mooring_runtime.supervisor.client import SupervisorClient, SupervisorUnavailable
from mooring_runtime.supervisor.daemon import Daemon

PORT = 5001
PYTHON = Path("/opt/mooring/env/bin/python")
WORKER = "/opt/mooring/runtime/worker"  # with bytecode for that Python
FAILED, WRONG = 3, 2
_LOOK_SECONDS = 0.1


def say(line: str) -> None:
    """Prints a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Watcher(threading.Thread):
    """Passes the service's output on, and stops a service that does not come up.

    Attributes:
        failed: whether it was stopped for that.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(daemon=True)
        self._client = SupervisorClient(directory)
        self._logs = [Follower(directory / files.LOGS / name, say) for name in ("worker.log", "front.log")]
        self._ended = threading.Event()
        self._settled = False
        self.failed = False

    def run(self) -> None:
        """Looks until told to end."""
        while not self._ended.wait(_LOOK_SECONDS):
            self._follow()
            if not self._settled:
                self._look()

    def end(self) -> None:
        """Ends, with what is left of the output."""
        self._ended.set()
        self.join()
        for log in self._logs:
            log.close()

    def _follow(self) -> None:
        for log in self._logs:
            log.follow()

    def _look(self) -> None:
        try:
            state = self._client.status()
        except SupervisorUnavailable:  # it has not begun, or has ended
            return
        self._settled = state["phase"] in {"Ready", "Failed"}
        if state["phase"] == "Ready":
            say(f"Serving: POST {state['url']}/score")
        elif state["phase"] == "Failed":
            self._follow()
            failure = state["failure"]
            say(f"{failure['code']}: {failure['message']}\n{failure['hint']}")
            self.failed = True
            self._client.stop(0)


def settings() -> Settings:
    """What the image's variables ask for.

    Raises:
        SettingsError: they cannot be right.
    """
    given = parser().parse_args(["--host", "0.0.0.0", "--port", str(PORT)])  # noqa: S104 - all there is is inside
    given.python = PYTHON
    if not os.access(os.environ.get("HOME", ""), os.W_OK):
        # Libraries keep caches there; the image's user has no home that could be written.
        os.environ["HOME"] = tempfile.gettempdir()
    return settle(given, os.environ, Path.cwd())


def main() -> int:
    """Serves until stopped; the exit status."""
    try:
        directory = Path(tempfile.mkdtemp(prefix="mooring-"))
    except OSError as error:
        sys.stderr.write(f"mooring: {error}. With a read-only root give the container a /tmp: --tmpfs /tmp\n")
        return WRONG
    try:
        asked = settings()
    except SettingsError as error:
        sys.stderr.write(f"mooring: {error}\n")
        return WRONG
    (directory / files.LOGS).mkdir()
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
    spec = asked.spec(1)
    spec["revision"]["worker_dir"] = WORKER
    files.write_json(directory / files.SPEC, spec)
    watcher = Watcher(directory)
    watcher.start()
    try:
        status = asyncio.run(Daemon(directory).run())
    finally:
        watcher.end()
    return FAILED if watcher.failed else status


if __name__ == "__main__":
    sys.exit(main())
