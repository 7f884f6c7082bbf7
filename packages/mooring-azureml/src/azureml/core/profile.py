"""``azureml.core.profile``: see `mooring.sdk.profile`."""

from mooring.sdk.profile import ModelProfile

__all__ = ["ModelProfile"]
