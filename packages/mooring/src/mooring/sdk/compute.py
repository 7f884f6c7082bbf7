"""Compute targets: Kubernetes clusters under the name AKS; attached clusters come with a later version.

Everything can be constructed and is validated; `ComputeTarget.create` and `attach` ask the server, which
says what it
can do.
"""

# ruff: noqa: ARG002 - Azure's signatures have arguments that have no meaning here
from __future__ import annotations

from pathlib import Path
from typing import Any

from mooring.sdk.client import part
from mooring.sdk.console import out
from mooring.sdk.errors import not_available
from mooring.sdk.exceptions import ComputeTargetException
from mooring.sdk.types import JSON

__all__ = ["AksCompute", "ComputeTarget"]

RESERVED = ("amlcompute", "local", "containerinstance")


def compute_error(message: str, code: str, hint: str = "") -> ComputeTargetException:
    """An error about a compute target."""
    exc = ComputeTargetException(message)
    exc.explain(code, "Validate", hint)
    return exc


class _Configuration:
    """What provisioning and attaching have in common."""

    def __init__(self, type: Any, location: str | None = None) -> None:  # noqa: A002 - Azure's name
        self.compute_type = type
        self.location = location

    def validate_configuration(self) -> None:
        """Check what can be checked here."""

    def to_request(self) -> JSON:
        """Azure's compute object."""
        return {"location": self.location, "properties": {"computeType": "AKS", "properties": {}}}


class ComputeTargetProvisioningConfiguration(_Configuration):
    """What to make."""

    def __init__(self, type: Any, location: str | None) -> None:  # noqa: A002 - Azure's name
        super().__init__(type, location)


class ComputeTargetAttachConfiguration(_Configuration):
    """What to attach."""

    def __init__(self, type: Any) -> None:  # noqa: A002 - Azure's name
        super().__init__(type)


class ComputeTargetUpdateConfiguration(_Configuration):
    """What to change."""

    def __init__(self, type: Any) -> None:  # noqa: A002 - Azure's name
        super().__init__(type)


class ComputeTarget:
    """A compute target of a workspace.

    Args:
        workspace: where it is.
        name: its name.

    Attributes:
        provisioning_state: ``Succeeded``, ``Creating``, ``Failed`` ...
        provisioning_errors: why it failed, or None.

    Raises:
        ComputeTargetException: its text begins with ``ComputeTargetNotFound``.
    """

    def __new__(cls, workspace: Any, name: str) -> ComputeTarget:  # noqa: PYI034 - of the class it turns out to be
        """Fetch it, and make an object of the right class."""
        for data in workspace.mooring.pages("/computes"):
            if data["name"] == name:
                return cls.deserialize(workspace, data)
        raise compute_error(
            f"ComputeTargetNotFound: no compute target named {name!r} is in the workspace {workspace.name}.",
            "ComputeTargetNotFound",
            "Without one, deploy to this machine: AciWebservice.deploy_configuration().",
        )

    def __init__(self, workspace: Any, name: str) -> None:
        # Everything is set by deserialize, which __new__ calls.
        super().__init__()

    @staticmethod
    def create(workspace: Any, name: str, provisioning_configuration: Any) -> ComputeTarget:
        """Make a compute target.

        Raises:
            ComputeTargetException: the server cannot, and why.
        """
        return _put(workspace, name, provisioning_configuration)

    @staticmethod
    def attach(workspace: Any, name: str, attach_configuration: Any) -> ComputeTarget:
        """Attach a cluster that exists.

        Raises:
            ComputeTargetException: the server cannot, and why.
        """
        return _put(workspace, name, attach_configuration)

    @staticmethod
    def list(workspace: Any) -> Any:
        """All compute targets, as a list."""
        return [ComputeTarget.deserialize(workspace, data) for data in workspace.mooring.pages("/computes")]

    def wait_for_completion(self, show_output: bool = False, is_delete_operation: bool = False) -> None:
        """Wait until it is made; compute targets are ready or failed when they are listed."""
        if not is_delete_operation:
            self.refresh_state()
        if show_output:
            out(f"{self.provisioning_state}")

    def refresh_state(self) -> None:
        """Read it again."""
        self.__dict__.update(vars(ComputeTarget(self.workspace, self.name)))

    def get_status(self) -> str:
        """The provisioning state, fresh."""
        self.refresh_state()
        return str(self.provisioning_state)

    def delete(self) -> None:
        """Remove it from the workspace."""
        self.workspace.mooring.call("DELETE", f"/computes/{part(self.name)}")

    def detach(self) -> None:
        """Remove it from the workspace; what it stands for stays."""
        self.delete()

    def serialize(self) -> JSON:
        """The target as a dictionary with Azure's keys."""
        return dict(self._data)

    @staticmethod
    def deserialize(workspace: Any, object_dict: JSON) -> ComputeTarget:
        """A target from the server's JSON, of the class for its compute type."""
        kind = AksCompute if str(object_dict.get("computeType", "")).upper() == "AKS" else ComputeTarget
        made = object.__new__(kind)
        made._fill(workspace, object_dict)
        return made

    def _fill(self, workspace: Any, data: JSON) -> None:
        self.workspace = workspace
        self._data = data
        self.name: str = data["name"]
        self.type = data.get("computeType")
        self.location = data.get("location")
        self.description = data.get("description")
        self.tags = data.get("tags") or {}
        self.id = data.get("id")
        self.cluster_resource_id = data.get("resourceId")
        self.is_attached = data.get("isAttachedCompute")
        self.provisioning_state = data.get("provisioningState")
        self.provisioning_errors = data.get("provisioningErrors")


