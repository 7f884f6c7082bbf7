"""``azureml.contrib.functions``: packages for function apps; see `mooring.sdk.functions`."""

from azureml.core import _guard

_guard.check()

from mooring.sdk.functions import (  # noqa: E402 - nothing may be imported before the check
    BLOB_TRIGGER,
    HTTP_TRIGGER,
    SERVICE_BUS_QUEUE_TRIGGER,
    package,
    package_blob,
    package_http,
    package_service_bus_queue,
)

__all__ = [
    "BLOB_TRIGGER",
    "HTTP_TRIGGER",
    "SERVICE_BUS_QUEUE_TRIGGER",
    "package",
    "package_blob",
    "package_http",
    "package_service_bus_queue",
]
