"""``azureml.core.webservice.container_resource_requirements``: see the module of `mooring.sdk` below."""

from mooring.sdk.webservice_parts import ContainerResourceRequirements

__all__ = [
    "ContainerResourceRequirements",
]
