"""The container target: workers run in containers of an engine on this machine, the front beside the server."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mooring_runtime.engine.client import Engine, EngineError
from mooring_runtime.engine.find import find
from mooring_runtime.supervisor.container_plan import LABEL_SERVICE, service_label
from mooring_runtime.supervisor.engine_failure import failure_of
from mooring_runtime.supervisor.keeper import remove_left
from mooring_server.domain.errors import from_json
from mooring_server.images import oci
from mooring_server.images.interpreters import ENV
from mooring_server.images.runtime import WORKER
from mooring_server.images.unpack import Unpacker
from mooring_server.store.content import ContentStore
from mooring_server.targets.base import ServiceSpec, Usage
from mooring_server.targets.engine_images import EngineImages, Sources
from mooring_server.targets.supervised import SupervisedTarget

log = logging.getLogger(__name__)

LABEL_HOME = "dev.mooring.home"


class ContainerTarget(SupervisedTarget):
    """Services whose workers run in a container of their revision (docs/guide/containers.md).

    Args:
        root: the services' directories.
        store: where images are.
        unpacker: for the function host's part of function apps, and what services that ran as processes have left.
        sources: the registries that have an image; for engines that take none by load.
        find_engine: where containers run; asked each time, since engines are started, stopped and replaced.
        host: the address that fronts listen on.
        network: ``none`` for containers without, else the engine's default.
    """

    def __init__(
        self,
        root: Path,
        store: ContentStore,
        unpacker: Unpacker,
        sources: Sources,
        *,
        find_engine: Callable[[], Engine] = find,
        host: str = "127.0.0.1",
        network: str = "default",
    ) -> None:
        super().__init__(root, host)
        self._unpacker = unpacker
        self._images = EngineImages(store, root, sources)
        self._find_engine = find_engine
        self._network = network
        self._home = hashlib.sha256(str(root).encode()).hexdigest()[:24]

    def clean_stale(self) -> int:
        """Remove what deletions and supervisors that were killed have left."""
        return super().clean_stale() + self._remove_left()

    def usage(self, uid: str) -> Usage | None:
        """What the engine says of the service's containers."""
        engine = self._engine()
        label = f"{LABEL_SERVICE}={service_label(self._root / uid)}"
        try:
            found = [
                engine.stats(each["Id"]) for each in engine.containers(label) if each["State"] == "running"
            ]
        except EngineError as error:
            raise from_json(failure_of(error, "").to_json()) from error
        return _usage(found) if found else None

    def prepare(self, image_digest: str) -> None:
        """Hand the image to the engine.

        Raises:
            PhaseFailed: see `EngineImages.ensure`; ``EngineNotFound``.
        """
        self._images.ensure(self._engine(), image_digest)

    def delete(self, uid: str) -> None:
        """See `SupervisedTarget.delete`; also what a supervisor that was killed has left in the engine."""
        super().delete(uid)
        self._remove_left()

    def prune(self, keep: Callable[[], set[str]]) -> None:
        """Remove what was handed over and unpacked for other images; an engine that is stopped keeps its part."""
        self._unpacker.prune(keep)
        self._remove_left()
        try:
            removed = self._images.prune(self._find_engine(), keep)
        except EngineError as error:
            log.warning("unused images stay in the container engine: %s", error)
        else:
            if removed:
                log.info("removed %d unused images from the container engine", removed)

    def _workplace(self, spec: ServiceSpec) -> dict[str, Any]:
        engine = self._engine()
        image = self._images.ensure(engine, spec.image_digest)
        listed = self._images.config(spec.image_digest)["config"].get("Env") or ()
        variables = dict(item.split("=", 1) for item in listed)
        return {
            "python": f"/{ENV}/bin/python",
            "worker_dir": f"/{WORKER}",
            "app_root": oci.APP_ROOT,
            "entry_script": variables["AZUREML_ENTRY_SCRIPT"],
            "source_directory": variables.get("AZUREML_SOURCE_DIRECTORY"),
            "env": {**variables, **spec.env},
            "container": {
                "engine": str(engine.path),
                "image": image,
                "user": f"{oci.USER}:{oci.USER}",
                "network": self._network,
                "labels": {LABEL_HOME: self._home},
                "script_root": str(self._unpacker.site(spec.image_digest)) if spec.functions else None,
            },
        }

    def _engine(self) -> Engine:
        try:
            return self._find_engine()
        except EngineError as error:
            raise from_json(failure_of(error, "").to_json()) from error

    def _remove_left(self) -> int:
        """Remove containers whose keepers were killed, of services that are gone among them."""
        try:
            return remove_left(self._find_engine(), f"{LABEL_HOME}={self._home}")
        except EngineError as error:
            log.warning("containers without an owner may be left: %s", error)
            return 0


def _usage(found: list[dict[str, Any]]) -> Usage:
    """From the engine's figures; the page cache, which the kernel takes back when it must, is not counted."""
    cpu, memory = 0.0, 0
    for stats in found:
        cpu += stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9
        details = stats["memory_stats"].get("stats") or {}
        cache = details.get("total_inactive_file", details.get("inactive_file", 0))
        memory += max(0, int(stats["memory_stats"].get("usage") or 0) - int(cache or 0))
    return Usage(cpu, memory)
