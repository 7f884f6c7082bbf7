"""What to make or attach as a Kubernetes cluster."""

from __future__ import annotations

from typing import Any

from mooring.sdk.compute import (
    AksCompute,
    ComputeTargetAttachConfiguration,
    ComputeTargetProvisioningConfiguration,
    ComputeTargetUpdateConfiguration,
    compute_error,
    file_text,
)
from mooring.sdk.types import JSON

__all__ = [
    "AksAttachConfiguration",
    "AksCompute",
    "AksProvisioningConfiguration",
    "AksUpdateConfiguration",
    "SslConfiguration",
    "SystemService",
]


class SystemService:
    """A service of the cluster itself."""

    def __init__(self, service_type: str, version: str, public_ip_address: str) -> None:
        self.service_type = service_type
        self.version = version
        self.public_ip_address = public_ip_address

    def serialize(self) -> JSON:
        """``{systemServiceType, version, publicIpAddress}``."""
        return {
            "systemServiceType": self.service_type,
            "version": self.version,
            "publicIpAddress": self.public_ip_address,
        }

    @staticmethod
    def deserialize(object_dict: JSON) -> SystemService:
        """The inverse of `serialize`."""
        get = object_dict.get
        return SystemService(get("systemServiceType", ""), get("version", ""), get("publicIpAddress", ""))


class SslConfiguration:
    """TLS of a cluster."""

    def __init__(
        self,
        status: str | None = None,
        cert: str | None = None,
        key: str | None = None,
        cname: str | None = None,
        leaf_domain_label: str | None = None,
        overwrite_existing_domain: bool = False,
        renew: bool = False,
    ) -> None:
        self.status = status
        self.cert = cert
        self.key = key
        self.cname = cname
        self.leaf_domain_label = leaf_domain_label
        self.overwrite_existing_domain = overwrite_existing_domain
        self.renew = renew

    def serialize(self) -> JSON:
        """Azure's ``sslConfiguration``."""
        return {
            "status": self.status,
            "cert": self.cert,
            "key": self.key,
            "cname": self.cname,
            "leafDomainLabel": self.leaf_domain_label,
            "overwriteExistingDomain": self.overwrite_existing_domain,
            "renew": self.renew,
        }

    @staticmethod
    def deserialize(object_dict: JSON) -> SslConfiguration:
        """The inverse of `serialize`."""
        get = object_dict.get
        return SslConfiguration(
            get("status"),
            get("cert"),
            get("key"),
            get("cname"),
            get("leafDomainLabel"),
            bool(get("overwriteExistingDomain")),
            bool(get("renew")),
        )


class _Ssl:
    """TLS settings: a certificate of one's own, or a name below the provider's."""

    ssl_cname: str | None = None
    ssl_cert_pem_file: str | None = None
    ssl_key_pem_file: str | None = None
    leaf_domain_label: str | None = None
    overwrite_existing_domain = False

    def enable_ssl(
        self,
        ssl_cname: str | None = None,
        ssl_cert_pem_file: str | None = None,
        ssl_key_pem_file: str | None = None,
        leaf_domain_label: str | None = None,
        overwrite_existing_domain: bool = False,
    ) -> None:
        """Use TLS.

        Raises:
            ComputeTargetException: InvalidSsl.
        """
        self.ssl_cname = ssl_cname
        self.ssl_cert_pem_file = ssl_cert_pem_file
        self.ssl_key_pem_file = ssl_key_pem_file
        self.leaf_domain_label = leaf_domain_label
        self.overwrite_existing_domain = overwrite_existing_domain
        self.check_ssl()

    def check_ssl(self) -> None:
        """Name, certificate and key come together, and not with a label.

        Raises:
            ComputeTargetException: InvalidSsl.
        """
        own = [self.ssl_cname, self.ssl_cert_pem_file, self.ssl_key_pem_file]
        if any(own) and not all(own):
            raise compute_error(
                "ssl_cname, ssl_cert_pem_file and ssl_key_pem_file come together.", "InvalidSsl"
            )
        if any(own) and (self.leaf_domain_label or self.overwrite_existing_domain):
            raise compute_error("A certificate of one's own excludes leaf_domain_label.", "InvalidSsl")

    def ssl_request(self) -> JSON | None:
        """Azure's ``sslConfiguration``, or None."""
        if self.ssl_cname:
            cert, key = file_text(self.ssl_cert_pem_file), file_text(self.ssl_key_pem_file)
            return SslConfiguration("Enabled", cert, key, self.ssl_cname).serialize()
        if self.leaf_domain_label:
            made = SslConfiguration("Auto", leaf_domain_label=self.leaf_domain_label)
            made.overwrite_existing_domain = self.overwrite_existing_domain
            return made.serialize()
        return None


