"""`deploymentconfig.json`: where a service runs and with how much (`az ml model deploy --dc`).

Pure: returns the name of a `Webservice` class and the arguments of its `deploy_configuration`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mooring.cli.failures import CliError
from mooring.cli.fields import BOOLEAN, INTEGER, NUMBER, STRINGS, TEXT, Shape, load, read, unknown_key

_COMMON: Shape = {
    "computeType": ("compute_type", TEXT),
    "tags": ("tags", STRINGS),
    "properties": ("properties", STRINGS),
    "description": ("description", TEXT),
    "authEnabled": ("auth_enabled", BOOLEAN),
    "appInsightsEnabled": ("enable_app_insights", BOOLEAN),
    "containerResourceRequirements.cpu": ("cpu_cores", NUMBER),
    "containerResourceRequirements.memoryInGB": ("memory_gb", NUMBER),
    "keys.primaryKey": ("primary_key", TEXT),
    "keys.secondaryKey": ("secondary_key", TEXT),
}
ACI: Shape = {
    **_COMMON,
    "location": ("location", TEXT),
    "sslEnabled": ("ssl_enabled", BOOLEAN),
    "sslCertificate": ("ssl_cert_pem_file", TEXT),
    "sslKey": ("ssl_key_pem_file", TEXT),
    "cname": ("ssl_cname", TEXT),
    "dnsNameLabel": ("dns_name_label", TEXT),
    "vaultBaseUrl": ("cmk_vault_base_url", TEXT),
    "keyName": ("cmk_key_name", TEXT),
    "keyVersion": ("cmk_key_version", TEXT),
    "vnetName": ("vnet_name", TEXT),
    "subnetName": ("subnet_name", TEXT),
}
AKS: Shape = {
    **_COMMON,
    "computeTargetName": ("compute_target_name", TEXT),
    "namespace": ("namespace", TEXT),
    "numReplicas": ("num_replicas", INTEGER),
    "gpuCores": ("gpu_cores", INTEGER),
    "containerResourceRequirements.cpuLimit": ("cpu_cores_limit", NUMBER),
    "containerResourceRequirements.memoryInGBLimit": ("memory_gb_limit", NUMBER),
    "scoringTimeoutMs": ("scoring_timeout_ms", INTEGER),
    "maxConcurrentRequestsPerContainer": ("replica_max_concurrent_requests", INTEGER),
    "maxQueueWaitMs": ("max_request_wait_time", INTEGER),
    "tokenAuthEnabled": ("token_auth_enabled", BOOLEAN),
    "dataCollection.storageEnabled": ("collect_model_data", BOOLEAN),
    "autoScaler.autoscaleEnabled": ("autoscale_enabled", BOOLEAN),
    "autoScaler.minReplicas": ("autoscale_min_replicas", INTEGER),
    "autoScaler.maxReplicas": ("autoscale_max_replicas", INTEGER),
    "autoScaler.refreshPeriodInSeconds": ("autoscale_refresh_seconds", INTEGER),
    "autoScaler.targetUtilization": ("autoscale_target_utilization", INTEGER),
    "livenessProbeRequirements.periodSeconds": ("period_seconds", INTEGER),
    "livenessProbeRequirements.initialDelaySeconds": ("initial_delay_seconds", INTEGER),
    "livenessProbeRequirements.timeoutSeconds": ("timeout_seconds", INTEGER),
    "livenessProbeRequirements.successThreshold": ("success_threshold", INTEGER),
    "livenessProbeRequirements.failureThreshold": ("failure_threshold", INTEGER),
}
LOCAL: Shape = {"computeType": ("compute_type", TEXT), "port": ("port", INTEGER)}

CLASSES = {
    "aci": ("AciWebservice", ACI),
    "aks": ("AksWebservice", AKS),
    "local": ("LocalWebservice", LOCAL),
}


def parse(data: Mapping[str, Any], where: str) -> tuple[str, dict[str, Any]]:
    """The class's name and the arguments.

    Raises:
        CliError: `ConfigUnknownKey`, `ConfigWrongType`, `ComputeTypeUnknown`.
    """
    compute_type = data.get("computeType", data.get("compute_type"))
    if compute_type is None:
        near = unknown_key(str(next(iter(data), "")), {"computeType"}, where, "")
        misspelt = [key for key in data if str(key).lower() == "computetype"]
        raise near if misspelt else _unknown_compute(None, where)
    name, shape = CLASSES.get(str(compute_type).lower(), (None, LOCAL))
    if name is None:
        raise _unknown_compute(str(compute_type), where)
    arguments = read(data, shape, where)
    arguments.pop("compute_type", None)
    return name, arguments


def parse_file(path: Path) -> tuple[str, dict[str, Any]]:
    """`parse` the file at `path`; the certificate's and the key's paths are relative to it as well."""
    name, arguments = parse(load(path, "deployment configuration"), path.name)
    for argument in ("ssl_cert_pem_file", "ssl_key_pem_file"):
        if argument in arguments:
            arguments[argument] = str(find(arguments[argument], path.parent))
    return name, arguments


def find(name: str, folder: Path) -> Path:
    """`name` in the current directory, as in Azure's command line; else beside the file that names it."""
    beside = folder / name
    return beside if not Path(name).exists() and beside.exists() else Path(name)


def _unknown_compute(value: str | None, where: str) -> CliError:
    got = f"computeType {value!r} is not known" if value else "computeType is missing"
    return CliError(
        "ComputeTypeUnknown",
        f"{where}: {got}",
        hint='Use "aci" (a service on this machine), "aks" (with replicas) or "local" (a local web service).',
        target="computeType",
    )
