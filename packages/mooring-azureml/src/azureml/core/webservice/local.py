"""``azureml.core.webservice.local``: see the modules of `mooring.sdk` below."""

from mooring.sdk.local import LocalWebservice
from mooring.sdk.local_config import LocalWebserviceDeploymentConfiguration

__all__ = [
    "LocalWebservice",
    "LocalWebserviceDeploymentConfiguration",
]
