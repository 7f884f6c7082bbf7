"""How a local web service runs."""

from __future__ import annotations

from mooring.sdk.names import check_port
from mooring.sdk.types import JSON
from mooring.sdk.webservice_parts import WebserviceDeploymentConfiguration


class LocalWebserviceDeploymentConfiguration(WebserviceDeploymentConfiguration):
    """On this machine, on a port of its own.

    Args:
        port: 1 to 65535; None takes a free one and keeps it.

    Raises:
        WebserviceException: InvalidPort.
    """

    compute_type = "LOCAL"

    def __init__(self, port: int | None = None) -> None:
        super().__init__("Local")
        self.port = port
        self.validate_configuration()

    def validate_configuration(self) -> None:
        """The port is one."""
        check_port(self.port)

    def to_request(self) -> JSON:
        """This configuration's part of the service request."""
        return {**super().to_request(), "port": self.port}
