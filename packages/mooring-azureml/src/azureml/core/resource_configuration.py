"""``azureml.core.resource_configuration``: see the module of `mooring.sdk` below."""

from mooring.sdk.resource_configuration import ResourceConfiguration

__all__ = [
    "ResourceConfiguration",
]
