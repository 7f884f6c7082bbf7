"""Webservice: what all deployed services have in common, and the older ways to deploy one."""

# ruff: noqa: ARG002 - Azure's signatures have arguments that have no meaning here
from __future__ import annotations

from typing import Any

from mooring.sdk.client import filter_text, part
from mooring.sdk.console import out
from mooring.sdk.errors import Problem, invalid, not_available
from mooring.sdk.image import Image
from mooring.sdk.model import Model
from mooring.sdk.operations import failure, follow, time_of
from mooring.sdk.scoring import Scorer
from mooring.sdk.service_deployments import ServiceDeployments
from mooring.sdk.types import JSON, Tags
from mooring.sdk.webservice_parts import (
    AutoScaler,
    ContainerResourceRequirements,
    DataCollection,
    LivenessProbeRequirements,
    WebServiceAccessToken,
    WebserviceDeploymentConfiguration,
)

__all__ = [
    "AutoScaler",
    "ContainerResourceRequirements",
    "DataCollection",
    "LivenessProbeRequirements",
    "WebServiceAccessToken",
    "Webservice",
    "WebserviceDeploymentConfiguration",
]

DELETE_SECONDS = 120.0


class Webservice(ServiceDeployments):
    """A deployed web service; ``Webservice(ws, name)`` is an object of the class for its compute type.

    Args:
        workspace: where it is.
        name: its name.

    Attributes:
        state: ``Transitioning``, ``Healthy``, ``Unhealthy`` or ``Failed``, as of the last
        `update_deployment_state`.
        scoring_uri: where to POST; also `run`.
        swagger_uri: its OpenAPI description.
        error: why it failed: ``{code, phase, message, hint, evidence}``, or None.
        auth_enabled: whether calls need a key.

    Raises:
        WebserviceException: its text begins with ``WebserviceNotFound``.
    """

    # The path of the collection; local services have a name space of their own.
    collection = "/services"
    kind = ""

    state: str | None
    operation_id: str | None
    _data: JSON
    _scorer: Scorer

    def __new__(cls, workspace: Any, name: str) -> Webservice:  # noqa: PYI034 - of the class it turns out to be
        """Fetch it, and make an object of the right class."""
        data = workspace.mooring.call("GET", f"{cls.collection}/{part(name)}")
        made = cls.deserialize(workspace, data)
        if not isinstance(made, cls):
            raise invalid(
                f"The service {name} is of compute type {data.get('computeType')}, no {cls.__name__}.",
                code="WrongServiceType",
                hint="Webservice(workspace, name) gives an object of the right class.",
            )
        return made

    def __init__(self, workspace: Any, name: str) -> None:
        # Everything is set by deserialize, which __new__ calls.
        super().__init__()

    # Following

    def wait_for_deployment(self, show_output: bool = False, timeout_sec: float | None = None) -> None:
        """Wait until the last deployment or update has ended.

        Args:
            show_output: print the phases and how it ended.
            timeout_sec: stop waiting (not the deployment) after so many seconds.

        Raises:
            WebserviceException: with phase, reason, traceback or log, and hint.
        """
        what = f"{self.compute_type} service"
        verb = "creation"
        if self.operation_id:
            operation = follow(
                self.workspace.mooring,
                self.operation_id,
                show_output=show_output,
                timeout_seconds=timeout_sec,
                look=f"mooring service show -n {self.name}",
            )
            verb = {"UpdateService": "update", "DeleteService": "deletion"}.get(
                operation["operationType"], verb
            )
            self.update_deployment_state()
            if operation["state"] != "Succeeded":
                raise failure(operation, f"Service {verb} of {self.name}")
        else:
            self.update_deployment_state()
        if self.state == "Failed" and self.error:
            raise failure({"state": "Failed", "error": self.error}, f"Service {verb} of {self.name}")
        if show_output:
            out(f'Succeeded\n{what} {verb} operation finished, operation "Succeeded"')

    def update_deployment_state(self) -> None:
        """Read the service again; sets `state`, `error` and all the rest."""
        operation_id = self.operation_id
        self._fill(self.workspace, self.workspace.mooring.call("GET", self._path))
        self.operation_id = self.operation_id or operation_id

    @staticmethod
    def list(
        workspace: Any,
        compute_type: str | None = None,
        image_name: str | None = None,
        image_id: str | None = None,
        model_name: str | None = None,
        model_id: str | None = None,
        tags: Any = None,
        properties: Any = None,
        image_digest: str | None = None,
    ) -> Any:
        """Services, as a list; every argument narrows it. Local web services have a list of their own."""
        params = {
            "computeType": compute_type.upper() if compute_type else None,
            "imageName": image_name,
            "imageId": image_id,
            "modelName": model_name,
            "modelId": model_id,
            "tags": filter_text(tags),
            "properties": filter_text(properties),
            "imageDigest": image_digest,
        }
        return [
            Webservice.deserialize(workspace, data) for data in workspace.mooring.pages("/services", params)
        ]

    def get_logs(self, num_lines: int = 5000, init: bool = False) -> str:
        """The last lines of its logs.

        Args:
            num_lines: at most so many.
            init: those of its start instead of those of its workers.
        """
        params = {"tail": num_lines, "init": "true" if init else "false"}
        return str(self.workspace.mooring.call("GET", f"{self._path}/logs", params=params)["content"])

    # Using

    def run(self, input: Any) -> Any:  # noqa: A002 - Azure's name
        """Score.

        Args:
            input: text or bytes, sent as it is.

        Returns:
            The decoded JSON answer.

        Raises:
            WebserviceException: with status, headers and body of any other answer than 200.
        """
        if not self.scoring_uri:
            self.update_deployment_state()
        if not self.scoring_uri:
            raise invalid(
                f"The service {self.name} has no address: its state is {self.state}.",
                code="ServiceNotReady",
                hint="Wait for it: service.wait_for_deployment(show_output=True).",
            )
        return self._scorer.run(self.scoring_uri, input, auth=bool(self.auth_enabled))

    def get_keys(self) -> tuple[str, str]:
        """The primary and the secondary key."""
        keys = self.workspace.mooring.call("POST", f"{self._path}/listkeys")
        return keys["primaryKey"], keys["secondaryKey"]

    def regen_key(self, key: str, set_key: str | None = None) -> None:
        """Replace a key.

        Args:
            key: ``Primary`` or ``Secondary``.
            set_key: the new one; None generates it.
        """
        kind = str(key).capitalize()
        if kind not in {"Primary", "Secondary"}:
            raise invalid(f"The key {key!r} does not exist: Primary or Secondary.", code="InvalidKeyType")
        body = {"keyType": kind, "keyValue": set_key}
        _, operation_id = self.workspace.mooring.start("POST", f"{self._path}/regenerateKeys", body)
        if operation_id:
            operation = follow(self.workspace.mooring, operation_id)
            if operation["state"] != "Succeeded":
                raise failure(operation, f"Regenerating the keys of {self.name}")

    def get_token(self) -> Any:
        """Not available: keys do the job."""
        raise not_available("Token authentication", "Use keys: service.get_keys().")

    # Changing

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Only kinds of services can be updated."""
        raise not_available(
            f"Updating a service of type {self.compute_type}", "Deploy it with overwrite=True."
        )

    def rollback(self, revision: int | None = None) -> None:
        """Return to an earlier revision; returns at once, `wait_for_deployment` waits for it. Mooring's own call.

        It answers all the time, keeps its address, keys and tags, and stays as it is when that revision does not
        come up any more. Called twice it goes back twice.

        Args:
            revision: a number from `revisions`, also a later one; None: the good one before.

        Raises:
            WebserviceException: NoPreviousRevision, RevisionNotFound.
        """
        body = {"revision": revision}
        data, operation_id = self.workspace.mooring.start("POST", f"{self._path}/rollback", body)
        self._fill(self.workspace, data)
        self.operation_id = operation_id or self.operation_id

    def delete(self) -> None:
        """Stop it and remove it; returns when it is gone and its name is free."""
        data, operation_id = self.workspace.mooring.start("DELETE", self._path)
        if operation_id:
            operation = follow(self.workspace.mooring, operation_id, timeout_seconds=DELETE_SECONDS)
            if operation["state"] != "Succeeded":
                raise failure(operation, f"Deletion of {self.name}")
        self._scorer.close()
        self._data = {**self._data, **data}
        self.state = "Deleted"
        self.operation_id = None

    # JSON

    def serialize(self) -> JSON:
        """The service as a dictionary with Azure's keys."""
        data = {key: value for key, value in self._data.items() if key not in {"kvTags", "models"}}
        return {
            **data,
            "tags": self.tags,
            "models": [model.serialize() for model in self.models],
            "workspaceName": self.workspace.name,
        }

    @classmethod
    def deserialize(cls, workspace: Any, webservice_payload: JSON) -> Webservice:
        """A service from the server's JSON, of the class for its compute type."""
        from mooring.sdk.service_kinds import class_of

        kind = class_of(str(webservice_payload.get("computeType", "")))
        made = object.__new__(kind)
        made._scorer = Scorer(str(webservice_payload.get("name")), made._primary_key)
        made._fill(workspace, webservice_payload)
        return made

    @property
    def image(self) -> Image | None:
        """The image it runs, fetched when asked for."""
        return Image(self.workspace, id=self.image_id) if self.image_id else None

    @property
    def environment(self) -> Any:
        """The Environment of its image, fetched when asked for."""
        from mooring.sdk.environment import Environment

        image = self.workspace.mooring.call("GET", f"/images/{part(self.image_id)}") if self.image_id else {}
        data = image.get("environment")
        return Environment.from_json({"name": f"{self.name}-env", **data}) if data else None

    @property
    def problem(self) -> Problem | None:
        """`error` as an object."""
        return Problem.from_json(self.error) if self.error else None

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(workspace={self.workspace!r}, name={self.name}, "
            f"image_id={self.image_id}, compute_type={self.compute_type}, state={self.state}, "
            f"scoring_uri={self.scoring_uri}, tags={self.tags}, properties={self.properties})"
        )

    @property
    def _path(self) -> str:
        return f"{self.collection}/{part(self.name)}"

    def _primary_key(self) -> str:
        return self.get_keys()[0]

    def _patch(self, body: JSON) -> None:
        data, operation_id = self.workspace.mooring.start("PATCH", self._path, body)
        self._fill(self.workspace, data)
        self.operation_id = operation_id or self.operation_id

    def _fill(self, workspace: Any, data: JSON) -> None:
        self.workspace = workspace
        self._data = data
        self.name: str = data["name"]
        self.compute_type: str = data["computeType"]
        self.state = data.get("state")
        self.error: JSON | None = data.get("error")
        self.created_time = time_of(data.get("createdTime"))
        self.updated_time = time_of(data.get("updatedTime"))
        self.created_by = data.get("createdBy")
        self.description = data.get("description")
        self.tags: Tags = data.get("kvTags") or {}
        self.properties: Tags = data.get("properties") or {}
        self.location = data.get("location")
        self.image_id: str | None = data.get("imageId")
        self.image_digest = data.get("imageDigest")
        self.models = [Model.deserialize(workspace, model) for model in data.get("models") or []]
        self.scoring_uri: str | None = data.get("scoringUri")
        self.swagger_uri: str | None = data.get("swaggerUri")
        self.deployment_status = data.get("deploymentStatus")
        self.operation_id = data.get("operationId")
        self.revision = data.get("revision")
        # Those to return to, newest first: {revision, state, imageId, imageDigest, modelIds, ...}.
        self.revisions: list[JSON] = data.get("revisions") or []
        self.isolation = data.get("isolation")
        self.inference_config: Any = None
        self._fill_kind(data)

    def _fill_kind(self, data: JSON) -> None:
        """Set the attributes that only this kind of service has."""
        self.auth_enabled = bool(data.get("authEnabled"))
