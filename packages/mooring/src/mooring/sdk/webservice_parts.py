"""Parts of web services: requirements, probes, scaling, tokens; and the base of their configurations."""

from __future__ import annotations

from typing import Any

from mooring.sdk.console import out
from mooring.sdk.types import JSON, Tags


class ContainerResourceRequirements:
    """CPU cores, memory in GB and GPUs; limits for AKS."""

    def __init__(
        self,
        cpu: float | None,
        memory_in_gb: float | None,
        gpu: int | None = None,
        cpu_limit: float | None = None,
        memory_in_gb_limit: float | None = None,
    ) -> None:
        self.cpu = cpu
        self.memory_in_gb = memory_in_gb
        self.gpu = gpu
        self.cpu_limit = cpu_limit
        self.memory_in_gb_limit = memory_in_gb_limit

    def serialize(self) -> JSON:
        """``{cpu, memoryInGB, gpu, cpuLimit, memoryInGBLimit}``."""
        return {
            "cpu": self.cpu,
            "memoryInGB": self.memory_in_gb,
            "gpu": self.gpu,
            "cpuLimit": self.cpu_limit,
            "memoryInGBLimit": self.memory_in_gb_limit,
        }

    @staticmethod
    def deserialize(payload_obj: JSON | None) -> ContainerResourceRequirements | None:
        """The inverse of `serialize`; None for None."""
        if payload_obj is None:
            return None
        get = payload_obj.get
        return ContainerResourceRequirements(
            get("cpu"), get("memoryInGB"), get("gpu"), get("cpuLimit"), get("memoryInGBLimit")
        )


class LivenessProbeRequirements:
    """When a replica is taken for dead."""

    def __init__(
        self,
        period_seconds: int | None,
        initial_delay_seconds: int | None,
        timeout_seconds: int | None,
        success_threshold: int | None,
        failure_threshold: int | None,
    ) -> None:
        self.period_seconds = period_seconds
        self.initial_delay_seconds = initial_delay_seconds
        self.timeout_seconds = timeout_seconds
        self.success_threshold = success_threshold
        self.failure_threshold = failure_threshold

    def serialize(self) -> JSON:
        """``{periodSeconds, initialDelaySeconds, timeoutSeconds, successThreshold, failureThreshold}``."""
        return {
            "periodSeconds": self.period_seconds,
            "initialDelaySeconds": self.initial_delay_seconds,
            "timeoutSeconds": self.timeout_seconds,
            "successThreshold": self.success_threshold,
            "failureThreshold": self.failure_threshold,
        }

    @staticmethod
    def deserialize(payload_obj: JSON | None) -> LivenessProbeRequirements | None:
        """The inverse of `serialize`; None for None."""
        if payload_obj is None:
            return None
        get = payload_obj.get
        return LivenessProbeRequirements(
            get("periodSeconds"),
            get("initialDelaySeconds"),
            get("timeoutSeconds"),
            get("successThreshold"),
            get("failureThreshold"),
        )


class AutoScaler:
    """How replicas follow the load."""

    def __init__(
        self,
        autoscale_enabled: bool | None,
        max_replicas: int | None,
        min_replicas: int | None,
        refresh_period_seconds: int | None,
        target_utilization: int | None,
    ) -> None:
        self.autoscale_enabled = autoscale_enabled
        self.max_replicas = max_replicas
        self.min_replicas = min_replicas
        self.refresh_period_seconds = refresh_period_seconds
        self.target_utilization = target_utilization

    def serialize(self) -> JSON:
        """``{autoscaleEnabled, minReplicas, maxReplicas, refreshPeriodInSeconds, targetUtilization}``."""
        return {
            "autoscaleEnabled": self.autoscale_enabled,
            "minReplicas": self.min_replicas,
            "maxReplicas": self.max_replicas,
            "refreshPeriodInSeconds": self.refresh_period_seconds,
            "targetUtilization": self.target_utilization,
        }

    @staticmethod
    def deserialize(payload_obj: JSON | None) -> AutoScaler | None:
        """The inverse of `serialize`; None for None."""
        if payload_obj is None:
            return None
        get = payload_obj.get
        return AutoScaler(
            get("autoscaleEnabled"),
            get("maxReplicas"),
            get("minReplicas"),
            get("refreshPeriodInSeconds"),
            get("targetUtilization"),
        )


