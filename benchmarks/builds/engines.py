"""The peers: Podman and Docker as their users call them, and a registry that all push to."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

ACCEPT = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.oci.image.index.v1+json"
)

# Without them they ask for more than a machine without CAP_SYS_RESOURCE may give.
LIMITS = ["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"]


@dataclass
class Builder:
    """An engine that builds Dockerfiles.

    Attributes:
        name: what it is called in the table.
        program: the command with the options that every call needs.
        registry: where it pushes to, ``host:port``.
        socket: where it answers the Docker API.
        cache: options of `build` that keep pip's downloads; None where it cannot.
    """

    name: str
    program: list[str]
    registry: str
    socket: Path
    cache: list[str] | None = None
    variables: dict[str, str] = field(default_factory=dict)

    def call(self, *arguments: str) -> str:
        """What a command prints; the last line is the result."""
        done = subprocess.run(
            [*self.program, *arguments],
            env={**os.environ, **self.variables},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{self.name} {' '.join(arguments)}\n{done.stdout}{done.stderr}")
        return done.stdout

    def build(self, context: Path, tag: str, *options: str) -> None:
        """An image; layers that it has are used unless the options say otherwise."""
        named = ["--tag", f"{self.registry}/{tag}"]
        self.call("build", "--network", "host", *LIMITS, *options, *named, str(context))

    def _unsafe(self) -> list[str]:
        """What lets it speak to the registry by plain http; Docker does on loopback."""
        return ["--tls-verify=false"] if self.name == "Podman" else []

    def push(self, tag: str) -> None:
        """To the registry."""
        self.call("push", *self._unsafe(), f"{self.registry}/{tag}")

    def pull(self, reference: str) -> None:
        """From the registry."""
        self.call("pull", *self._unsafe(), f"{self.registry}/{reference}")

    @contextlib.contextmanager
    def running(self, tag: str) -> Iterator[str]:
        """A container in the host's network; its address."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        options = [*LIMITS, "--detach", "--network", "host", "--env", f"PORT={port}"]
        identity = self.call("run", *options, f"{self.registry}/{tag}").split()[-1]
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            self.call("rm", "--force", identity)


@contextlib.contextmanager
def podman(folder: Path, registry: str) -> Iterator[Builder]:
    """Podman with a storage of its own, which goes afterwards."""
    folder.mkdir()
    runtime = "runc" if shutil.which("runc") else "crun"
    (folder / "containers.conf").write_text(
        f'[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "{runtime}"\n'
    )
    places = {"--root": "root", "--runroot": "run", "--tmpdir": "tmp"}
    options = [text for option, name in places.items() for text in (option, str(folder / name))]
    (folder / "pip").mkdir()
    made = Builder(
        "Podman",
        ["podman", *options],
        registry,
        folder / "podman.sock",
        cache=["--volume", f"{folder / 'pip'}:/root/.cache/pip"],
        variables={"CONTAINERS_CONF": str(folder / "containers.conf")},
    )
    command = [*made.program, "system", "service", "--time=0", f"unix://{made.socket}"]
    with (folder / "log").open("wb") as log:
        service = subprocess.Popen(
            command, env={**os.environ, **made.variables}, cwd=folder, stdout=log, stderr=log
        )
    try:
        wait(made.socket.exists)
        yield made
    finally:
        service.terminate()
        service.wait()
        made.call("system", "reset", "--force")
        # As root Podman mounts its storage onto itself, and leaves it so.
        subprocess.run(["umount", folder / "root" / "overlay"], check=False, capture_output=True)


def docker(registry: str) -> Builder | None:
    """Docker, if one answers. Its storage is the machine's; what is built has names of the benchmark's own."""
    program = shutil.which("docker")
    if program is None:
        return None
    place = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    answers = subprocess.run([program, "version"], capture_output=True, check=False).returncode == 0
    return Builder("Docker", [program], registry, Path(place)) if answers else None


class Registry:
    """Debian's `docker-registry` on a free port of loopback, without TLS.

    Attributes:
        address: ``host:port``.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        config, log = folder / "config.json", folder / "log"
        storage = {"filesystem": {"rootdirectory": str(folder / "data")}}
        http = {"addr": "127.0.0.1:0", "secret": "x"}
        config.write_text(json.dumps({"version": 0.1, "storage": storage, "http": http}))  # JSON is YAML
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                ["docker-registry", "serve", config], stdout=output, stderr=output
            )
        wait(lambda: self._process.poll() is not None or "listening on" in log.read_text())
        found = re.search(r"listening on (127\.0\.0\.1:\d+)", log.read_text())
        if found is None:
            raise SystemExit(f"docker-registry did not start\n{log.read_text()}")
        self.address = found[1]

    def close(self) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.wait()

    def tags(self, repository: str) -> list[str]:
        """Of a repository."""
        answer = httpx.get(f"http://{self.address}/v2/{repository}/tags/list", trust_env=False)
        return list(answer.raise_for_status().json()["tags"])

    def size(self, name: str) -> int:
        """Bytes of an image as it is pulled: layers and configuration, packed."""
        repository, _, tag = name.partition(":")
        answer = httpx.get(
            f"http://{self.address}/v2/{repository}/manifests/{tag}",
            headers={"Accept": ACCEPT},
            trust_env=False,
        )
        manifest = answer.raise_for_status().json()
        return sum(int(part["size"]) for part in [manifest["config"], *manifest["layers"]])


def wait(done: Callable[[], bool], seconds: float = 120) -> None:
    """Until it is so."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise SystemExit("waited in vain")
        time.sleep(0.01)
