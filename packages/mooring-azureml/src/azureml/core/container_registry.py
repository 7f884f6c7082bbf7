"""``azureml.core.container_registry``: see the module of `mooring.sdk` below."""

from mooring.sdk.container_registry import ContainerRegistry, RegistryIdentity

__all__ = [
    "ContainerRegistry",
    "RegistryIdentity",
]
