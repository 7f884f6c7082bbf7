"""ModelPackage: an image that was made to be taken away, or run as a function app."""

# ruff: noqa: ARG002 - Azure's signatures have arguments that have no meaning here
from __future__ import annotations

from typing import Any

from mooring.sdk.client import part
from mooring.sdk.console import out
from mooring.sdk.container_registry import ContainerRegistry
from mooring.sdk.local_engine import load
from mooring.sdk.operations import failure, follow
from mooring.sdk.package_context import empty_folder, write_context
from mooring.sdk.types import JSON

# The repository in which Azure puts packages that were given no name.
REPOSITORY = "package"
DIGEST = "sha256:"


class ModelPackage:
    """What `Model.package` and `azureml.contrib.functions` give.

    Args:
        workspace: where it is made.
        operation_id: of its creation.
        environment: the `Environment` in it.

    Attributes:
        state: ``Running``, ``Succeeded`` or ``Failed``.
        location: ``<registry>/package@sha256:<digest>`` once it is there; None before.
        package_type: ``DockerImage`` or ``Dockerfile``.
        label: the tag it has in the registry beside its digest.
    """

    def __init__(self, workspace: Any, operation_id: str, environment: Any) -> None:
        self.workspace = workspace
        self.operation_id = operation_id
        self.environment = environment
        self.state = "Running"
        self.location: str | None = None
        self.label: str | None = None
        self.package_type = "DockerImage"
        self._image_id = ""
        operation = workspace.mooring.call("GET", f"/operations/{part(operation_id)}")
        self._image_id = str(operation.get("resourceId") or "")
        self.update_creation_state()

    @classmethod
    def create(cls, workspace: Any, request: JSON, environment: Any, name: str = REPOSITORY) -> ModelPackage:
        """Ask for a package; returns at once.

        Args:
            workspace: where.
            request: an image request.
            environment: the `Environment` in it.
            name: of its repository.
        """
        data, operation_id = workspace.mooring.start("POST", "/images", {**request, "name": name})
        return cls(workspace, str(operation_id or data["operationId"]), environment)

    def wait_for_creation(self, show_output: bool = False) -> None:
        """Wait until the package is there.

        Args:
            show_output: print the phases of the build, and how it ended.

        Raises:
            WebserviceException: with phase, reason, log and hint.
        """
        look = f"mooring image show -i {self._image_id}"
        operation = follow(self.workspace.mooring, self.operation_id, show_output=show_output, look=look)
        self.update_creation_state()
        if operation["state"] != "Succeeded":
            raise failure(operation, f"Creation of package {self._image_id}", "images")
        if show_output:
            out("Package creation Succeeded")

    def update_creation_state(self) -> None:
        """Read it again."""
        data = self.workspace.mooring.call("GET", f"/images/{part(self._image_id)}")
        self.state = str(data.get("creationState") or "")
        self.label = data.get("imageLabel")
        digest = data.get("imageDigest")
        if digest:
            repository = str(data["imageLocation"]).rpartition(":")[0]
            self.location = f"{repository}@{digest}"

    def get_container_registry(self) -> ContainerRegistry:
        """The registry that has the package, with the credentials to pull it.

        ``address`` is ``host:port`` as clients such as ``docker login`` take it; ``username`` is the registry's name.
        """
        keys = self.workspace.mooring.call("POST", "/listKeys")["containerRegistryCredentials"]
        registry = ContainerRegistry()
        registry.address = keys["location"]
        registry.username = keys["username"]
        registry.password = keys["passwords"][0]["value"]
        return registry

    def get_logs(self, decode: bool = True, offset: int = 0) -> str:
        """The build's log, from the character ``offset`` on."""
        return str(self.workspace.mooring.text(f"/images/{part(self._image_id)}/log"))[offset:]

    def serialize(self) -> JSON:
        """The package as a dictionary with Azure's keys."""
        return {
            "workspaceName": self.workspace.name,
            "operationId": self.operation_id,
            "state": self.state,
            "location": self.location,
            "packageType": self.package_type,
        }

    def pull(self) -> str:
        """Bring the image into Docker or Podman on this machine.

        It comes from the server itself, so that no registry has to be reachable from the engine, or trusted by it.

        Returns:
            Its name there, for ``docker run``.

        Raises:
            UserErrorException: ``EngineNotFound``: neither is installed; ``EngineRefused``, with what it said.
            WebserviceException: ``ImageNotBuilt``, ``ImageHasNoBase``.
        """
        with self._archive() as pieces:
            return load(pieces)

    def save(self, output_directory: str) -> None:
        """Write a folder with a Dockerfile from which ``docker build`` and ``podman build`` make the image.

        ``azureml-app`` in it has the entry script and the models, as they are and to be changed; everything else is in
        ``layers``. It needs no registry, no index and no base image.

        Args:
            output_directory: is made if it does not exist.

        Raises:
            UserErrorException: ``DirectoryNotEmpty``.
            WebserviceException: ``ImageNotBuilt``, ``ImageHasNoBase``.
        """
        target = empty_folder(output_directory)
        with self._archive() as pieces:
            write_context(pieces, target)
        out(f"Wrote {target / 'Dockerfile'}; make the image with: docker build -t {self.name} {target}")

    @property
    def name(self) -> str:
        """Of the image, without its registry: ``package:1``."""
        return self._image_id

    def _archive(self) -> Any:
        http, base = self.workspace.mooring.http, self.workspace.mooring.base
        return http.stream(f"{base}/images/{part(self._image_id)}/archive", noun="images")

    def __repr__(self) -> str:
        return f"ModelPackage(workspace={self.workspace!r}, state={self.state}, location={self.location})"
