"""How a service runs on a Kubernetes cluster."""

# Azure's argument lists are long and read as a whole, through locals().
from __future__ import annotations

from mooring.sdk import aks_fields
from mooring.sdk.errors import invalid
from mooring.sdk.names import check_namespace, check_service_name
from mooring.sdk.types import JSON, Tags
from mooring.sdk.webservice_parts import WebserviceDeploymentConfiguration


class AksServiceDeploymentConfiguration(WebserviceDeploymentConfiguration):
    """Replicas, limits, timeouts and probes; what is None is the server's default.

    Raises:
        WebserviceException: what is wrong.
    """

    compute_type = "AKS"

    def __init__(
        self,
        autoscale_enabled: bool | None = None,
        autoscale_min_replicas: int | None = None,
        autoscale_max_replicas: int | None = None,
        autoscale_refresh_seconds: int | None = None,
        autoscale_target_utilization: int | None = None,
        collect_model_data: bool | None = None,
        auth_enabled: bool | None = None,
        cpu_cores: float | None = None,
        memory_gb: float | None = None,
        enable_app_insights: bool | None = None,
        scoring_timeout_ms: int | None = None,
        replica_max_concurrent_requests: int | None = None,
        max_request_wait_time: int | None = None,
        num_replicas: int | None = None,
        primary_key: str | None = None,
        secondary_key: str | None = None,
        tags: Tags | None = None,
        properties: Tags | None = None,
        description: str | None = None,
        gpu_cores: int | None = None,
        period_seconds: int | None = None,
        initial_delay_seconds: int | None = None,
        timeout_seconds: int | None = None,
        success_threshold: int | None = None,
        failure_threshold: int | None = None,
        namespace: str | None = None,
        token_auth_enabled: bool | None = None,
        compute_target_name: str | None = None,
        cpu_cores_limit: float | None = None,
        memory_gb_limit: float | None = None,
        blobfuse_enabled: bool | None = None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in {"self", "__class__"}}
        super().__init__("AKS", description, tags, properties, primary_key, secondary_key)
        for name, value in given.items():
            setattr(self, name, value)
        self.validate_configuration()

    def validate_configuration(self) -> None:
        """Azure's rules.

        Raises:
            WebserviceException: what is wrong.
        """
        aks_fields.check(vars(self))
        check_namespace(vars(self).get("namespace"))

    def to_request(self) -> JSON:
        """This configuration's part of the service request."""
        return {**super().to_request(), **aks_fields.body_of(vars(self))}


class AksEndpointDeploymentConfiguration(AksServiceDeploymentConfiguration):
    """The same for an endpoint with several versions.

    Raises:
        WebserviceException: what is wrong.
    """

    compute_type = "AKSENDPOINT"

    def __init__(
        self,
        autoscale_enabled: bool | None = None,
        autoscale_min_replicas: int | None = None,
        autoscale_max_replicas: int | None = None,
        autoscale_refresh_seconds: int | None = None,
        autoscale_target_utilization: int | None = None,
        collect_model_data: bool | None = None,
        auth_enabled: bool | None = None,
        cpu_cores: float | None = None,
        memory_gb: float | None = None,
        enable_app_insights: bool | None = None,
        scoring_timeout_ms: int | None = None,
        replica_max_concurrent_requests: int | None = None,
        max_request_wait_time: int | None = None,
        num_replicas: int | None = None,
        primary_key: str | None = None,
        secondary_key: str | None = None,
        tags: Tags | None = None,
        properties: Tags | None = None,
        description: str | None = None,
        gpu_cores: int | None = None,
        period_seconds: int | None = None,
        initial_delay_seconds: int | None = None,
        timeout_seconds: int | None = None,
        success_threshold: int | None = None,
        failure_threshold: int | None = None,
        namespace: str | None = None,
        token_auth_enabled: bool | None = None,
        version_name: str | None = None,
        traffic_percentile: float | None = None,
        compute_target_name: str | None = None,
        cpu_cores_limit: float | None = None,
        memory_gb_limit: float | None = None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in {"self", "__class__"}}
        self.version_name = given.pop("version_name")
        self.traffic_percentile = given.pop("traffic_percentile")
        super().__init__(**given)
        self.validate_endpoint_configuration()

    def validate_endpoint_configuration(self) -> None:
        """Version name and share of the traffic.

        Raises:
            WebserviceException: what is wrong.
        """
        if self.version_name is not None:
            check_service_name(self.version_name)
        share = self.traffic_percentile
        if share is not None and not 0 <= share <= 100:
            raise invalid(f"traffic_percentile is {share}; 0 to 100 were expected.", code="InvalidTraffic")
