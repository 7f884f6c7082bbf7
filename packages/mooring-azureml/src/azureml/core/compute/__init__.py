"""``azureml.core.compute``: see the module of `mooring.sdk` below."""

from mooring.sdk.compute import AksCompute, ComputeTarget

__all__ = [
    "AksCompute",
    "ComputeTarget",
]
