"""``azureml.core.webservice.aks``: see the module of `mooring.sdk` below."""

from mooring.sdk.aks import (
    AksEndpoint,
    AksEndpointDeploymentConfiguration,
    AksServiceAccessToken,
    AksServiceDeploymentConfiguration,
    AksWebservice,
    AutoScaler,
    ContainerResourceRequirements,
    DataCollection,
    LivenessProbeRequirements,
)

__all__ = [
    "AksEndpoint",
    "AksEndpointDeploymentConfiguration",
    "AksServiceAccessToken",
    "AksServiceDeploymentConfiguration",
    "AksWebservice",
    "AutoScaler",
    "ContainerResourceRequirements",
    "DataCollection",
    "LivenessProbeRequirements",
]
