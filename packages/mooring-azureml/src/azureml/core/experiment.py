"""``azureml.core.experiment``: see the module of `mooring.sdk` below."""

from mooring.sdk.experiment import Experiment

__all__ = [
    "Experiment",
]
