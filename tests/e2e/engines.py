"""Container engines for tests: a Podman of the test's own, and the Docker Engine of the machine."""

from __future__ import annotations

import os
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from support import eventually

from mooring_runtime.engine.client import Engine, EngineError, EngineRefused
from mooring_runtime.engine.find import EngineNotFound, sockets


class Service(ABC):
    """An engine's process with a storage of its own: nothing of the user's is seen or touched."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "engine.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def _service(self) -> list[str]:
        """The command."""

    def variables(self) -> dict[str, str]:
        return {**os.environ, "TMPDIR": str(self.folder)}

    @property
    def engine(self) -> Engine:
        """Its API."""
        return Engine(self.socket)

    def start(self) -> Engine:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._service(),
                env=self.variables(),
                cwd=self.folder,  # conmon leaves files where it was started
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        engine = Engine(self.socket, 5)
        eventually(lambda: self._runs() and answers(engine), "the engine answers", 180)
        return engine

    def _runs(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
        return True

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(120)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def empty(self) -> bool:
        """Whether it has no image, with a name or without."""
        try:
            return self.engine._json("GET", "/images/json", {"all": "true"}) == []
        except EngineRefused:  # as Podman says when one goes while it lists them
            return False

    def mounts(self) -> list[str]:
        """What is mounted below its folder, but for the storage that engines mount onto itself."""
        lines = Path("/proc/self/mounts").read_text().splitlines()
        found = [line.split()[1] for line in lines if f" {self.folder}/" in line]
        return [place for place in found if not place.endswith(("/root/overlay", "/data"))]


class Podman(Service):
    """``podman system service``."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        # Podman takes no place of more than 50 characters for what runs.
        self._runroot = Path(tempfile.mkdtemp(prefix="mooring-"))
        runtime = "runc" if shutil.which("runc") else "crun"
        (folder / "containers.conf").write_text(
            f'[engine]\nruntime = "{runtime}"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        )
        self.trust()

    def variables(self) -> dict[str, str]:
        files = {"CONTAINERS_CONF": "containers.conf", "CONTAINERS_REGISTRIES_CONF": "registries.conf"}
        found = {name: str(self.folder / file) for name, file in files.items()}
        return {**super().variables(), **found}

    def trust(self, *registries: str) -> None:
        """Pull from there by plain http, or whatever its certificate; from the next start on."""
        tables = (f'[[registry]]\nlocation = "{host}"\ninsecure = true\n' for host in registries)
        (self.folder / "registries.conf").write_text("".join(tables))

    def command(self, *arguments: str) -> list[str]:
        places = {"--root": self.folder / "root", "--runroot": self._runroot, "--tmpdir": self.folder / "tmp"}
        named = [text for option, place in places.items() for text in (option, str(place))]
        return ["podman", *named, *arguments]

    def _service(self) -> list[str]:
        return self.command("system", "service", "--time=0", f"unix://{self.socket}")

    def run(self, *arguments: str) -> str:
        """One command of Podman's own client on the same storage."""
        done = subprocess.run(
            self.command(*arguments), env=self.variables(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def close(self) -> None:
        self.stop()
        # Its files belong to other users where it runs without root.
        self.run("system", "reset", "--force")
        # As root Podman mounts its storage onto itself, and leaves it so.
        unmount(self.folder / "root" / "overlay")
        shutil.rmtree(self._runroot, ignore_errors=True)  # Podman may have


def runs_containers(engine: Podman, base: Path) -> None:
    """Skip the test where Podman is installed but cannot run a container, as inside some containers.

    Args:
        engine: Podman.
        base: the archive of a root directory with ``/bin/sh``.
    """
    engine.run("import", str(base), "localhost/mooring-probe")
    limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--network", "none"]
    command = engine.command("run", "--rm", *limits, "localhost/mooring-probe", "/bin/sh", "-c", "true")
    done = subprocess.run(command, env=engine.variables(), capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        pytest.skip(f"Podman cannot run containers here: {last}")
    engine.run("rmi", "localhost/mooring-probe")


class Docker(Service):
    """``dockerd`` with its own containerd, and without networks: it changes nothing of the machine's."""

    def _service(self) -> list[str]:
        places = {"--data-root": "data", "--exec-root": "run", "--pidfile": "pid"}
        named = [text for option, name in places.items() for text in (option, str(self.folder / name))]
        apart = ["--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"]
        return ["dockerd", *named, *apart, "--host", f"unix://{self.socket}"]

    def kill(self) -> None:
        super().kill()
        # The kernel ends its containerd with it. The next dockerd believes the file as long as that is not reaped.
        file = self.folder / "run" / "containerd" / "containerd.pid"
        eventually(lambda: _ended(int(file.read_text())), "containerd has ended")
        file.unlink()

    def close(self) -> None:
        assert self._process is not None
        if self._process.poll() is not None:
            self.start()
        for container in self.engine.containers("dev.mooring.name"):
            self.engine.remove(container["Id"])
        self.stop()
        unmount(self.folder / "data")  # as Podman, once it was killed


def unmount(place: Path) -> None:
    """As often as it is mounted."""
    while f" {place} " in Path("/proc/self/mounts").read_text():
        subprocess.run(["umount", place], check=True, capture_output=True)


def _ended(pid: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True


class Between:
    """A socket in front of an engine's, at which a test sees each request before the engine does.

    Attributes:
        socket: for clients.
        seen: gets a request (``POST /images/load``) and how many bytes of it have gone to the engine.
            What it returns then goes to the client in the engine's place.
    """

    def __init__(self, folder: Path, engine: Path) -> None:
        self.socket = folder / "between.sock"
        self.seen: Callable[[str, int], bytes | None] = lambda _request, _sent: None
        between = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                between._handle(self.request, engine)

        self._server = socketserver.ThreadingUnixStreamServer(str(self.socket), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handle(self, client: socket.socket, path: Path) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = client.recv(1 << 16)
            if not piece:
                return
            data += piece
        request = data.partition(b"?")[0].partition(b" HTTP")[0].decode()
        instead = self.seen(request, 0)
        if instead is not None:
            client.sendall(instead)
            return
        with socket.socket(socket.AF_UNIX) as engine:
            try:
                engine.connect(str(path))
            except OSError:  # the client's connection ends as well
                return
            down = threading.Thread(target=_copy, args=(engine, client), daemon=True)
            down.start()
            sent = 0
            with suppress(OSError):  # one of the two has gone
                while data:
                    engine.sendall(data)
                    sent += len(data)
                    self.seen(request, sent)
                    data = client.recv(1 << 16)
            with suppress(OSError):
                engine.shutdown(socket.SHUT_WR)
            down.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for end in (source, target):  # who still sends is told as well
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


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


@contextmanager
def own_docker(folder: Path) -> Iterator[Docker]:
    """A Docker Engine to stop and to kill, or a skipped test."""
    if shutil.which("dockerd") is None or os.geteuid() != 0:
        pytest.skip("a Docker Engine of the test's own needs dockerd on PATH, and root")
    made = Docker(folder)
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
