"""AciWebservice: a service in a container or process of one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mooring.sdk.errors import invalid
from mooring.sdk.names import check_positive
from mooring.sdk.patches import changed
from mooring.sdk.tagging import TaggedWebservice
from mooring.sdk.types import JSON, Tags
from mooring.sdk.webservice_parts import ContainerResourceRequirements, WebserviceDeploymentConfiguration

__all__ = [
    "AciServiceDeploymentConfiguration",
    "AciWebservice",
    "ContainerResourceRequirements",
    "EncryptionProperties",
    "VnetConfiguration",
]


class EncryptionProperties:
    """A customer-managed key; accepted."""

    def __init__(self, cmk_vault_base_url: str, cmk_key_name: str, cmk_key_version: str) -> None:
        self.cmk_vault_base_url = cmk_vault_base_url
        self.cmk_key_name = cmk_key_name
        self.cmk_key_version = cmk_key_version

    def serialize(self) -> JSON:
        """``{vaultBaseUrl, keyName, keyVersion}``."""
        return {
            "vaultBaseUrl": self.cmk_vault_base_url,
            "keyName": self.cmk_key_name,
            "keyVersion": self.cmk_key_version,
        }

    @staticmethod
    def deserialize(payload_obj: JSON | None) -> EncryptionProperties | None:
        """The inverse of `serialize`; None for None."""
        if payload_obj is None:
            return None
        return EncryptionProperties(
            payload_obj["vaultBaseUrl"], payload_obj["keyName"], payload_obj["keyVersion"]
        )


class VnetConfiguration:
    """A virtual network; accepted."""

    def __init__(self, vnet_name: str, subnet_name: str) -> None:
        self.vnet_name = vnet_name
        self.subnet_name = subnet_name

    def serialize(self) -> JSON:
        """``{vnetName, subnetName}``."""
        return {"vnetName": self.vnet_name, "subnetName": self.subnet_name}

    @staticmethod
    def deserialize(payload_obj: JSON | None) -> VnetConfiguration | None:
        """The inverse of `serialize`; None for None."""
        if payload_obj is None:
            return None
        return VnetConfiguration(payload_obj["vnetName"], payload_obj["subnetName"])


class AciServiceDeploymentConfiguration(WebserviceDeploymentConfiguration):
    """How to run on one machine.

    Args:
        cpu_cores: 0.1 by default.
        memory_gb: 0.5 by default.
        tags: of the service.
        properties: of the service.
        description: of the service.
        location: accepted.
        auth_enabled: whether calls need a key; off by default.
        ssl_enabled: needs the three arguments below.
        enable_app_insights: accepted.
        ssl_cert_pem_file: certificate.
        ssl_key_pem_file: its key.
        ssl_cname: the name on the certificate.
        dns_name_label: accepted.
        primary_key: instead of a generated one.
        secondary_key: instead of a generated one.
        collect_model_data: accepted.
        cmk_vault_base_url: accepted, with the two below.
        cmk_key_name: see above.
        cmk_key_version: see above.
        vnet_name: accepted, with the one below.
        subnet_name: see above.

    Raises:
        WebserviceException: what is wrong.
    """

    compute_type = "ACI"

    def __init__(
        self,
        cpu_cores: float | None = None,
        memory_gb: float | None = None,
        tags: Tags | None = None,
        properties: Tags | None = None,
        description: str | None = None,
        location: str | None = None,
        auth_enabled: bool | None = None,
        ssl_enabled: bool | None = None,
        enable_app_insights: bool | None = None,
        ssl_cert_pem_file: str | None = None,
        ssl_key_pem_file: str | None = None,
        ssl_cname: str | None = None,
        dns_name_label: str | None = None,
        primary_key: str | None = None,
        secondary_key: str | None = None,
        collect_model_data: bool | None = None,
        cmk_vault_base_url: str | None = None,
        cmk_key_name: str | None = None,
        cmk_key_version: str | None = None,
        vnet_name: str | None = None,
        subnet_name: str | None = None,
    ) -> None:
        super().__init__(AciWebservice, description, tags, properties, primary_key, secondary_key, location)
        self.cpu_cores = cpu_cores
        self.memory_gb = memory_gb
        self.auth_enabled = auth_enabled
        self.ssl_enabled = ssl_enabled
        self.enable_app_insights = enable_app_insights
        self.ssl_cert_pem_file = ssl_cert_pem_file
        self.ssl_key_pem_file = ssl_key_pem_file
        self.ssl_cname = ssl_cname
        self.dns_name_label = dns_name_label
        self.collect_model_data = collect_model_data
        self.cmk_vault_base_url = cmk_vault_base_url
        self.cmk_key_name = cmk_key_name
        self.cmk_key_version = cmk_key_version
        self.vnet_name = vnet_name
        self.subnet_name = subnet_name
        self.validate_configuration()

    def validate_configuration(self) -> None:
        """Check what can be checked here.

        Raises:
            WebserviceException: what is wrong.
        """
        check_positive("cpu_cores", self.cpu_cores)
        check_positive("memory_gb", self.memory_gb)
        check_ssl(self.ssl_enabled, self.ssl_cert_pem_file, self.ssl_key_pem_file, self.ssl_cname)
        _all_or_none(
            cmk_vault_base_url=self.cmk_vault_base_url,
            cmk_key_name=self.cmk_key_name,
            cmk_key_version=self.cmk_key_version,
        )
        _all_or_none(vnet_name=self.vnet_name, subnet_name=self.subnet_name)

    def to_request(self) -> JSON:
        """This configuration's part of the service request."""
        request = super().to_request()
        request["containerResourceRequirements"] = {"cpu": self.cpu_cores, "memoryInGB": self.memory_gb}
        request["authEnabled"] = self.auth_enabled
        request["sslEnabled"] = self.ssl_enabled
        request["appInsightsEnabled"] = self.enable_app_insights
        request["dnsNameLabel"] = self.dns_name_label
        request.update(ssl_request(self.ssl_cert_pem_file, self.ssl_key_pem_file, self.ssl_cname))
        return request


