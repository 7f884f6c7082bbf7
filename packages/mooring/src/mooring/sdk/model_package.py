"""ModelPackage: the name exists so that imports work; `Model.package` comes later."""

from __future__ import annotations

from typing import Any

from mooring.sdk.errors import not_available


class ModelPackage:
    """What `Model.package` gives in Azure.

    Raises:
        UserErrorException: NotAvailable, on construction.
    """

    def __init__(self, workspace: Any, operation_id: str, environment: Any) -> None:
        self.workspace, self.operation_id, self.environment = workspace, operation_id, environment
        raise not_available(
            "ModelPackage", "Build the image with ContainerImage.create (azureml.core.image)."
        )
