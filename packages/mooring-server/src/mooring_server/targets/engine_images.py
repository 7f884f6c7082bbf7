"""Images of the content store in a container engine: handed over, looked for, and removed when unused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

from mooring_runtime.engine.client import Engine, EngineError, EngineRefused
from mooring_runtime.supervisor.engine_failure import failure_of
from mooring_server.domain.errors import PhaseFailed, from_json
from mooring_server.images.docker_archive import docker_archive, has_base
from mooring_server.images.documents import load_manifest
from mooring_server.images.references import ImageReference
from mooring_server.images.registry_settings import Credentials
from mooring_server.images.scratch import KeyedLocks
from mooring_server.store.content import ContentStore, parse_digest

_TAG_LENGTH = 24
# What sockets say that let through only some of the engine's API.
_NOT_ALLOWED = {403, 404, 405, 501}

# Gives the registries that have an image, best first, by the digest of its manifest.
Sources = Callable[[str], Iterable[tuple[ImageReference, Credentials | None]]]


class EngineImages:
    """The images of one server in an engine.

    They have names of their own, so that the server removes what it brought and nothing else: an image that a user
    has pulled stays when it is removed here.

    Args:
        store: where images are.
        home: the server's data directory; several servers share an engine.
        sources: where an engine that takes no archives pulls from.
    """

    def __init__(self, store: ContentStore, home: Path, sources: Sources) -> None:
        self._store = store
        self._sources = sources
        self._repository = f"localhost/mooring-{hashlib.sha256(str(home).encode()).hexdigest()[:12]}"
        self._busy = KeyedLocks()

    def name(self, manifest_digest: str) -> str:
        """An image's name in the engine."""
        return f"{self._repository}:{parse_digest(manifest_digest)[:_TAG_LENGTH]}"

    def config(self, manifest_digest: str) -> dict[str, Any]:
        """The image's configuration."""
        manifest = load_manifest(self._store, manifest_digest)
        config: dict[str, Any] = json.loads(self._store.read(manifest["config"]["digest"]))
        return config

    def ensure(self, engine: Engine, manifest_digest: str) -> str:
        """Hand the image to the engine unless it has it; its name there.

        Raises:
            PhaseFailed: ``ImageHasNoBase``, ``ArchitectureMismatch``, ``EngineDiskFull``, ``EngineUnavailable``,
                ``ContainerNotStarted``, ``ImageNotHandedOver``.
        """
        name = self.name(manifest_digest)
        with self._busy.hold(name):
            try:
                if engine.image(name) is None:
                    self._check(engine, manifest_digest)
                    self._hand_over(engine, manifest_digest, name)
            except EngineError as error:
                raise from_json({**failure_of(error, name).to_json(), "phase": "Unpack"}) from error
        return name

    def prune(self, engine: Engine, keep: Callable[[], Collection[str]]) -> int:
        """Remove the images that ``keep`` does not give (manifest digests); how many.

        Raises:
            EngineError: the engine does not do it.
        """
        here = engine.images(self._repository)
        kept = {self.name(digest) for digest in keep()}
        unused = [name for name in here if name not in kept]
        for name in unused:
            engine.remove_image(name)
        return len(unused)

    def _hand_over(self, engine: Engine, manifest_digest: str, name: str) -> None:
        try:
            engine.load(docker_archive(self._store, manifest_digest, name))
        except EngineRefused as error:
            if error.status not in _NOT_ALLOWED:
                raise
            self._pull(engine, manifest_digest, name, {"load": f"{error.status} {error.said}"})

    def _pull(self, engine: Engine, digest: str, name: str, tried: dict[str, str]) -> None:
        for reference, known in self._sources(digest):
            repository = f"{reference.host}/{reference.repository}"
            try:
                engine.pull(repository, digest, (known.username, known.password) if known else None)
            except EngineRefused as error:
                tried[repository] = error.said
                continue
            engine.tag(f"{repository}@{digest}", name)
            # Else it would stay when ours is removed.
            engine.remove_image(f"{repository}@{digest}")
            return
        raise PhaseFailed(
            "ImageNotHandedOver",
            f"The container engine at {engine.path} takes no images by load, and pulls this one from no registry.",
            hint="Allow POST /images/load at the engine's socket; or let the engine reach one of the registries in the"
            " evidence: trust its certificate, or allow plain http for it.",
            phase="Unpack",
            evidence=tried,
        )

    def _check(self, engine: Engine, manifest_digest: str) -> None:
        config = self.config(manifest_digest)
        if not has_base(config):
            raise PhaseFailed(
                "ImageHasNoBase",
                "The image was built without a base image; it runs as a process, not in a container.",
                hint="Give the server a base (`mooring base build`, or Environment.docker.base_image) and deploy"
                " again, which builds a new version upon it.",
                phase="Unpack",
            )
        theirs = str(engine.version().get("Arch") or config["architecture"])
        if theirs != config["architecture"]:
            raise PhaseFailed(
                "ArchitectureMismatch",
                f"The image was made for {config['architecture']}; the container engine runs on {theirs}.",
                hint="Choose a base for this machine's architecture and build the image again.",
                phase="Unpack",
            )
