"""Builds images: resolve, pack what is not packed yet, write the manifest."""

from __future__ import annotations

import dataclasses
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from mooring_server.domain.errors import InvalidRequest, MooringError, PhaseFailed
from mooring_server.images import functions, oci
from mooring_server.images.artifacts import SBOM_TYPE, attach
from mooring_server.images.bases.base import BaseContent
from mooring_server.images.bases.pull import named, pull, registry_of
from mooring_server.images.compression import GZIP
from mooring_server.images.conda import Requirements, read_environment
from mooring_server.images.condapythons import CondaPythons
from mooring_server.images.condawheels import CondaWheels
from mooring_server.images.dockerfiles.builder import DockerfileBases
from mooring_server.images.dockerfiles.recipe import Recipe, recipe_of
from mooring_server.images.environment import left_out, section, user_managed
from mooring_server.images.indexes import index_settings
from mooring_server.images.interpreters import Interpreters
from mooring_server.images.layers import Layer, LayerCache, join_layers, tree_layer
from mooring_server.images.locks import Lock, LockCache, key_of
from mooring_server.images.pythons import Python, Pythons
from mooring_server.images.resolve import Resolver
from mooring_server.images.runtime import RuntimeLayers
from mooring_server.images.sbom import sbom_json
from mooring_server.images.scratch import KeyedLocks, Scratch, kill_left
from mooring_server.images.trained import check_trained, with_model_date, with_trained_version
from mooring_server.images.types import BuildRequest, BuiltImage, Reporter, TreeFile
from mooring_server.images.uv import Log, Uv
from mooring_server.images.wheels import WheelLayers
from mooring_server.store.content import ContentStore, disk_full, nothing_free

MAX_LAYERS = 100
_LEAST_FOR_WHEELS = 10


