"""AksWebservice: a service with replicas on a Kubernetes cluster."""

# ruff: noqa: ARG002 - Azure's signatures have arguments that have no meaning here
from __future__ import annotations

from typing import Any

from mooring.sdk import aks_fields
from mooring.sdk.aks_config import AksEndpointDeploymentConfiguration, AksServiceDeploymentConfiguration
from mooring.sdk.errors import invalid, not_available
from mooring.sdk.names import check_namespace
from mooring.sdk.patches import changed
from mooring.sdk.tagging import TaggedWebservice
from mooring.sdk.types import JSON, Tags
from mooring.sdk.webservice_parts import (
    AutoScaler,
    ContainerResourceRequirements,
    DataCollection,
    LivenessProbeRequirements,
    WebServiceAccessToken,
)

__all__ = [
    "AksEndpoint",
    "AksEndpointDeploymentConfiguration",
    "AksServiceAccessToken",
    "AksServiceDeploymentConfiguration",
    "AksWebservice",
    "AutoScaler",
    "ContainerResourceRequirements",
    "DataCollection",
    "LivenessProbeRequirements",
]

AksServiceAccessToken = WebServiceAccessToken
_INSTEAD = "Use AksWebservice; Webservice.update replaces the running image without losing a request."


class AksWebservice(TaggedWebservice):
    """A service with replicas.

    Attributes:
        autoscaler: `AutoScaler` or None.
        compute_name: the cluster.
        container_resource_requirements: `ContainerResourceRequirements`.
        data_collection: `DataCollection` or None.
        liveness_probe_requirements: `LivenessProbeRequirements` or None.
        max_concurrent_requests_per_container: a number or None.
        max_request_wait_time: milliseconds in the queue, or None.
        num_replicas: a number or None.
        scoring_timeout_ms: milliseconds, or None.
    """

    kind = "AKS"

    @staticmethod
    def deploy_configuration(
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
    ) -> AksServiceDeploymentConfiguration:
        """How to run; what is None is the server's default (keys on, scaling from 1 to 10 replicas)."""
        return AksServiceDeploymentConfiguration(**locals())

    def update(  # Azure's base takes anything
        self,
        image: Any = None,
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
        tags: Tags | None = None,
        properties: Tags | None = None,
        description: str | None = None,
        models: Any = None,
        inference_config: Any = None,
        gpu_cores: int | None = None,
        period_seconds: int | None = None,
        initial_delay_seconds: int | None = None,
        timeout_seconds: int | None = None,
        success_threshold: int | None = None,
        failure_threshold: int | None = None,
        namespace: str | None = None,
        token_auth_enabled: bool | None = None,
        cpu_cores_limit: float | None = None,
        memory_gb_limit: float | None = None,
        **kwargs: Any,
    ) -> None:
        """Change it while it goes on answering; None leaves a thing as it is. Returns at once.

        Raises:
            WebserviceException: nothing, or something that cannot be, was given.
        """
        given = {name: value for name, value in locals().items() if name not in {"self", "__class__"}}
        from mooring.sdk.deploying import new_image

        aks_fields.check(given, update=True)
        check_namespace(namespace)
        body = aks_fields.body_of(given)
        if tags is not None:
            body["kvTags"] = tags
        if properties is not None:
            body["properties"] = changed(self.properties, properties)
        if description is not None:
            body["description"] = description
        body.update(new_image(self, image, models, inference_config))
        if not body:
            raise invalid("Nothing to update was given.", code="NothingToUpdate")
        self._patch(body)

    def get_access_token(self) -> Any:
        """Not available: keys do the job."""
        return self.get_token()

    def _fill_kind(self, data: JSON) -> None:
        super()._fill_kind(data)
        self.autoscaler = AutoScaler.deserialize(data.get("autoScaler"))
        self.compute_name = data.get("computeName")
        self.container_resource_requirements = ContainerResourceRequirements.deserialize(
            data.get("containerResourceRequirements")
        )
        self.data_collection = DataCollection.deserialize(data.get("dataCollection"))
        self.enable_app_insights = bool(data.get("appInsightsEnabled"))
        self.liveness_probe_requirements = LivenessProbeRequirements.deserialize(
            data.get("livenessProbeRequirements")
        )
        self.max_concurrent_requests_per_container = data.get("maxConcurrentRequestsPerContainer")
        self.max_request_wait_time = data.get("maxQueueWaitMs")
        self.num_replicas = data.get("numReplicas")
        self.scoring_timeout_ms = data.get("scoringTimeoutMs")
        self.namespace = data.get("namespace")
        self.token_auth_enabled = bool(data.get("aadAuthEnabled"))