class AksProvisioningConfiguration(_Ssl, ComputeTargetProvisioningConfiguration):
    """A cluster to make.

    Raises:
        ComputeTargetException: what is wrong.
    """

    def __init__(
        self,
        agent_count: int | None,
        vm_size: str | None,
        ssl_cname: str | None,
        ssl_cert_pem_file: str | None,
        ssl_key_pem_file: str | None,
        location: str | None,
        vnet_resourcegroup_name: str | None,
        vnet_name: str | None,
        subnet_name: str | None,
        service_cidr: str | None,
        dns_service_ip: str | None,
        docker_bridge_cidr: str | None,
        cluster_purpose: str | None = None,
        load_balancer_type: str | None = None,
        load_balancer_subnet: str | None = None,
    ) -> None:
        super().__init__(AksCompute, location)
        self.agent_count = agent_count
        self.vm_size = vm_size
        self.ssl_cname = ssl_cname
        self.ssl_cert_pem_file = ssl_cert_pem_file
        self.ssl_key_pem_file = ssl_key_pem_file
        self.vnet_resourcegroup_name = vnet_resourcegroup_name
        self.vnet_name = vnet_name
        self.subnet_name = subnet_name
        self.service_cidr = service_cidr
        self.dns_service_ip = dns_service_ip
        self.docker_bridge_cidr = docker_bridge_cidr
        self.cluster_purpose = cluster_purpose
        self.load_balancer_type = load_balancer_type
        self.load_balancer_subnet = load_balancer_subnet
        self.validate_configuration()

    def validate_configuration(self) -> None:
        """Check what can be checked here.

        Raises:
            ComputeTargetException: what is wrong.
        """
        if self.agent_count is not None and self.agent_count <= 0:
            raise compute_error(f"agent_count is {self.agent_count}; it has to be above 0.", "InvalidNumber")
        self.check_ssl()
        network = {
            "vnet_resourcegroup_name": self.vnet_resourcegroup_name,
            "vnet_name": self.vnet_name,
            "subnet_name": self.subnet_name,
            "service_cidr": self.service_cidr,
            "dns_service_ip": self.dns_service_ip,
            "docker_bridge_cidr": self.docker_bridge_cidr,
        }
        if any(network.values()) and not all(network.values()):
            raise compute_error(f"{', '.join(network)} have to be given together.", "InvalidRequest")

    def to_request(self) -> JSON:
        """Azure's compute object."""
        inner: JSON = {
            "agentCount": self.agent_count,
            "agentVmSize": self.vm_size,
            "clusterPurpose": self.cluster_purpose,
            "loadBalancerType": self.load_balancer_type,
            "loadBalancerSubnet": self.load_balancer_subnet,
            "sslConfiguration": self.ssl_request(),
        }
        inner = {key: value for key, value in inner.items() if value is not None}
        return {"location": self.location, "properties": {"computeType": "AKS", "properties": inner}}


class AksAttachConfiguration(_Ssl, ComputeTargetAttachConfiguration):
    """A cluster to attach: by its id, or by group and name."""

    def __init__(
        self,
        resource_group: str | None = None,
        cluster_name: str | None = None,
        resource_id: str | None = None,
        cluster_purpose: str | None = None,
        load_balancer_type: str | None = None,
        load_balancer_subnet: str | None = None,
    ) -> None:
        super().__init__(AksCompute)
        self.resource_group = resource_group
        self.cluster_name = cluster_name
        self.resource_id = resource_id
        self.cluster_purpose = cluster_purpose
        self.load_balancer_type = load_balancer_type
        self.load_balancer_subnet = load_balancer_subnet
        self.validate_configuration()

    def validate_configuration(self) -> None:
        """One way to name the cluster is given.

        Raises:
            ComputeTargetException: ClusterMissing.
        """
        if not self.resource_id and not (self.resource_group and self.cluster_name):
            raise compute_error("Give resource_id, or resource_group and cluster_name.", "ClusterMissing")
        self.check_ssl()

    def to_request(self) -> JSON:
        """Azure's compute object."""
        properties: JSON = {
            "computeType": "AKS",
            "resourceId": self.resource_id,
            "resourceGroup": self.resource_group,
            "clusterName": self.cluster_name,
            "properties": {"clusterPurpose": self.cluster_purpose, "sslConfiguration": self.ssl_request()},
        }
        return {"location": None, "properties": properties}


class AksUpdateConfiguration(ComputeTargetUpdateConfiguration):
    """What to change on a cluster."""

    def __init__(
        self,
        ssl_configuration: SslConfiguration | None = None,
        load_balancer_type: str | None = None,
        load_balancer_subnet: str | None = None,
    ) -> None:
        super().__init__(AksCompute)
        self.ssl_configuration = ssl_configuration
        self.load_balancer_type = load_balancer_type
        self.load_balancer_subnet = load_balancer_subnet


def is_aks(target: Any) -> bool:
    """Whether a target is a Kubernetes cluster."""
    return isinstance(target, AksCompute)