class AciWebservice(TaggedWebservice):
    """A service on one machine.

    Attributes:
        container_resource_requirements: `ContainerResourceRequirements`.
        enable_app_insights: as asked for.
        ssl_enabled: whether it speaks TLS.
        public_ip: its address.
    """

    kind = "ACI"

    @staticmethod
    def deploy_configuration(
        cpu_cores: float | None = None,
        memory_gb: float | None = None,
        tags: Tags | None = None,
        properties: Tags | None = None,
        description: str | None = None,
        location: str | None = None,
        auth_enabled: bool | None = None,
        ssl_enabled: bool | None = None,
        enable_app_insights: bool | None = None,
        ssl_cert_pem_file: str | None = None,
        ssl_key_pem_file: str | None = None,
        ssl_cname: str | None = None,
        dns_name_label: str | None = None,
        primary_key: str | None = None,
        secondary_key: str | None = None,
        collect_model_data: bool | None = None,
        cmk_vault_base_url: str | None = None,
        cmk_key_name: str | None = None,
        cmk_key_version: str | None = None,
        vnet_name: str | None = None,
        subnet_name: str | None = None,
    ) -> AciServiceDeploymentConfiguration:
        """How to run: see `AciServiceDeploymentConfiguration`."""
        return AciServiceDeploymentConfiguration(**locals())

    def update(
        self,
        image: Any = None,
        tags: Tags | None = None,
        properties: Tags | None = None,
        description: str | None = None,
        auth_enabled: bool | None = None,
        ssl_enabled: bool | None = None,
        ssl_cert_pem_file: str | None = None,
        ssl_key_pem_file: str | None = None,
        ssl_cname: str | None = None,
        enable_app_insights: bool | None = None,
        models: Any = None,
        inference_config: Any = None,
    ) -> None:
        """Change it while it goes on answering; None leaves a thing as it is. Returns at once.

        Args:
            image: another image (2018).
            tags: replace the tags.
            properties: add properties.
            description: a text.
            auth_enabled: whether calls need a key.
            ssl_enabled: see `deploy_configuration`.
            ssl_cert_pem_file: see there.
            ssl_key_pem_file: see there.
            ssl_cname: see there.
            enable_app_insights: accepted.
            models: other models, with ``inference_config``.
            inference_config: build another image, with ``models`` or those it has.

        Raises:
            WebserviceException: nothing, or both an image and an inference configuration, was given.
        """
        from mooring.sdk.deploying import new_image

        check_ssl(None, ssl_cert_pem_file, ssl_key_pem_file, ssl_cname)
        values = {
            "kvTags": tags,
            "properties": None if properties is None else changed(self.properties, properties),
            "description": description,
            "authEnabled": auth_enabled,
            "sslEnabled": ssl_enabled,
            "appInsightsEnabled": enable_app_insights,
            **ssl_request(ssl_cert_pem_file, ssl_key_pem_file, ssl_cname),
        }
        body = {key: value for key, value in values.items() if value is not None}
        body.update(new_image(self, image, models, inference_config))
        if not body:
            raise invalid("Nothing to update was given.", code="NothingToUpdate")
        self._patch(body)

    def _fill_kind(self, data: JSON) -> None:
        super()._fill_kind(data)
        self.container_resource_requirements = ContainerResourceRequirements.deserialize(
            data.get("containerResourceRequirements")
        )
        self.enable_app_insights = bool(data.get("appInsightsEnabled"))
        self.ssl_enabled = bool(data.get("sslEnabled"))
        self.ssl_certificate = data.get("sslCertificate")
        self.ssl_key = data.get("sslKey")
        self.cname = data.get("cname")
        self.dns_name_label = data.get("dnsNameLabel")
        self.public_ip = data.get("publicIp")
        self.public_fqdn = data.get("publicFqdn") or self.public_ip
        self.encryption_properties = EncryptionProperties.deserialize(data.get("encryptionProperties"))
        self.vnet_configuration = VnetConfiguration.deserialize(data.get("vnetConfiguration"))


def check_ssl(enabled: bool | None, cert: str | None, key: str | None, cname: str | None) -> None:
    """TLS needs certificate, key and name, and the two files have to exist.

    Raises:
        WebserviceException: InvalidSsl.
    """
    if enabled and not (cert and key and cname):
        raise invalid(
            "ssl_enabled needs ssl_cert_pem_file, ssl_key_pem_file and ssl_cname.", code="InvalidSsl"
        )
    for path in (cert, key):
        if path and not Path(path).is_file():
            raise invalid(f"The file {path!r} does not exist.", code="InvalidSsl")


def ssl_request(cert: str | None, key: str | None, cname: str | None) -> JSON:
    """The contents of the files, as the server wants them."""
    return {
        "sslCertificate": Path(cert).read_text(encoding="utf-8") if cert else None,
        "sslKey": Path(key).read_text(encoding="utf-8") if key else None,
        "cname": cname,
    }


def _all_or_none(**values: str | None) -> None:
    given = [name for name, value in values.items() if value]
    if given and len(given) != len(values):
        raise invalid(f"{', '.join(values)} have to be given together.", code="InvalidRequest")
