"""The deploy calls of 2018, which are static methods of `Webservice`."""

# ruff: noqa: ARG004 - Azure's signatures have arguments that have no meaning here
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mooring.sdk.client import part
from mooring.sdk.errors import invalid
from mooring.sdk.exceptions import WebserviceException

if TYPE_CHECKING:
    from mooring.sdk.webservice import Webservice


class ServiceDeployments:
    """A part of `Webservice`."""

    @staticmethod
    def deploy(
        workspace: Any,
        name: str,
        model_paths: Any,
        image_config: Any,
        deployment_config: Any = None,
        deployment_target: Any = None,
        overwrite: bool = False,
    ) -> Webservice:
        """Register files, build an image and deploy it; returns at once.

        Args:
            workspace: where.
            name: of the service.
            model_paths: files and folders; each is registered under its base name.
            image_config: from `ContainerImage.image_configuration`.
            deployment_config: `AciWebservice`'s by default.
            deployment_target: a compute target, for AKS.
            overwrite: replace a service of that name.
        """
        from mooring.sdk import deploying

        return deploying.deploy_with_image(
            workspace, name, model_paths, image_config, deployment_config, deployment_target, overwrite
        )

    @staticmethod
    def deploy_from_model(
        workspace: Any,
        name: str,
        models: Any,
        image_config: Any,
        deployment_config: Any = None,
        deployment_target: Any = None,
        overwrite: bool = False,
    ) -> Webservice:
        """Build an image for registered models and deploy it; returns at once. Arguments as for `deploy`."""
        from mooring.sdk import deploying

        return deploying.deploy_with_image(
            workspace, name, models, image_config, deployment_config, deployment_target, overwrite
        )

    @staticmethod
    def deploy_from_image(
        workspace: Any,
        name: str,
        image: Any,
        deployment_config: Any = None,
        deployment_target: Any = None,
        overwrite: bool = False,
    ) -> Webservice:
        """Deploy an image; returns at once. Arguments as for `deploy`; ``image`` is an `Image` or an id."""
        from mooring.sdk import deploying

        return deploying.deploy_image(workspace, name, image, deployment_config, deployment_target, overwrite)

    @staticmethod
    def deploy_local_from_model(
        workspace: Any,
        name: str,
        models: Any,
        image_config: Any,
        deployment_config: Any = None,
        wait: bool = False,
    ) -> Any:
        """Deploy as a local web service; with ``wait`` only return once it answers."""
        from mooring.sdk import deploying
        from mooring.sdk.local import LocalWebservice

        config = deployment_config or LocalWebservice.deploy_configuration()
        service = deploying.deploy_with_image(workspace, name, models, image_config, config, None, True)
        if wait:
            service.wait_for_deployment(show_output=True)
        return service

    @staticmethod
    def check_for_existing_webservice(
        workspace: Any, name: str, overwrite: bool = False, request_func: Any = None, check_func: Any = None
    ) -> None:
        """Fail early if the name is taken.

        Raises:
            WebserviceException: ServiceExists, unless ``overwrite``.
        """
        try:
            workspace.mooring.call("GET", f"/services/{part(name)}")
        except WebserviceException as error:
            if error.code == "WebserviceNotFound":
                return
            raise
        if not overwrite:
            raise invalid(
                f"A service named {name} exists already in the workspace {workspace.name}.",
                code="ServiceExists",
                hint="Use overwrite=True, update it (service.update), or delete it (service.delete).",
            )
