"""``azureml.core.webservice.aci``: see the module of `mooring.sdk` below."""

from mooring.sdk.aci import (
    AciServiceDeploymentConfiguration,
    AciWebservice,
    ContainerResourceRequirements,
    EncryptionProperties,
    VnetConfiguration,
)

__all__ = [
    "AciServiceDeploymentConfiguration",
    "AciWebservice",
    "ContainerResourceRequirements",
    "EncryptionProperties",
    "VnetConfiguration",
]