class ImageBuilder:
    """Implements `mooring_server.images.types.Builder`.

    Keeps below ``cache_dir``: ``locks`` and ``layers`` (what was made from what), ``uv`` (downloads)
    and ``tmp``. All of it may be deleted between builds; the next build then takes longer and gives the
    same digest.

    A build that is killed leaves a directory in ``tmp`` (see `clean_stale`) and whole blobs that nothing
    refers to.
    """

    def __init__(self, store: ContentStore, cache_dir: Path, packing: str = GZIP) -> None:
        self._store = store
        self._cache_dir = cache_dir
        self._pythons = Pythons(cache_dir / "pythons")
        self._scratch = Scratch(cache_dir / "tmp")
        self._layers = LayerCache(store, cache_dir / "layers", packing)
        uv = Uv(cache_dir / "uv")
        self._resolver = Resolver(uv, self._pythons, LockCache(cache_dir / "locks"), self._scratch)
        self._wheels = WheelLayers(uv, self._layers, self._scratch)
        self._runtime = RuntimeLayers(self._layers, self._scratch)
        self._interpreters = Interpreters(self._layers, self._scratch)
        self._conda = CondaPythons(cache_dir / "pythons", self._pythons, self._scratch)
        self._condawheels = CondaWheels(cache_dir / "condawheels", self._scratch)
        self._dockerfiles = DockerfileBases(store, cache_dir / "dockerfiles", self._scratch)
        self._busy = KeyedLocks()

    def clean_stale(self) -> int:
        """End and remove what killed builds have left; to be called when the server starts."""
        kill_left(self._cache_dir / "tmp", self._cache_dir / "uv")
        self._dockerfiles.clean_stale()
        for cache in ("layers", "locks", "dockerfiles"):
            for path in (self._cache_dir / cache).glob(".*"):
                path.unlink()
        for path in (self._cache_dir / "uv").glob(".tmp*"):
            shutil.rmtree(path, ignore_errors=True)
        return self._scratch.clean_stale()

    def build(self, request: BuildRequest, reporter: Reporter) -> BuiltImage:
        """Build and store the image; see `Builder.build`.

        A reporter that raises stops the build; uv is killed then.
        """
        try:
            return self._build(request, reporter)
        except MooringError as error:
            if error.code == "DiskFull" and error.phase == "Upload":
                error.phase = "Build"  # the content store does not know what for it is written to
            raise
        except OSError as error:
            full = next((d for d in (self._cache_dir, self._store.root) if nothing_free(d)), self._store.root)
            raise disk_full(error, full, 1, phase="Build") or error from error

    def _build(self, request: BuildRequest, reporter: Reporter) -> BuiltImage:
        reporter.phase("Resolve")
        changes = left_out(request.environment)
        oci.image_environment(request)
        self._check_entry_script(request)
        recipe = recipe_of(request.environment, self._store)
        if recipe is None and request.base is None and (asked := named(request.environment)):
            pulled = pull(self._store, asked[0], reporter.log, asked[1])
            request = dataclasses.replace(request, base=pulled)
        requirements = with_trained_version(read_environment(request.environment), request.models)
        requirements = with_model_date(requirements, request.models)
        for change in (*changes, *requirements.changes):
            reporter.log(f"Changed: {change}")
        self._conda.provide(requirements, reporter.log)
        # Builds of one environment at a time: the second finds everything done.
        with self._busy.hold(key_of(requirements.packages, str(requirements.python))):
            requirements, lock = self._lock(requirements, reporter.log)
            check_trained(lock, request.models)
            for change in lock.changes:
                reporter.log(f"Changed: {change}")
            reporter.phase("Build", f"{len(lock.pins)} packages for Python {lock.python}")
            if recipe is not None:
                request = self._upon_dockerfile(request, recipe, reporter)
            lock = self._of_base(lock, request)
            python = self._python(lock)
            shared, wheels = self._environment_layers(requirements, lock, python, request, reporter)
        layers = [*shared, *self._own_layers(request, reporter)]
        lock_digest = self._store.put_bytes(lock.text().encode())
        sbom = sbom_json(lock, {layer.name: layer for layer in wheels})
        sbom_digest = self._store.put_bytes(sbom)
        base = BaseContent.load(self._store, request.base) if request.base else None
        config = oci.config_json(request, layers, lock.python, base)
        config_digest = self._store.put_bytes(config)
        annotations = {oci.LOCK: lock_digest, oci.SBOM: sbom_digest}
        if request.base:
            annotations |= {oci.BASE_DIGEST: request.base.digest, oci.BASE_NAME: request.base.reference}
        manifest = oci.manifest_json(config_digest, len(config), layers, annotations, base)
        digest = self._store.put_bytes(manifest)
        size = sum(layer.size for layer in layers) + (request.base.size if request.base else 0)
        reporter.log(f"Built {digest}: {len(layers)} layers, {size:,} bytes.")
        attached = attach(self._store, digest, sbom_digest, SBOM_TYPE, "sbom.cdx.json")
        all_changes = (*changes, *requirements.changes, *lock.changes)
        return BuiltImage(digest, size, lock.python, lock_digest, sbom_digest, all_changes, attached)

    def _lock(self, requirements: Requirements, log: Log) -> tuple[Requirements, Lock]:
        """The lock, with packages that only conda has from the environment's channels."""
        used, asked = self._condawheels.known(requirements), set[str]()
        while True:
            try:
                lock = self._resolver.lock(used, log)
                break
            except PhaseFailed as error:
                names = [name for name in error.evidence.get("packages", "").split() if name not in asked]
                if error.code != "CondaPackageUnknown" or not names:
                    raise
                python = self._pythons.first(requirements.python)
                found = self._condawheels.provide(used, names, python, log)
                if found is None:
                    raise
                asked.update(names)
                used = found
        if asked:
            self._condawheels.remember(requirements, used)
        for change in used.changes[len(requirements.changes) :]:
            log(f"Changed: {change}")
        return used, lock

    def _upon_dockerfile(self, request: BuildRequest, recipe: Recipe, reporter: Reporter) -> BuildRequest:
        host, given = registry_of(request.environment)
        base = self._dockerfiles.base(
            recipe, request.froms, lambda image: given if image.host == host else None, reporter.log
        )
        return dataclasses.replace(request, base=base)

    @staticmethod
    def _check_entry_script(request: BuildRequest) -> None:
        parts = (request.source_directory, request.entry_script)
        path = "/".join(part for part in parts if part)
        if path not in {file.path for file in request.files}:
            raise InvalidRequest(
                "EntryScriptNotFound",
                f"The entry script {path} is not among the {len(request.files)} files of the app.",
                hint="entry_script is relative to source_directory, if there is one.",
                phase="Resolve",
                target=path,
                evidence={"tree": "\n".join(sorted(file.path for file in request.files)[:200])},
            )

    def _python(self, lock: Lock) -> Python:
        major, minor = lock.python.split(".")
        return self._pythons.require((int(major), int(minor)))

    def _environment_layers(
        self,
        requirements: Requirements,
        lock: Lock,
        python: Python,
        request: BuildRequest,
        reporter: Reporter,
    ) -> tuple[list[Layer], list[Layer]]:
        started = time.monotonic()
        below = [*self._base_layers(request, python), self._runtime.worker(python)]
        _tell(reporter, below, started)
        started = time.monotonic()
        wheels = self._wheels.layers(lock, python, index_settings(requirements.options), reporter.log)
        _tell(reporter, wheels, started)
        base = len(BaseContent.load(self._store, request.base).layers) if request.base else 0
        limit = max(_LEAST_FOR_WHEELS, MAX_LAYERS - base - len(below) - 1 - len(request.models))
        return [*below, *join_layers(self._layers, wheels, limit)], wheels

    def _of_base(self, lock: Lock, request: BuildRequest) -> Lock:
        """With the packages of the base, the Python that has them."""
        if request.base is None or not user_managed(request.environment):
            return lock
        path = str(section(request.environment, "python").get("interpreterPath") or "")
        named = re.search(r"python(3\.\d+)$", path)
        there = request.base.facts.pythons
        for name in [named[1]] if named else [lock.python, *there]:
            major, minor = name.split(".")
            if name in there and self._pythons.find((int(major), int(minor))) is not None:
                return dataclasses.replace(lock, python=name)
        return lock

    def _base_layers(self, request: BuildRequest, python: Python) -> list[Layer]:
        """What an image needs to run in a container of its own: front, interpreters."""
        base = request.base
        if base is None:
            return []
        own = self._pythons.own()
        fronts, needed = self._interpreters.provide(base, own)
        users, more = (fronts, []) if python == own else self._interpreters.provide(base, python)
        front = self._runtime.front(own, fronts)
        packages = user_managed(request.environment)
        return [*needed, front, *more, self._interpreters.environment(python, users, packages=packages)]

    def _own_layers(self, request: BuildRequest, reporter: Reporter) -> list[Layer]:
        layers: list[Layer] = []
        root = oci.APP_ROOT.lstrip("/")
        trees: list[tuple[str, str, str, Sequence[TreeFile]]] = [("app", "app", root, request.files)]
        if request.site:
            trees.append(("functions", "functions", functions.ROOT.lstrip("/"), request.site))
        for model in request.models:
            name = f"{model.name}/{model.version}"
            trees.append(("model", name, f"{root}/{oci.MODELS}/{name}", model.files))
        for kind, name, prefix, files in trees:
            started = time.monotonic()
            _check_paths(files)
            layers.append(tree_layer(self._layers, prefix, files, kind, name))
            _tell(reporter, layers[-1:], started)
        return layers


def _check_paths(files: Sequence[TreeFile]) -> None:
    for file in files:
        parts = file.path.split("/")
        if not file.path or "\0" in file.path or any(part in {"", ".", ".."} for part in parts):
            raise InvalidRequest(
                "PathInvalid",
                f"{file.path!r} is no relative path without . and .. in it.",
                phase="Build",
                target=file.path,
            )


def _tell(reporter: Reporter, layers: Sequence[Layer], started: float) -> None:
    took = time.monotonic() - started
    for layer in layers:
        reporter.log(
            f"Layer {layer.kind} {layer.name}: {layer.size:,} bytes{', cached' if layer.cached else ''}."
        )
    made = sum(not layer.cached for layer in layers)
    if made:
        reporter.log(f"Made {made} layer{'s' if made > 1 else ''} in {took:.2f} s.")
