"""Names of ``azureml.core.runconfig`` that deployment scripts import."""

from __future__ import annotations

from mooring.sdk.container_registry import ContainerRegistry
from mooring.sdk.environment_sections import (
    DEFAULT_CPU_IMAGE,
    DEFAULT_GPU_IMAGE,
    DockerSection,
    PythonSection,
    SparkSection,
)
from mooring.sdk.types import Strings

__all__ = [
    "DEFAULT_CPU_IMAGE",
    "DEFAULT_GPU_IMAGE",
    "ContainerRegistry",
    "DockerConfiguration",
    "DockerSection",
    "PythonSection",
    "SparkSection",
]


class DockerConfiguration:
    """Settings of Docker in training runs; accepted."""

    def __init__(
        self,
        use_docker: bool = False,
        shared_volumes: bool = True,
        arguments: Strings | None = None,
        shm_size: str | None = None,
    ) -> None:
        self.use_docker = use_docker
        self.shared_volumes = shared_volumes
        self.arguments = arguments or []
        self.shm_size = shm_size
