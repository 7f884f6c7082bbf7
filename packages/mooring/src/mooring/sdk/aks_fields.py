"""AKS settings: Azure's argument names and where their values lie in the service's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mooring.sdk.errors import invalid
from mooring.sdk.names import check_limit, check_positive
from mooring.sdk.types import JSON

FIELDS: Mapping[str, tuple[str, ...]] = {
    "autoscale_enabled": ("autoScaler", "autoscaleEnabled"),
    "autoscale_min_replicas": ("autoScaler", "minReplicas"),
    "autoscale_max_replicas": ("autoScaler", "maxReplicas"),
    "autoscale_refresh_seconds": ("autoScaler", "refreshPeriodInSeconds"),
    "autoscale_target_utilization": ("autoScaler", "targetUtilization"),
    "collect_model_data": ("dataCollection", "storageEnabled"),
    "auth_enabled": ("authEnabled",),
    "cpu_cores": ("containerResourceRequirements", "cpu"),
    "memory_gb": ("containerResourceRequirements", "memoryInGB"),
    "gpu_cores": ("containerResourceRequirements", "gpu"),
    "cpu_cores_limit": ("containerResourceRequirements", "cpuLimit"),
    "memory_gb_limit": ("containerResourceRequirements", "memoryInGBLimit"),
    "enable_app_insights": ("appInsightsEnabled",),
    "scoring_timeout_ms": ("scoringTimeoutMs",),
    "replica_max_concurrent_requests": ("maxConcurrentRequestsPerContainer",),
    "max_request_wait_time": ("maxQueueWaitMs",),
    "num_replicas": ("numReplicas",),
    "period_seconds": ("livenessProbeRequirements", "periodSeconds"),
    "initial_delay_seconds": ("livenessProbeRequirements", "initialDelaySeconds"),
    "timeout_seconds": ("livenessProbeRequirements", "timeoutSeconds"),
    "success_threshold": ("livenessProbeRequirements", "successThreshold"),
    "failure_threshold": ("livenessProbeRequirements", "failureThreshold"),
    "namespace": ("namespace",),
    "token_auth_enabled": ("aadAuthEnabled",),
    "compute_target_name": ("computeName",),
}
POSITIVE = (
    "cpu_cores",
    "memory_gb",
    "scoring_timeout_ms",
    "replica_max_concurrent_requests",
    "max_request_wait_time",
    "num_replicas",
    "period_seconds",
    "initial_delay_seconds",
    "timeout_seconds",
    "success_threshold",
    "failure_threshold",
    "autoscale_min_replicas",
    "autoscale_max_replicas",
    "autoscale_refresh_seconds",
    "autoscale_target_utilization",
)
AUTOSCALE = (
    "autoscale_min_replicas",
    "autoscale_max_replicas",
    "autoscale_refresh_seconds",
    "autoscale_target_utilization",
)


def body_of(values: Mapping[str, Any]) -> JSON:
    """The JSON of what is set; what is None is left out, as are objects with nothing in them."""
    body: JSON = {}
    for name, path in FIELDS.items():
        value = values.get(name)
        if value is None:
            continue
        place = body
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = value
    if values.get("blobfuse_enabled") is not None:
        body["storageInitEnabled"] = not values["blobfuse_enabled"]
    return body


def check(values: Mapping[str, Any], *, update: bool = False) -> None:
    """Azure's rules for these settings.

    Args:
        values: by Azure's argument names.
        update: of an existing service, where what is not given stays as it is.

    Raises:
        WebserviceException: what is wrong.
    """
    get = values.get
    for name in POSITIVE:
        check_positive(name, get(name))
    check_positive("gpu_cores", get("gpu_cores"), zero=True)
    check_limit("cpu_cores_limit", get("cpu_cores_limit"), get("cpu_cores"))
    check_limit("memory_gb_limit", get("memory_gb_limit"), get("memory_gb"))
    if get("auth_enabled") and get("token_auth_enabled"):
        raise invalid("auth_enabled and token_auth_enabled exclude each other.", code="InvalidAuth")
    enabled = get("autoscale_enabled")
    if enabled:
        if get("num_replicas"):
            raise invalid("num_replicas is not allowed with autoscale_enabled.", code="InvalidScaling")
        low, high = get("autoscale_min_replicas"), get("autoscale_max_replicas")
        if low is not None and high is not None and low > high:
            raise invalid(
                f"autoscale_min_replicas ({low}) is above autoscale_max_replicas ({high}).",
                code="InvalidScaling",
            )
        return
    if enabled is False and not get("num_replicas") and not update:
        raise invalid("autoscale_enabled=False needs num_replicas.", code="InvalidScaling")
    given = [name for name in AUTOSCALE if get(name) is not None]
    if given and not update:
        raise invalid(f"{', '.join(given)}: only with autoscale_enabled=True.", code="InvalidScaling")
