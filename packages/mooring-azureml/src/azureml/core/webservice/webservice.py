"""``azureml.core.webservice.webservice``: see the module of `mooring.sdk` below."""

from mooring.sdk.webservice import (
    AutoScaler,
    ContainerResourceRequirements,
    DataCollection,
    LivenessProbeRequirements,
    Webservice,
    WebServiceAccessToken,
    WebserviceDeploymentConfiguration,
)

__all__ = [
    "AutoScaler",
    "ContainerResourceRequirements",
    "DataCollection",
    "LivenessProbeRequirements",
    "WebServiceAccessToken",
    "Webservice",
    "WebserviceDeploymentConfiguration",
]
