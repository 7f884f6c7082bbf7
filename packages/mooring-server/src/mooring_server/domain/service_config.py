"""Deployment configurations: defaults and rules of Azure's ACI and local web services."""

from __future__ import annotations

from typing import Any

from mooring_server.domain.errors import InvalidRequest

CONFIG_FIELDS = (
    "location",
    "authEnabled",
    "sslEnabled",
    "sslCertificate",
    "sslKey",
    "cname",
    "dnsNameLabel",
    "appInsightsEnabled",
    "containerResourceRequirements",
    "port",
    "localSource",
)
# What Azure Container Instances gives when nothing is asked for.
DEFAULT_CPU = 0.1
DEFAULT_MEMORY_GB = 0.5
_SCOPES = {"ACI": "cloud", "LOCAL": "local"}


def check_config(scope: str, compute_type: str, request: dict[str, Any]) -> dict[str, Any]:
    """The configuration with its defaults.

    Args:
        scope: ``cloud`` or ``local``.
        compute_type: Azure's, in capitals.
        request: fields of the service request; only those in `CONFIG_FIELDS` are looked at.

    Raises:
        InvalidRequest: ``ComputeTypeNotSupported``, ``InvalidConfiguration``, ``InvalidSsl``.
    """
    if _SCOPES.get(compute_type) != scope:
        raise InvalidRequest(
            "ComputeTypeNotSupported",
            f"Compute type {compute_type!r} is not available on this server.",
            hint="Deploy with AciWebservice.deploy_configuration(...) or LocalWebservice.deploy_configuration(...).",
            target=compute_type,
        )
    config = {k: request[k] for k in CONFIG_FIELDS if request.get(k) is not None}
    if config.get("sslEnabled") and not (config.get("sslCertificate") and config.get("sslKey")):
        raise InvalidRequest(
            "InvalidSsl",
            "sslEnabled needs a certificate and its key.",
            hint="Give ssl_cert_pem_file, ssl_key_pem_file and ssl_cname.",
            target="sslCertificate",
        )
    resources = config.get("containerResourceRequirements") or {}
    cpu = resources.get("cpu")
    memory = resources.get("memoryInGB")
    config["containerResourceRequirements"] = {
        "cpu": _positive("cpu_cores", DEFAULT_CPU if cpu is None else cpu),
        "memoryInGB": _positive("memory_gb", DEFAULT_MEMORY_GB if memory is None else memory),
    }
    config["authEnabled"] = bool(config.get("authEnabled", False))
    config["location"] = config.get("location") or "local"
    port = config.get("port")
    if port is not None and not 1 <= port <= 65535:
        raise InvalidRequest("InvalidConfiguration", f"port is {port}; it must be between 1 and 65535.")
    return config


def _positive(name: str, value: float) -> float:
    if not 0 < value < float("inf"):
        raise InvalidRequest(
            "InvalidConfiguration", f"{name} is {value}; it must be greater than 0.", target=name
        )
    return value