class DataCollection:
    """Whether inputs and predictions are kept."""

    def __init__(self, event_hub_enabled: bool | None, storage_enabled: bool | None) -> None:
        self.event_hub_enabled = event_hub_enabled
        self.storage_enabled = storage_enabled

    def serialize(self) -> JSON:
        """``{eventHubEnabled, storageEnabled}``."""
        return {"eventHubEnabled": self.event_hub_enabled, "storageEnabled": self.storage_enabled}

    @staticmethod
    def deserialize(payload_obj: JSON | None) -> DataCollection | None:
        """The inverse of `serialize`; None for None."""
        if payload_obj is None:
            return None
        return DataCollection(payload_obj.get("eventHubEnabled"), payload_obj.get("storageEnabled"))


class WebServiceAccessToken:
    """A token for a service with token authentication."""

    def __init__(self, access_token: str, token_type: str, refresh_after: Any, expiry_on: Any) -> None:
        self.access_token = access_token
        self.token_type = token_type
        self.refresh_after = refresh_after
        self.expiry_on = expiry_on

    def serialize(self) -> JSON:
        """``{accessToken, tokenType, refreshAfter, expiryOn}``."""
        return {
            "accessToken": self.access_token,
            "tokenType": self.token_type,
            "refreshAfter": self.refresh_after,
            "expiryOn": self.expiry_on,
        }

    @staticmethod
    def deserialize(payload_obj: JSON) -> WebServiceAccessToken:
        """The inverse of `serialize`."""
        return WebServiceAccessToken(
            payload_obj["accessToken"],
            payload_obj["tokenType"],
            payload_obj["refreshAfter"],
            payload_obj["expiryOn"],
        )


class WebserviceDeploymentConfiguration:
    """What all deployment configurations have.

    Args:
        type: the service class it is for.
        description: of the service.
        tags: of the service.
        properties: of the service.
        primary_key: instead of a generated one.
        secondary_key: instead of a generated one.
        location: accepted.
    """

    compute_type = ""

    def __init__(
        self,
        type: Any,  # noqa: A002 - Azure's name
        description: str | None = None,
        tags: Tags | None = None,
        properties: Tags | None = None,
        primary_key: str | None = None,
        secondary_key: str | None = None,
        location: str | None = None,
    ) -> None:
        self.webservice_type = type
        self.description = description
        self.tags = tags
        self.properties = properties
        self.primary_key = primary_key
        self.secondary_key = secondary_key
        self.location = location

    def validate_configuration(self) -> None:
        """Check what can be checked here.

        Raises:
            WebserviceException: what is wrong.
        """

    def print_deploy_configuration(self) -> None:
        """Print what is set."""
        out(f"{self.compute_type} deployment: {self.settings()}")

    @classmethod
    def validate_image(cls, image: Any) -> None:
        """Every image can run on every target here."""

    def settings(self) -> JSON:
        """What is set, without keys and certificates."""
        hidden = {"webservice_type", "primary_key", "secondary_key", "ssl_key_pem_file"}
        return {k: v for k, v in vars(self).items() if v is not None and k not in hidden}

    def to_request(self) -> JSON:
        """This configuration's part of the service request of docs/protocols.md."""
        request: JSON = {"computeType": self.compute_type}
        request["description"] = self.description
        request["kvTags"] = self.tags or {}
        request["properties"] = self.properties or {}
        request["location"] = self.location
        if self.primary_key or self.secondary_key:
            request["keys"] = {"primaryKey": self.primary_key, "secondaryKey": self.secondary_key}
        return request
