"""Container engines for tests: a Podman of the test's own, and the Docker Engine of the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import eventually

from mooring_runtime.engine.client import Engine, EngineError
from mooring_runtime.engine.find import EngineNotFound, sockets


class Podman:
    """``podman system service`` with a storage of its own: nothing of the user's is seen or touched."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "podman.sock"
        self._process: subprocess.Popen[bytes] | None = None
        runtime = "runc" if shutil.which("runc") else "crun"
        (folder / "containers.conf").write_text(
            f'[engine]\nruntime = "{runtime}"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        )

    def _command(self, *arguments: str) -> list[str]:
        places = {"--root": "root", "--runroot": "run", "--tmpdir": "tmp"}
        named = [text for option, name in places.items() for text in (option, str(self.folder / name))]
        return ["podman", *named, *arguments]

    def run(self, *arguments: str) -> str:
        """One command of Podman's own client on the same storage."""
        variables = {**os.environ, "CONTAINERS_CONF": str(self.folder / "containers.conf")}
        done = subprocess.run(
            self._command(*arguments), env=variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> Engine:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command("system", "service", "--time=0", f"unix://{self.socket}"),
                env={**os.environ, "CONTAINERS_CONF": str(self.folder / "containers.conf")},
                cwd=self.folder,  # conmon leaves files where it was started
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        engine = Engine(self.socket, 5)
        eventually(lambda: answers(engine), "Podman answers", 180)
        return engine

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(120)

    def close(self) -> None:
        self.stop()
        # Its files belong to other users where it runs without root.
        self.run("system", "reset", "--force")
        # As root Podman mounts its storage onto itself, and leaves it so.
        subprocess.run(["umount", self.folder / "root" / "overlay"], check=False, capture_output=True)


def answers(engine: Engine) -> bool:
    try:
        engine.version()
    except EngineError:
        return False
    return True


@contextmanager
def podman(folder: Path) -> Iterator[Podman]:
    """Podman, or a skipped test."""
    if shutil.which("podman") is None:
        pytest.skip("Podman is not installed")
    made = Podman(folder)
    try:
        made.start()
        yield made
    finally:
        made.close()


def docker() -> Engine:
    """The machine's Docker Engine, or a skipped test."""
    try:
        found = [Engine(path) for path in sockets(os.environ, os.getuid()) if answers(Engine(path))]
    except EngineNotFound as error:
        pytest.skip(str(error))
    names = [engine for engine in found if engine.name().startswith("Docker")]
    if not names:
        pytest.skip("no Docker Engine answers here; start it, or name its socket in DOCKER_HOST")
    return names[0]
