"""Workspace: the name space that holds models, images, environments and services."""

# ruff: noqa: ARG002, ARG004 - Azure's signatures have arguments that have no meaning here
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mooring.sdk import config_file, local_server
from mooring.sdk.authentication import AbstractAuthentication, InteractiveLoginAuthentication
from mooring.sdk.client import ROOT, Client, part
from mooring.sdk.connection import Connection, configured
from mooring.sdk.console import note, out
from mooring.sdk.container_registry import ContainerRegistry
from mooring.sdk.errors import not_available, user_error
from mooring.sdk.exceptions import WorkspaceException
from mooring.sdk.http import Http
from mooring.sdk.types import JSON, Tags

if TYPE_CHECKING:
    from mooring.sdk.compute import ComputeTarget
    from mooring.sdk.environment import Environment
    from mooring.sdk.image import Image
    from mooring.sdk.model import Model
    from mooring.sdk.webservice import Webservice

DEFAULT_SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
DEFAULT_GROUP = "mooring"


class Workspace:
    """A workspace that exists.

    With the per-user server, one that does not exist yet is made on first use, because a config.json that
    came with
    a script names a workspace nobody has made on this machine.

    Args:
        subscription_id: as in config.json; any text.
        resource_group: as in config.json.
        workspace_name: as in config.json.
        auth: see `mooring.sdk.authentication`; not needed for the per-user server.

    Raises:
        WorkspaceException: WorkspaceNotFound, on a server that is not one's own.
        AuthenticationException: no or a wrong token.
    """

    def __init__(
        self,
        subscription_id: str,
        resource_group: str,
        workspace_name: str,
        auth: AbstractAuthentication | None = None,
        _location: str | None = None,
        _disable_service_check: bool = False,
        _workspace_id: str | None = None,
        sku: str = "basic",
        tags: Tags | None = None,
        _cloud: str = "AzureCloud",
        **kwargs: Any,
    ) -> None:
        self._auth = auth or InteractiveLoginAuthentication()
        self._subscription_id = subscription_id
        self._resource_group = resource_group
        self._name = workspace_name
        self._sku, self._tags, self._location, self._id = sku, tags, _location, _workspace_id
        http: Http = kwargs.get("_http") or connect(self._auth, kwargs.get("_settings"))
        self.mooring = Client(http, subscription_id, resource_group, workspace_name)
        self._details: JSON | None = kwargs.get("_details")
        if self._details is None and not _disable_service_check:
            self._details = self._load_or_make()

    # Where workspaces come from

    @staticmethod
    def from_config(
        path: str | None = None,
        auth: AbstractAuthentication | None = None,
        _logger: Any = None,
        _file_name: str | None = None,
    ) -> Workspace:
        """The workspace of a config.json.

        Args:
            path: a file, or a directory where the search begins; the search goes on in its parents. In each
                directory ``.azureml/config.json``, ``aml_config/config.json`` and ``config.json`` are tried.
            auth: as in the constructor.

        Raises:
            UserErrorException: ConfigNotFound or ConfigInvalid.
        """
        found = config_file.read(config_file.find(path, _file_name))
        if _logger is not None:
            _logger.debug("Workspace configuration: %s", found.path)
        return Workspace(
            found.subscription_id,
            found.resource_group,
            found.workspace_name,
            auth=auth,
            _settings=found.settings,
        )

    @staticmethod
    def create(
        name: str,
        auth: AbstractAuthentication | None = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        location: str | None = None,
        create_resource_group: bool = True,
        sku: str = "basic",
        tags: Tags | None = None,
        friendly_name: str | None = None,
        storage_account: str | None = None,
        key_vault: str | None = None,
        app_insights: str | None = None,
        container_registry: str | ContainerRegistry | None = None,
        adb_workspace: str | None = None,
        primary_user_assigned_identity: str | None = None,
        cmk_keyvault: str | None = None,
        resource_cmk_uri: str | None = None,
        hbi_workspace: bool = False,
        default_cpu_compute_target: Any = None,
        default_gpu_compute_target: Any = None,
        private_endpoint_config: Any = None,
        private_endpoint_auto_approval: bool = True,
        exist_ok: bool = False,
        show_output: bool = True,
        user_assigned_identity_for_cmk_encryption: str | None = None,
        system_datastores_auth_mode: str = "accessKey",
        v1_legacy_mode: bool | None = None,
    ) -> Workspace:
        """Make a workspace; the names of Azure resources it would need are accepted and not needed.

        ``container_registry`` may be a registry elsewhere to push images to: its address (``host[:port][/prefix]``), or
        a `ContainerRegistry` with credentials.

        Raises:
            WorkspaceException: WorkspaceExists, unless ``exist_ok``; RegistryUnreachable, RegistryDenied.
        """
        subscription = subscription_id or DEFAULT_SUBSCRIPTION
        group = resource_group or DEFAULT_GROUP
        http = connect(auth or InteractiveLoginAuthentication(), None)
        body = {"location": location, "friendlyName": friendly_name, "tags": tags, "existOk": exist_ok}
        client = Client(http, subscription, group, name)
        details = client.call("PUT", "", body)
        _push_to(client, container_registry)
        if show_output:
            out(f"Workspace {name} is ready.")
        return Workspace(subscription, group, name, auth=auth, sku=sku, _http=http, _details=details)

    @staticmethod
    def get(
        name: str,
        auth: AbstractAuthentication | None = None,
        subscription_id: str | None = None,
        resource_group: str | None = None,
        location: str | None = None,
        cloud: str = "AzureCloud",
        id: str | None = None,  # noqa: A002 - Azure's name
    ) -> Workspace:
        """An existing workspace; without a resource group, the only one of that name in the subscription.

        Raises:
            WorkspaceException: there is none, or several.
        """
        if subscription_id and resource_group:
            return Workspace(
                subscription_id, resource_group, name, auth=auth, _location=location, _cloud=cloud
            )
        found = Workspace.list(subscription_id or DEFAULT_SUBSCRIPTION, auth, resource_group).get(name, [])
        matching = [
            workspace for workspace in found if id is None or workspace.get_details().get("workspaceid") == id
        ]
        if len(matching) != 1:
            exc = WorkspaceException(
                f"WorkspaceNotFound: {len(matching) or 'no'} workspaces are named {name!r}.", bool(matching)
            )
            raise exc.explain("WorkspaceNotFound", "Validate", "Give subscription_id and resource_group.")
        only: Workspace = matching[0]
        return only

    @staticmethod
    def list(
        subscription_id: str, auth: AbstractAuthentication | None = None, resource_group: str | None = None
    ) -> dict[str, Any]:
        """``{name: [Workspace, ...]}`` of a subscription."""
        http = connect(auth or InteractiveLoginAuthentication(), None)
        url = f"{ROOT}/subscriptions/{part(subscription_id)}/workspaces"
        answer = http.json("GET", url, params={"resourceGroup": resource_group})[0]
        found: dict[str, Any] = {}
        for details in answer["value"]:
            group = details.get("resourceGroup") or resource_group or DEFAULT_GROUP
            made = Workspace(subscription_id, group, details["name"], auth=auth, _http=http, _details=details)
            found.setdefault(details["name"], []).append(made)
        return found

    @staticmethod
    def setup() -> Workspace:
        """Not available: `create` does the job."""
        raise not_available("Workspace.setup", "Use Workspace.create or Workspace.from_config.")

    # What it is

    @property
    def name(self) -> str:
        """Its name."""
        return self._name

    @property
    def subscription_id(self) -> str:
        """Its subscription, any text here."""
        return self._subscription_id

    @property
    def resource_group(self) -> str:
        """Its resource group."""
        return self._resource_group

    @property
    def location(self) -> str:
        """Where it is."""
        return str(self._known().get("location") or self._location or "")

    @property
    def sku(self) -> str:
        """Its edition, always ``basic`` unless another was asked for."""
        sku = self._known().get("sku")
        return str(sku.get("name") if isinstance(sku, dict) else sku or self._sku)

    @property
    def tags(self) -> Tags:
        """Its tags."""
        return dict(self._known().get("tags") or self._tags or {})

    @property
    def discovery_url(self) -> str:
        """Where Azure's clients would look for services."""
        return str(self._known().get("discoveryUrl") or "")

    def get_details(self) -> JSON:
        """Azure's description of it, fresh; ``containerRegistry`` is an id ending in the registry's name."""
        self._details = self.mooring.call("GET")
        return dict(self._details or {})

    def list_keys(self) -> JSON:
        """Credentials of the registry: ``{"containerRegistryCredentials": {...}}``."""
        return dict(self.mooring.call("POST", "/listKeys"))

    def get_mlflow_tracking_uri(self, with_auth: bool = False) -> str:
        """The address for ``mlflow.set_tracking_uri`` and ``get_deploy_client``.

        Args:
            with_auth: accepted; the plugin finds the token by itself, and it is never part of the address.

        Raises:
            WorkspaceException: TrackingServerNotInstalled, TrackingServerTooOld.
        """
        from mooring.mlflow.address import tracking_uri

        # Says what is missing, and lets the tracking server start while the script goes on.
        self.mooring.call("GET", "/mlflow")
        return tracking_uri(self)

    def write_config(self, path: str | None = None, file_name: str | None = None) -> None:
        """Write ``.azureml/config.json`` below ``path`` (default: the current directory), and say where.

        The address of a configured server goes into it, its token never.
        """
        values = {
            "subscription_id": self._subscription_id,
            "resource_group": self._resource_group,
            "workspace_name": self._name,
        }
        connection = self.mooring.http.connection
        if not connection.local:
            values["endpoint"] = connection.endpoint
        target: Path = config_file.write(path, file_name, values)
        out(f"Wrote the config file {file_name or config_file.DEFAULT_NAME} to: {target.absolute()}")

    def update(
        self,
        friendly_name: str | None = None,
        description: str | None = None,
        tags: Tags | None = None,
        image_build_compute: str | None = None,
        service_managed_resources_settings: Any = None,
        primary_user_assigned_identity: str | None = None,
        allow_public_access_when_behind_vnet: bool | None = None,
        v1_legacy_mode: bool | None = None,
    ) -> JSON:
        """Change what it is called, described and tagged with; the rest is accepted.

        Returns:
            The new details.
        """
        known = self.get_details()
        body = {
            "location": known.get("location"),
            "friendlyName": friendly_name if friendly_name is not None else known.get("friendlyName"),
            "description": description if description is not None else known.get("description"),
            "tags": tags if tags is not None else known.get("tags"),
            "existOk": True,
        }
        self._details = self.mooring.call("PUT", "", body)
        return dict(self._details or {})

    def delete(self, delete_dependent_resources: bool = False, no_wait: bool = False) -> None:
        """Delete it, with its experiments, runs and their files.

        Args:
            delete_dependent_resources: Azure's storage account and the like; there are none to keep.
            no_wait: is over at once in any case.

        Raises:
            AzureMLException: ``WorkspaceNotEmpty`` while it holds models, images or services.
        """
        self.mooring.call("DELETE")
        self._details = None

    # What it holds

    @property
    def models(self) -> dict[str, Model]:
        """The latest version of every model, by name."""
        from mooring.sdk.model import Model

        return {model.name: model for model in Model.list(self, latest=True)}

    @property
    def images(self) -> dict[str, Image]:
        """The latest version of every image, by name."""
        from mooring.sdk.image import Image

        latest: dict[str, Image] = {}
        for image in Image.list(self):
            if image.name not in latest or int(image.version) > int(latest[image.name].version):
                latest[image.name] = image
        return latest

    @property
    def webservices(self) -> dict[str, Webservice]:
        """All web services, by name."""
        from mooring.sdk.webservice import Webservice

        return {service.name: service for service in Webservice.list(self)}

    @property
    def environments(self) -> dict[str, Environment]:
        """The latest version of every environment, by name."""
        from mooring.sdk.environment import Environment

        return Environment.list(self)

    @property
    def compute_targets(self) -> dict[str, ComputeTarget]:
        """All compute targets, by name."""
        from mooring.sdk.compute import ComputeTarget

        return {target.name: target for target in ComputeTarget.list(self)}

    def __repr__(self) -> str:
        return (
            f"Workspace.create(name={self._name!r}, subscription_id={self._subscription_id!r}, "
            f"resource_group={self._resource_group!r})"
        )

    def _known(self) -> JSON:
        return self._details if self._details is not None else self.get_details()

    def _load_or_make(self) -> JSON:
        try:
            return dict(self.mooring.call("GET"))
        except WorkspaceException as error:
            connection = self.mooring.http.connection
            if error.code != "WorkspaceNotFound":
                raise
            if not connection.local:
                error.hint = error.hint or (
                    f"Make it there: Workspace.create({self._name!r}, subscription_id, resource_group)"
                )
                raise
        body = {"location": self._location, "tags": self._tags, "existOk": True}
        details = dict(self.mooring.call("PUT", "", body))
        note(f"Made the workspace {self._name} in the Mooring server of this machine.")
        return details


def _push_to(client: Client, given: str | ContainerRegistry | None) -> None:
    registry = given if isinstance(given, ContainerRegistry) else ContainerRegistry()
    if isinstance(given, str) and not given.startswith("/subscriptions/"):
        registry.address = given
    if registry.address:
        values = {key: value or "" for key, value in (registry.serialize() or {}).items()}
        client.call("PUT", "/registry", values)


def connect(auth: AbstractAuthentication, settings: JSON | None) -> Http:
    """The server for a workspace: environment, config.json, or the per-user server, started if need be."""
    connection: Connection | None = configured(settings)
    if connection is None:
        return Http(local_server.ensure_server(), local_server.ensure_server)
    if not connection.token:
        secret = auth.bearer()
        if secret and not isinstance(secret, str):
            raise user_error("The authentication object gave a token that is no text.", code="InvalidToken")
        connection = Connection(connection.endpoint, secret)
    return Http(connection)
