"""``azureml.core.webservice.unknown_webservice``: see the module of `mooring.sdk` below."""

from mooring.sdk.service_kinds import UnknownWebservice

__all__ = [
    "UnknownWebservice",
]
