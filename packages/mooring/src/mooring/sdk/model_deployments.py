"""The deploy calls since 2019, which are static methods of `Model`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mooring.sdk.console import out
from mooring.sdk.inference_config import InferenceConfig
from mooring.sdk.model_package import ModelPackage

if TYPE_CHECKING:
    from mooring.sdk.profile import ModelProfile
    from mooring.sdk.webservice import Webservice


class ModelDeployments:
    """A part of `Model`."""

    @staticmethod
    def deploy(
        workspace: Any,
        name: str,
        models: Any,
        inference_config: InferenceConfig | None = None,
        deployment_config: Any = None,
        deployment_target: Any = None,
        overwrite: bool = False,
        show_output: bool = False,
    ) -> Webservice:
        """Deploy models as a web service; returns at once, `Webservice.wait_for_deployment` waits.

        Args:
            workspace: where.
            name: of the service.
            models: `Model` objects or ids; may be empty.
            inference_config: entry script and environment; None for the frameworks that need none.
            deployment_config: `AciWebservice`'s (the default), `AksWebservice`'s or `LocalWebservice`'s.
            deployment_target: a compute target, for AKS.
            overwrite: replace a service of that name.
            show_output: wait and show how it goes.
        """
        from mooring.sdk import deploying

        service = deploying.deploy(
            workspace, name, models, inference_config, deployment_config, deployment_target, overwrite
        )
        if show_output:
            service.wait_for_deployment(show_output=True)
        return service

    @staticmethod
    def print_configuration(
        models: Any, inference_config: InferenceConfig | None, deployment_config: Any, deployment_target: Any
    ) -> None:
        """Print what `deploy` would do."""
        from mooring.sdk import deploying

        out(deploying.describe(models, inference_config, deployment_config, deployment_target))

    @staticmethod
    def package(
        workspace: Any,
        models: Any,
        inference_config: Any = None,
        generate_dockerfile: bool = False,
        image_name: str | None = None,
        image_label: str | None = None,
    ) -> ModelPackage:
        """Make an image to be taken away; returns at once, `ModelPackage.wait_for_creation` waits.

        Args:
            workspace: where.
            models: `Model` objects or ids; may be empty.
            inference_config: entry script and environment; None for the frameworks that need none.
            generate_dockerfile: the folder of `ModelPackage.save` is what is wanted; the image is made as well.
            image_name: its repository; Azure's default is ``package``.
            image_label: its tag beside its version.
        """
        from mooring.sdk import deploying

        return deploying.package(
            workspace,
            models,
            inference_config,
            generate_dockerfile=generate_dockerfile,
            image_name=image_name,
            image_label=image_label,
        )

    @staticmethod
    def profile(
        workspace: Any,
        profile_name: str,
        models: Any,
        inference_config: Any,
        input_dataset: Any,
        cpu: float | None = None,
        memory_in_gb: float | None = None,
        description: str | None = None,
    ) -> ModelProfile:
        """Measure how a model answers under limits; returns at once, `ModelProfile.wait_for_completion` waits.

        The image is built and started by itself, as a service would be; the requests are sent one after the other, few
        ones again and again.

        Args:
            workspace: where.
            profile_name: replaces one of that name that has ended.
            models: `Model` objects or ids; may be empty.
            inference_config: entry script and environment.
            input_dataset: the requests: texts in a list, or in a table with one column.
            cpu: the limit in cores, 0.1 to 3.5; as many of them as the server has by default.
            memory_in_gb: the limit, 0.1 to 15; likewise.
            description: a text.
        """
        from mooring.sdk.profile import ModelProfile

        return ModelProfile.create(
            workspace, profile_name, models, inference_config, input_dataset, cpu, memory_in_gb, description
        )
