"""``azureml.core.image.container``: see the module of `mooring.sdk` below."""

from mooring.sdk.image import ContainerImage, ContainerImageConfig

__all__ = [
    "ContainerImage",
    "ContainerImageConfig",
]
