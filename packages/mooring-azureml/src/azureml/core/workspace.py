"""``azureml.core.workspace``: see the module of `mooring.sdk` below."""

from mooring.sdk.workspace import Workspace

__all__ = [
    "Workspace",
]
