"""``azureml.core.conda_dependencies``: see the module of `mooring.sdk` below."""

from mooring.sdk.conda_dependencies import (
    CPU,
    DEFAULT_SDK_ORIGIN,
    GPU,
    PYTHON_DEFAULT_VERSION,
    CondaDependencies,
)

__all__ = [
    "CPU",
    "DEFAULT_SDK_ORIGIN",
    "GPU",
    "PYTHON_DEFAULT_VERSION",
    "CondaDependencies",
]
