"""``azureml.core.webservice``: see the modules of `mooring.sdk` below."""

from mooring.sdk.aci import AciWebservice
from mooring.sdk.aks import AksEndpoint, AksWebservice
from mooring.sdk.local import LocalWebservice
from mooring.sdk.webservice import Webservice

__all__ = [
    "AciWebservice",
    "AksEndpoint",
    "AksWebservice",
    "LocalWebservice",
    "Webservice",
]