class AksEndpoint(AksWebservice):
    """Several versions behind one address: not available yet; its configuration can be made."""

    kind = "AKSENDPOINT"

    @staticmethod
    def deploy_configuration(  # type: ignore[override]  # Azure's has two arguments more
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
    ) -> AksEndpointDeploymentConfiguration:
        """How to run; see `AksWebservice.deploy_configuration`."""
        return AksEndpointDeploymentConfiguration(**locals())

    def update(  # type: ignore[override]  # Azure's has fewer arguments
        self,
        auth_enabled: bool | None = None,
        token_auth_enabled: bool | None = None,
        enable_app_insights: bool | None = None,
        description: str | None = None,
        tags: Tags | None = None,
        properties: Tags | None = None,
    ) -> None:
        """Not available."""
        raise not_available("AksEndpoint", _INSTEAD)

    def create_version(
        self,
        version_name: str | None,
        autoscale_enabled: bool | None = None,
        autoscale_min_replicas: int | None = None,
        autoscale_max_replicas: int | None = None,
        autoscale_refresh_seconds: int | None = None,
        autoscale_target_utilization: int | None = None,
        collect_model_data: bool | None = None,
        cpu_cores: float | None = None,
        memory_gb: float | None = None,
        scoring_timeout_ms: int | None = None,
        replica_max_concurrent_requests: int | None = None,
        max_request_wait_time: int | None = None,
        num_replicas: int | None = None,
        tags: Tags | None = None,
        properties: Tags | None = None,
        description: str | None = None,
        models: Any = None,
        inference_config: Any = None,
        gpu_cores: int | None = None,
        period_seconds: int | None = None,
        initial_delay_seconds: int | None = None,
        timeout_seconds: int | None = None,
        success_threshold: int | None = None,
        failure_threshold: int | None = None,
        traffic_percentile: float | None = None,
        is_default: bool | None = None,
        is_control_version_type: bool | None = None,
        cpu_cores_limit: float | None = None,
        memory_gb_limit: float | None = None,
    ) -> None:
        """Not available."""
        raise not_available("AksEndpoint.create_version", _INSTEAD)

    def update_version(
        self,
        version_name: str | None,
        autoscale_enabled: bool | None = None,
        autoscale_min_replicas: int | None = None,
        autoscale_max_replicas: int | None = None,
        autoscale_refresh_seconds: int | None = None,
        autoscale_target_utilization: int | None = None,
        collect_model_data: bool | None = None,
        cpu_cores: float | None = None,
        memory_gb: float | None = None,
        scoring_timeout_ms: int | None = None,
        replica_max_concurrent_requests: int | None = None,
        max_request_wait_time: int | None = None,
        num_replicas: int | None = None,
        tags: Tags | None = None,
        properties: Tags | None = None,
        description: str | None = None,
        models: Any = None,
        inference_config: Any = None,
        gpu_cores: int | None = None,
        period_seconds: int | None = None,
        initial_delay_seconds: int | None = None,
        timeout_seconds: int | None = None,
        success_threshold: int | None = None,
        failure_threshold: int | None = None,
        traffic_percentile: float | None = None,
        is_default: bool | None = None,
        is_control_version_type: bool | None = None,
        cpu_cores_limit: float | None = None,
        memory_gb_limit: float | None = None,
    ) -> None:
        """Not available."""
        raise not_available("AksEndpoint.update_version", _INSTEAD)

    def delete_version(self, version_name: str) -> None:
        """Not available."""
        raise not_available("AksEndpoint.delete_version", _INSTEAD)
