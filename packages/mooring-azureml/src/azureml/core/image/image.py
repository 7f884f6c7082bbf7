"""``azureml.core.image.image``: see the module of `mooring.sdk` below."""

from mooring.sdk.image import Asset, Image, ImageConfig, TargetRuntime

__all__ = [
    "Asset",
    "Image",
    "ImageConfig",
    "TargetRuntime",
]
