"""The process target: workers are processes of this machine, from the image's own unpacked environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mooring_server.images.unpack import Unpacker
from mooring_server.targets.base import ServiceSpec
from mooring_server.targets.sandbox import SandboxSettings
from mooring_server.targets.supervised import SupervisedTarget


class ProcessTarget(SupervisedTarget):
    """Services whose workers are processes, confined as this machine can (docs/guide/isolation.md)."""

    def __init__(
        self,
        root: Path,
        unpacker: Unpacker,
        host: str = "127.0.0.1",
        sandbox: SandboxSettings | None = None,
    ) -> None:
        super().__init__(root, host)
        self._unpacker = unpacker
        self._sandbox = sandbox or SandboxSettings(protected=(str(root),))

    def prepare(self, image_digest: str) -> None:
        """Unpack the image."""
        self._unpacker.materialise(image_digest)

    def prune(self, keep: Callable[[], set[str]]) -> None:
        """Remove what was unpacked for other images."""
        self._unpacker.prune(keep)

    def _workplace(self, spec: ServiceSpec) -> dict[str, Any]:
        image = self._unpacker.materialise(spec.image_digest)
        return {
            "python": str(image.python),
            "worker_dir": str(image.worker_dir),
            "app_root": str(image.app_root),
            "entry_script": image.entry_script,
            "source_directory": image.source_directory,
            "env": {**image.env, **spec.env},
            "sandbox": self._sandbox.document(image.folders),
        }
