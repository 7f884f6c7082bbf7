"""``azureml.core.compute_target``: see the modules of `mooring.sdk` below."""

from mooring.sdk.compute import ComputeTarget
from mooring.sdk.exceptions import ComputeTargetException

__all__ = [
    "ComputeTarget",
    "ComputeTargetException",
]
