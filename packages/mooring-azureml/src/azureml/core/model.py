"""``azureml.core.model``: see the modules of `mooring.sdk` below."""

from mooring.sdk.model import InferenceConfig, Model, ModelPackage
from mooring.sdk.resource_configuration import ResourceConfiguration

__all__ = [
    "InferenceConfig",
    "Model",
    "ModelPackage",
    "ResourceConfiguration",
]
