"""Docker Engine, or what else speaks its API, as the builder of Dockerfiles.

The engine keeps images and containers itself, so whatever a build makes there is found by a label: bases get it before
they are handed over, and every image and container that comes from them inherits it.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mooring_runtime.engine.client import Engine, EngineError, EngineRefused
from mooring_runtime.supervisor.engine_failure import failure_of
from mooring_server.domain.errors import MooringError, from_json
from mooring_server.images.bases.base import store_base
from mooring_server.images.docker_archive import docker_archive
from mooring_server.images.dockerfiles.tool import Job, Log, failed
from mooring_server.images.documents import load_manifest
from mooring_server.store.content import ContentStore, parse_digest

LABEL = "dev.mooring.dockerfile"
_TAG_LENGTH = 24
_DOCKERFILE = ".mooring.Dockerfile"


class EngineTool:
    """A container engine.

    Args:
        store: has the bases.
        home: the server's data directory; several servers share an engine.
        find: gives the engine; asked each time.
    """

    def __init__(self, store: ContentStore, home: Path, find: Callable[[], Engine]) -> None:
        self._store = store
        self._find = find
        self._owner = hashlib.sha256(str(home).encode()).hexdigest()[:12]

    @property
    def name(self) -> str:
        """See `Tool`."""
        return "docker"

    def build(self, job: Job, log: Log) -> Path:
        """See `Tool`."""
        owner = f"{self._owner}-{job.name}"
        lines: list[str] = []

        def tell(line: str) -> None:
            if line.strip():
                lines.append(line)
                log(line)

        try:
            engine = self._find()
            try:
                return self._build(engine, job, owner, tell)
            finally:
                _remove(engine, owner)
        except EngineRefused as error:
            raise failed(self.name, job, lines, str(error)) from error
        except EngineError as error:
            raise _explained(error, lines) from error

    def _build(self, engine: Engine, job: Job, owner: str, tell: Log) -> Path:
        names = {}
        for image, digest in job.bases.items():
            names[image] = f"localhost/mooring-build-{owner}:{parse_digest(digest)[:_TAG_LENGTH]}"
            engine.load(docker_archive(self._store, self._labelled(digest, owner), names[image]))
        shown = {own: image for image, own in reversed(names.items())}

        def named(line: str) -> None:
            for own, image in shown.items():
                line = line.replace(own, image)
            tell(line)

        result = f"localhost/mooring-build-{owner}:result"
        query = {
            "dockerfile": _DOCKERFILE,
            "t": result,
            "labels": json.dumps({LABEL: owner}),
            # Containers of failed steps go, and nothing is kept for another time.
            "rm": "1",
            "forcerm": "1",
            "nocache": "1",
            "networkmode": "host",
        }
        engine.build(_context(job, job.dockerfile.renamed(names)), query, named)
        archive = job.folder / "built.tar"
        with archive.open("wb") as file:
            for piece in engine.save(result):
                file.write(piece)
        return archive

    def _labelled(self, digest: str, owner: str) -> str:
        """The manifest of the same image with our label; images upon it inherit that."""
        manifest = load_manifest(self._store, digest)
        config = json.loads(self._store.read(manifest["config"]["digest"]))
        settings = config.get("config") or {}
        labels = {**(settings.get("Labels") or {}), LABEL: owner}
        return store_base(self._store, manifest, {**config, "config": {**settings, "Labels": labels}})

    def clean_stale(self, folders: Path) -> None:
        """See `Tool`; an engine that does not answer is cleaned when it does."""
        del folders
        try:
            engine = self._find()
        except EngineError:
            return
        _remove(engine, f"{self._owner}-")

    def left(self) -> list[str]:
        """The ids of what builds of this server have in the engine now: containers, then images."""
        return [found for ids in _left(self._find(), f"{self._owner}-") for found in ids]


def _remove(engine: Engine, owner: str) -> None:
    """Remove containers, then images, those last that others lie upon."""
    containers, images = _left(engine, owner)
    for container in containers:
        engine.remove(container)
    while images:
        kept = [image for image in images if not _removed(engine, image)]
        if len(kept) == len(images):
            engine.remove_image(kept[0], force=True)  # it says why
        images = kept


def _removed(engine: Engine, image: str) -> bool:
    """Remove an image unless another one lies upon it."""
    try:
        engine.remove_image(image, force=True)
    except EngineRefused:
        return False
    return True


def _left(engine: Engine, owner: str) -> tuple[list[str], list[str]]:
    """Containers and images whose label begins so."""
    containers = engine.containers(LABEL)
    return (
        [str(each["Id"]) for each in containers if str(each["Labels"][LABEL]).startswith(owner)],
        [image for image in engine.labelled_images(LABEL) if _label_of(engine, image).startswith(owner)],
    )


def _label_of(engine: Engine, image: str) -> str:
    labels = ((engine.image(image) or {}).get("Config") or {}).get("Labels") or {}
    return str(labels.get(LABEL, ""))


def _context(job: Job, text: str) -> Iterator[bytes]:
    """The context as a tar archive, with the Dockerfile in it."""
    data = text.encode()
    entry = tarfile.TarInfo(_DOCKERFILE)
    entry.size = len(data)
    yield entry.tobuf(tarfile.PAX_FORMAT)
    yield _padded(data)
    for path in sorted(job.context.rglob("*")):
        if not path.is_file():
            continue
        entry = tarfile.TarInfo(path.relative_to(job.context).as_posix())
        entry.size, entry.mode = path.stat().st_size, 0o755 if path.stat().st_mode & 0o100 else 0o644
        yield entry.tobuf(tarfile.PAX_FORMAT)
        with path.open("rb") as file:
            while piece := file.read(io.DEFAULT_BUFFER_SIZE * 64):
                yield piece
        yield bytes(-entry.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % tarfile.BLOCKSIZE)


def _explained(error: EngineError, lines: list[str]) -> MooringError:
    explained: Mapping[str, Any] = failure_of(error, "").to_json()
    evidence = {**(explained.get("evidence") or {}), "output": "\n".join(lines[-100:])}
    return from_json({**explained, "phase": "Build", "evidence": evidence})