class AksCompute(ComputeTarget):
    """A Kubernetes cluster."""

    class ClusterPurpose:
        """What a cluster is for."""

        FAST_PROD = "FastProd"
        DEV_TEST = "DevTest"

    @staticmethod
    def provisioning_configuration(
        agent_count: int | None = None,
        vm_size: str | None = None,
        ssl_cname: str | None = None,
        ssl_cert_pem_file: str | None = None,
        ssl_key_pem_file: str | None = None,
        location: str | None = None,
        vnet_resourcegroup_name: str | None = None,
        vnet_name: str | None = None,
        subnet_name: str | None = None,
        service_cidr: str | None = None,
        dns_service_ip: str | None = None,
        docker_bridge_cidr: str | None = None,
        cluster_purpose: str | None = None,
        load_balancer_type: str | None = None,
        load_balancer_subnet: str | None = None,
    ) -> Any:
        """What to make: see `mooring.sdk.aks_compute.AksProvisioningConfiguration`."""
        from mooring.sdk.aks_compute import AksProvisioningConfiguration

        return AksProvisioningConfiguration(
            **{k: v for k, v in locals().items() if k != "AksProvisioningConfiguration"}
        )

    @staticmethod
    def attach_configuration(
        resource_group: str | None = None,
        cluster_name: str | None = None,
        resource_id: str | None = None,
        cluster_purpose: str | None = None,
        load_balancer_type: str | None = None,
        load_balancer_subnet: str | None = None,
    ) -> Any:
        """What to attach: see `mooring.sdk.aks_compute.AksAttachConfiguration`."""
        from mooring.sdk.aks_compute import AksAttachConfiguration

        return AksAttachConfiguration(
            resource_group,
            cluster_name,
            resource_id,
            cluster_purpose,
            load_balancer_type,
            load_balancer_subnet,
        )

    @staticmethod
    def attach(workspace: Any, name: str, resource_id: Any) -> ComputeTarget:
        """Attach a cluster; takes an attach configuration as well, as `ComputeTarget.attach` does."""
        from mooring.sdk.aks_compute import AksAttachConfiguration

        config = (
            AksAttachConfiguration(resource_id=resource_id) if isinstance(resource_id, str) else resource_id
        )
        return _put(workspace, name, config)

    def update(self, update_configuration: Any) -> None:
        """Not available."""
        raise not_available("AksCompute.update", "Detach the cluster and attach it again.")

    def get_credentials(self) -> JSON:
        """The cluster's kubeconfig: ``{userKubeConfig, adminKubeConfig}``."""
        return dict(self.workspace.mooring.call("POST", f"/computes/{part(self.name)}/listKeys"))

    def _fill(self, workspace: Any, data: JSON) -> None:
        super()._fill(workspace, data)
        inner = data.get("properties") or {}
        self.agent_count = inner.get("agentCount")
        self.agent_vm_size = inner.get("agentVmSize")
        self.cluster_fqdn = inner.get("clusterFqdn")
        self.cluster_purpose = inner.get("clusterPurpose")
        self.system_services = inner.get("systemServices")
        self.load_balancer_type = inner.get("loadBalancerType")
        self.load_balancer_subnet = inner.get("loadBalancerSubnet")
        self.ssl_configuration = inner.get("sslConfiguration")


def _put(workspace: Any, name: str, configuration: Any) -> ComputeTarget:
    if name.lower() in RESERVED:
        raise compute_error(f"The name {name!r} is reserved.", "InvalidComputeName")
    configuration.validate_configuration()
    data = workspace.mooring.call("PUT", f"/computes/{part(name)}", configuration.to_request())
    return ComputeTarget.deserialize(workspace, data)


def file_text(path: str | None) -> str | None:
    """The text of a file, or None."""
    return Path(path).read_text(encoding="utf-8") if path else None
