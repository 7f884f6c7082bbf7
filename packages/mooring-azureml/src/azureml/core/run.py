"""``azureml.core.run``: see the module of `mooring.sdk` below."""

from mooring.sdk.run import Run

__all__ = [
    "Run",
]
