"""LocalWebservice: a service for trying things out; `reload` brings edited files into it in a moment."""

# ruff: noqa: ARG002, ARG004 - Azure's signatures have arguments that have no meaning here
from __future__ import annotations

from pathlib import Path
from typing import Any

from mooring.sdk.app_source import AppSource
from mooring.sdk.client import part
from mooring.sdk.console import out
from mooring.sdk.deploying_models import model_ids_of
from mooring.sdk.errors import invalid, not_available
from mooring.sdk.exceptions import WebserviceException
from mooring.sdk.local_config import LocalWebserviceDeploymentConfiguration
from mooring.sdk.types import JSON
from mooring.sdk.webservice import Webservice

STATES = {"Transitioning": "deploying", "Healthy": "running", "Unhealthy": "failed", "Failed": "failed"}


class LocalWebservice(Webservice):
    """A service on this machine, in a name space of its own.

    Args:
        workspace: where it is.
        name: its name.
        must_exist: fail if there is none; else `state` is ``unknown``.

    Attributes:
        state: ``deploying``, ``running``, ``failed``, ``deleted`` or ``unknown``.

    Raises:
        WebserviceException: its text begins with ``WebserviceNotFound``.
    """

    collection = "/localServices"
    kind = "LOCAL"

    def __new__(cls, workspace: Any, name: str, must_exist: bool = True) -> LocalWebservice:  # noqa: PYI034 - of the class it turns out to be
        """Fetch it."""
        try:
            data = workspace.mooring.call("GET", f"{cls.collection}/{part(name)}")
        except WebserviceException as error:
            if must_exist or error.code != "WebserviceNotFound":
                raise
            data = {"name": name, "computeType": "LOCAL"}
        made = cls.deserialize(workspace, data)
        if not isinstance(made, LocalWebservice):
            raise invalid(f"The service {name} is no local web service.", code="WrongServiceType")
        return made

    def __init__(self, workspace: Any, name: str, must_exist: bool = True) -> None:
        super().__init__(workspace, name)

    @staticmethod
    def deploy_configuration(port: int | None = None) -> LocalWebserviceDeploymentConfiguration:
        """How to run: see `LocalWebserviceDeploymentConfiguration`."""
        return LocalWebserviceDeploymentConfiguration(port)

    @property
    def port(self) -> int | None:
        """The port it answers on."""
        return self._port

    @property
    def base_url(self) -> str | None:
        """Its address without a path."""
        return self.scoring_uri.rsplit("/", 1)[0] if self.scoring_uri else None

    def wait_for_deployment(self, show_output: bool = False, timeout_sec: float | None = None) -> None:
        """Wait until the last deployment or update has ended; see `Webservice.wait_for_deployment`."""
        super().wait_for_deployment(False, timeout_sec) if not show_output else self._wait_shown(timeout_sec)

    def update_deployment_state(self, must_exist: bool = False) -> None:
        """Read the service again.

        Args:
            must_exist: fail if it is gone; else `state` becomes ``deleted``.
        """
        try:
            super().update_deployment_state()
        except WebserviceException as error:
            if must_exist or error.code != "WebserviceNotFound":
                raise
            self.state = "deleted"

    @staticmethod
    def list(  # type: ignore[override]  # Azure's has other arguments
        workspace: Any,
        model_name: str | None = None,
        model_id: str | None = None,
        all: Any = None,  # noqa: A002
    ) -> Any:
        """Local web services, as a list."""
        params = {"modelName": model_name, "modelId": model_id}
        found = workspace.mooring.pages(LocalWebservice.collection, params)
        return [Webservice.deserialize(workspace, data) for data in found]

    def get_logs(self, num_lines: int = 5000, raw: bool = False) -> Any:
        """The last lines of its logs.

        Args:
            num_lines: at most so many.
            raw: as bytes.
        """
        text = super().get_logs(num_lines)
        return text.encode("utf-8") if raw else text

    def run(self, input_data: Any) -> Any:
        """Score; see `Webservice.run`."""
        return super().run(input_data)

    def reload(self, wait: bool = False) -> None:
        """Collect the source files again and put them into the service; works in another process, too.

        Args:
            wait: return only once it answers with them.

        Raises:
            WebserviceException: SourceUnknown, if it was deployed from a finished image or without an entry
            script;
                EntryScriptNotFound, if the files have gone.
        """
        self._patch({"imageRequest": self._source().request(self.workspace.mooring, self._model_ids())})
        if wait:
            self.wait_for_deployment(show_output=True)

    def update(
        self,
        models: Any = None,
        image_config: Any = None,
        deployment_config: Any = None,
        wait: bool = False,
        inference_config: Any = None,
    ) -> None:
        """Other models, code or settings; None leaves a thing as it is.

        Args:
            models: or None.
            image_config: of 2018, or None.
            deployment_config: for another port, or None.
            wait: return only once it answers with them.
            inference_config: or None.
        """
        if image_config is not None and inference_config is not None:
            raise invalid("Give image_config or inference_config, not both.", code="InvalidRequest")
        body: JSON = {}
        if models is not None or image_config is not None or inference_config is not None:
            if inference_config is not None:
                source: AppSource = inference_config.source(self.name, self.workspace)
            else:
                source = image_config.source(self.name) if image_config is not None else self._source()
            ids = self._model_ids() if models is None else model_ids_of(self.workspace, models)
            body["imageRequest"] = source.request(self.workspace.mooring, ids)
            body["localSource"] = {"app": source.to_json(), "modelIds": ids}
        if deployment_config is not None and deployment_config.port is not None:
            body["port"] = deployment_config.port
        if not body:
            raise invalid("Nothing to update was given.", code="NothingToUpdate")
        self._patch(body)
        if wait:
            self.wait_for_deployment(show_output=True)

    def deploy_to_cloud(
        self, name: str | None = None, deployment_config: Any = None, deployment_target: Any = None
    ) -> Webservice:
        """Deploy the very image that runs here as a web service.

        Args:
            name: of the new service; the same by default.
            deployment_config: `AciWebservice`'s by default.
            deployment_target: a compute target, for AKS.
        """
        if not self.image_id:
            raise invalid(f"The service {self.name} has no image yet.", code="ServiceNotReady")
        return Webservice.deploy_from_image(
            self.workspace, name or self.name, self.image_id, deployment_config, deployment_target
        )

    def delete(
        self, delete_cache: bool = True, delete_image: bool = False, delete_volume: bool = True
    ) -> None:
        """Stop it and remove it.

        Args:
            delete_cache: accepted.
            delete_image: remove its image, too.
            delete_volume: accepted.
        """
        image = self.image if delete_image else None
        super().delete()
        self.state = "deleted"
        if image is not None:
            image.delete()

    def get_keys(self) -> Any:
        """Local web services have no keys."""
        raise not_available("Keys of a local web service", "It is called without: service.run(input_data).")

    def regen_key(self, key: str, set_key: str | None = None) -> None:
        """Local web services have no keys."""
        raise not_available("Keys of a local web service", "It is called without: service.run(input_data).")

    def _wait_shown(self, timeout_sec: float | None) -> None:
        super().wait_for_deployment(True, timeout_sec)
        out(f"Local webservice is running at {self.base_url}")

    def _source(self) -> AppSource:
        app = (self._local_source or {}).get("app")
        if not app:
            raise invalid(
                f"The local service {self.name} was not deployed from files of this machine.",
                code="SourceUnknown",
                hint="Give it new ones: service.update(models, inference_config=...).",
            )
        source = AppSource.from_json(app)
        if not source.script_path().is_file() and not Path(source.script_path()).exists():
            raise invalid(
                f"The entry script of {self.name} is not at {source.script_path()} any more.",
                code="EntryScriptNotFound",
                hint="Give it new files: service.update(models, inference_config=...).",
            )
        return source

    def _model_ids(self) -> Any:
        return (self._local_source or {}).get("modelIds") or [model.id for model in self.models]

    def _fill_kind(self, data: JSON) -> None:
        super()._fill_kind(data)
        self.auth_enabled = False
        self.state = STATES.get(str(data.get("state")), "unknown")
        self._port: int | None = data.get("port")
        self._local_source: JSON | None = data.get("localSource")
