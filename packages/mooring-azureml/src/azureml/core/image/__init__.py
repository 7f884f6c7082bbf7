"""``azureml.core.image``: see the modules of `mooring.sdk` below."""

from mooring.sdk.container_registry import ContainerRegistry
from mooring.sdk.image import ContainerImage, Image

__all__ = [
    "ContainerImage",
    "ContainerRegistry",
    "Image",
]
