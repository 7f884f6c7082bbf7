"""Turns the Dockerfile of an environment into a base, once for equal text, files and images below."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mooring_runtime.engine.find import EngineNotFound, find
from mooring_server.domain.errors import PhaseFailed
from mooring_server.images.bases.archive import import_archive
from mooring_server.images.bases.base import Base, BaseContent, own_architecture
from mooring_server.images.bases.pull import pull
from mooring_server.images.dockerfiles.command import CommandTool
from mooring_server.images.dockerfiles.engine import EngineTool
from mooring_server.images.dockerfiles.recipe import Recipe
from mooring_server.images.dockerfiles.tool import Job, Log, Tool
from mooring_server.images.documents import load_manifest
from mooring_server.images.locks import key_of, read_json
from mooring_server.images.oci import referenced_blobs
from mooring_server.images.references import ImageReference
from mooring_server.images.registry_settings import Credentials
from mooring_server.images.scratch import KeyedLocks, Scratch
from mooring_server.store.content import ContentStore

_FORMAT = "dockerfile-1"
PROGRAMS = ("buildah", "podman")


class DockerfileBases:
    """Builds bases from Dockerfiles.

    Args:
        store: takes them.
        cache: remembers what was built from what; may be deleted.
        scratch: where builds have their folders.
        tools: gives the builders of this machine, best first; asked each time, as tools come and go.
    """

    def __init__(
        self,
        store: ContentStore,
        cache: Path,
        scratch: Scratch,
        tools: Callable[[], list[Tool]] | None = None,
    ) -> None:
        self._store = store
        self._cache = cache
        self._scratch = scratch
        self._tools = tools or self._found
        self._busy = KeyedLocks()

    def clean_stale(self) -> None:
        """Remove what builds of killed servers have left; before their folders are removed."""
        for tool in self._tools():
            tool.clean_stale(self._scratch.root)

    def base(
        self,
        recipe: Recipe,
        given: Mapping[str, Base],
        credentials: Callable[[ImageReference], Credentials | None],
        log: Log,
    ) -> Base:
        """The base that a Dockerfile makes.

        Args:
            recipe: what to build.
            given: bases that the server has, by the names of the Dockerfile; others are pulled.
            credentials: those to pull with, if they are not the ones that Docker or Podman keep.
            log: takes lines that tell how it goes.

        Raises:
            PhaseFailed: codes ``BuilderMissing``, and those of `Tool.build`, `pull` and `import_archive`.
        """
        bases = {
            image: given[image] if image in given else self._pulled(image, credentials, log)
            for image in recipe.dockerfile.images
        }
        key = key_of(
            _FORMAT,
            recipe.dockerfile.renamed({image: base.digest for image, base in bases.items()}),
            [[file.path, file.digest, file.executable] for file in recipe.files],
            own_architecture(),
        )
        with self._busy.hold(key):
            base = self._known(key)
            if base is not None:
                log(f"The Dockerfile's image is known from an earlier build: {base.digest}.")
                return base
            base = self._built(recipe, bases, key, log)
            self._cache.mkdir(parents=True, exist_ok=True)
            part = self._cache / f".{key}"
            part.write_text(json.dumps(asdict(base)), encoding="utf-8")
            part.replace(self._cache / f"{key}.json")
            return base

    def _pulled(
        self, image: str, credentials: Callable[[ImageReference], Credentials | None], log: Log
    ) -> Base:
        reference = ImageReference.parse(image)
        # Stages that only make files may lie upon any C library; the result is looked at.
        return pull(self._store, reference, log, credentials(reference), usable=False)

    def _known(self, key: str) -> Base | None:
        """What was built before, if all of it is still there."""
        data = read_json(self._cache / f"{key}.json")
        if data is None:
            return None
        base = Base.from_json(data)
        if not self._store.touch(base.digest):
            return None
        blobs = referenced_blobs(load_manifest(self._store, base.digest))
        return base if all(self._store.touch(blob) for blob in blobs) else None

    def _built(self, recipe: Recipe, bases: Mapping[str, Base], key: str, log: Log) -> Base:
        tool = self._tool()
        log(f"Building the Dockerfile with {tool.name}.")
        with self._scratch.directory() as folder:
            context = folder / "context"
            context.mkdir()
            for file in recipe.files:
                path = context / file.path
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self._store.path(file.digest), path)
                path.chmod(0o755 if file.executable else 0o644)
            digests = {image: base.digest for image, base in bases.items()}
            archive = tool.build(Job(recipe.dockerfile, digests, context, folder, f"b{key[:12]}"), log)
            known: dict[str, Mapping[str, Any]] = {}
            for base in bases.values():
                content = BaseContent.load(self._store, base)
                known.update(zip(content.diff_ids, content.layers, strict=True))
            return import_archive(self._store, archive, f"dockerfile-{key[:12]}", log, known)

    def _tool(self) -> Tool:
        tools = self._tools()
        if tools:
            return tools[0]
        raise PhaseFailed(
            "BuilderMissing",
            "The environment has a Dockerfile, and this server has nothing to build it with: neither buildah nor "
            "Podman is installed, and no Docker Engine answers.",
            hint="On the server's machine: apt-get install buildah (or podman), or start Docker. Python packages "
            "alone need none of them: move them into the environment's conda dependencies.",
            phase="Build",
            target="docker.baseDockerfile",
        )

    def _found(self) -> list[Tool]:
        if shutil.which("unshare"):
            for program in filter(None, map(shutil.which, PROGRAMS)):
                return [CommandTool(self._store, program)]
        try:
            find()
        except EngineNotFound:
            return []
        return [EngineTool(self._store, self._cache, find)]
