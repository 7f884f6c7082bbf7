"""``azureml.core.runconfig``: see the module of `mooring.sdk` below."""

from mooring.sdk.runconfig import (
    DEFAULT_CPU_IMAGE,
    DEFAULT_GPU_IMAGE,
    ContainerRegistry,
    DockerConfiguration,
    DockerSection,
    PythonSection,
    SparkSection,
)

__all__ = [
    "DEFAULT_CPU_IMAGE",
    "DEFAULT_GPU_IMAGE",
    "ContainerRegistry",
    "DockerConfiguration",
    "DockerSection",
    "PythonSection",
    "SparkSection",
]
