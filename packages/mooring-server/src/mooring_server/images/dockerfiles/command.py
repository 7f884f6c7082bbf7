"""buildah and Podman, each build with a storage and with namespaces of its own.

Nothing of the user's images is seen or touched. All processes of a build, its containers' among them, are in one
process namespace and all mounts in one mount namespace: whoever kills the build, or the server, ends them with it. It
needs `unshare` and `setpriv`, which every Linux has in its util-linux.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from mooring_server.domain.errors import PhaseFailed
from mooring_server.images.dockerfiles.tool import Job, Log, builder_failed, failed
from mooring_server.images.documents import MANIFEST_TYPE, load_manifest
from mooring_server.images.pythons import clean_environment
from mooring_server.images.uv import DEADLINE_S, redact
from mooring_server.store.content import ContentStore, parse_digest

# Whoever dies takes along what it has started.
_BOUND = ("setpriv", "--pdeathsig", "KILL")
_APART = (
    *(*_BOUND, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
    *("--propagation", "private", "--"),
)
_NOISE = ("Getting image", "Copying", "Writing manifest", "Storing signatures")


class CommandTool:
    """buildah or Podman.

    Args:
        store: has the bases.
        program: path of the command.
    """

    def __init__(self, store: ContentStore, program: str) -> None:
        self._store = store
        self._program = program

    @property
    def name(self) -> str:
        """See `Tool`."""
        return Path(self._program).name

    def build(self, job: Job, log: Log) -> Path:
        """See `Tool`."""
        storage = job.folder / "storage"
        session = _Session(self._program, storage, job.folder)
        try:
            return self._build(session, job, log)
        finally:
            session.close()

    def _build(self, session: _Session, job: Job, log: Log) -> Path:
        ids = {}
        for image, digest in job.bases.items():
            layout = _layout(self._store, digest, job.folder / f"base-{parse_digest(digest)[:12]}")
            # The tool makes a name of the path, so it must be one that is allowed in names.
            status, lines = session.run(["pull", "--quiet", f"oci:{layout.name}:base"], _quiet)
            if status:
                raise builder_failed(self.name, _last(lines, status), lines)
            ids[image] = lines[-1].strip()
        file, built = job.folder / "Dockerfile", job.folder / "built"
        file.write_text(job.dockerfile.renamed(ids), encoding="utf-8")
        shown = {own: image for image, own in reversed(ids.items())}
        # Without a network of its own nothing of it can be left on the host.
        options = ["--pull=never", "--layers=false", "--network=host", f"--iidfile={built}", f"--file={file}"]

        def tell(line: str) -> None:
            log(_named(line, shown))

        status, lines = session.run(["build", *options, str(job.context)], tell)
        lines = [_named(line, shown) for line in lines]
        if status:
            raise failed(self.name, job, lines, _last(lines, status))
        archive = job.folder / "built.tar"
        name = f"docker-archive:{archive}:localhost/{job.name}:latest"
        status, lines = session.run(["push", "--quiet", built.read_text().strip(), name], _quiet)
        if status:
            raise failed(self.name, job, lines, _last(lines, status))
        return archive

    def clean_stale(self, folders: Path) -> None:
        """See `Tool`; all there is lies in the folders of builds."""
        for storage in folders.glob("*/storage"):
            _Session(self._program, storage, storage.parent).close()


class _Session:
    """Commands on one storage."""

    def __init__(self, program: str, storage: Path, folder: Path) -> None:
        self._folder = folder
        self._name = Path(program).name
        # Relative, as Podman takes no path there of more than 50 characters.
        places = ["--root", str(storage / "root"), "--runroot", f"{storage.name}/run"]
        if self._name == "podman":
            places += ["--tmpdir", f"{storage.name}/state"]
        # Without root the tool itself first makes the user namespace that its storage is written in.
        self._inside = [] if os.geteuid() == 0 else [*_BOUND, program, "unshare", "--"]
        self._command = [*self._inside, *_APART, program, *places]
        self._storage = storage

    def run(self, arguments: Sequence[str], log: Log) -> tuple[int, list[str]]:
        """Run one to its end, handing what it says to ``log``; its exit status, and all it said."""
        process = subprocess.Popen(
            [*self._command, *arguments],
            cwd=self._folder,
            env={**clean_environment(), "TMPDIR": str(self._folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        late = threading.Event()

        def stop() -> None:
            late.set()
            os.killpg(process.pid, signal.SIGKILL)

        watchdog = threading.Timer(DEADLINE_S, stop)
        watchdog.start()
        lines: list[str] = []
        try:
            for line in process.stdout or ():
                lines.append(redact(line.rstrip()))
                if lines[-1] and not lines[-1].startswith(_NOISE):
                    log(lines[-1])
            status = process.wait()
        finally:
            watchdog.cancel()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if late.is_set():
            raise PhaseFailed(
                "BuildTimeout",
                f"{self._name} {arguments[0]} had not ended after {DEADLINE_S} seconds.",
                hint="The evidence has the last lines; a step may wait for input or for the network.",
                phase="Build",
                evidence={"output": "\n".join(lines[-100:])},
            )
        return status, lines

    def close(self) -> None:
        """Remove the storage; without root some of its files belong to other users."""
        if self._inside and self._storage.exists():
            subprocess.run([*self._inside, "rm", "-rf", str(self._storage)], check=False, capture_output=True)
        shutil.rmtree(self._storage, ignore_errors=True)


def _layout(store: ContentStore, manifest_digest: str, folder: Path) -> Path:
    """The image as an OCI layout; its blobs are links to the content store's."""
    blobs = folder / "blobs" / "sha256"
    if blobs.exists():
        return folder
    blobs.mkdir(parents=True)
    manifest = load_manifest(store, manifest_digest)
    parts = (
        manifest_digest,
        manifest["config"]["digest"],
        *(layer["digest"] for layer in manifest["layers"]),
    )
    for digest in dict.fromkeys(parts):
        (blobs / parse_digest(digest)).symlink_to(store.path(digest))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    entry = {
        "mediaType": MANIFEST_TYPE,
        "digest": manifest_digest,
        "size": store.size(manifest_digest),
        "annotations": {"org.opencontainers.image.ref.name": "base"},
    }
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return folder


def _quiet(line: str) -> None:
    """For commands that say nothing of interest unless they fail."""


def _named(line: str, shown: dict[str, str]) -> str:
    for own, image in shown.items():
        line = line.replace(own, image)
    return line


def _last(lines: Sequence[str], status: int) -> str:
    """The tool's own words for what went wrong."""
    said = [line for line in lines if line.startswith(("Error:", "error "))]
    text = (said or [line for line in lines if line.strip()] or [f"status {status}"])[-1]
    return text.removeprefix("Error: ").rstrip(".")
