"""How the deploy calls of both eras become one service request."""

from __future__ import annotations

import re
from typing import Any

from mooring.sdk.aci import AciWebservice
from mooring.sdk.aks import AksWebservice
from mooring.sdk.app_source import AppSource
from mooring.sdk.compute import AksCompute
from mooring.sdk.container_image_config import ImageConfig
from mooring.sdk.deploying_models import model_ids_of
from mooring.sdk.errors import invalid, not_available
from mooring.sdk.image import Image
from mooring.sdk.inference_config import InferenceConfig
from mooring.sdk.local import LocalWebservice
from mooring.sdk.local_config import LocalWebserviceDeploymentConfiguration
from mooring.sdk.model import Model
from mooring.sdk.model_package import REPOSITORY, ModelPackage
from mooring.sdk.names import check_service_name
from mooring.sdk.types import JSON, Strings
from mooring.sdk.webservice import Webservice
from mooring.sdk.webservice_parts import WebserviceDeploymentConfiguration


def deploy(
    workspace: Any,
    name: str,
    models: Any,
    inference_config: InferenceConfig | None,
    deployment_config: Any,
    deployment_target: Any,
    overwrite: bool,
) -> Webservice:
    """`Model.deploy`."""
    config = _begin(workspace, name, deployment_config, deployment_target, overwrite)
    if inference_config is None:
        image_request = _no_code(workspace, models)
        return _create(workspace, name, config, deployment_target, {"imageRequest": image_request}, overwrite)
    if not isinstance(inference_config, InferenceConfig):
        raise invalid(f"inference_config is {inference_config!r}, no InferenceConfig.", code="InvalidType")
    source = inference_config.source(name, workspace)
    ids = model_ids_of(workspace, models)
    return _create_from(workspace, name, config, deployment_target, source, ids, overwrite)


def package(
    workspace: Any,
    models: Any,
    inference_config: InferenceConfig | None,
    *,
    generate_dockerfile: bool,
    image_name: str | None,
    image_label: str | None,
) -> ModelPackage:
    """`Model.package`."""
    name = image_name or REPOSITORY
    environment = None
    if inference_config is None:
        request = _no_code(workspace, models)
    elif not isinstance(inference_config, InferenceConfig):
        raise invalid(f"inference_config is {inference_config!r}, no InferenceConfig.", code="InvalidType")
    else:
        request = inference_config.build_create_payload(workspace, name, model_ids_of(workspace, models))
        environment = inference_config.environment
    if image_label is not None:
        request["imageLabel"] = image_label
    made = ModelPackage.create(workspace, request, environment, name)
    made.package_type = "Dockerfile" if generate_dockerfile else "DockerImage"
    return made


def deploy_with_image(
    workspace: Any,
    name: str,
    models: Any,
    image_config: Any,
    deployment_config: Any,
    deployment_target: Any,
    overwrite: bool,
) -> Webservice:
    """`Webservice.deploy`, `Webservice.deploy_from_model` and `Webservice.deploy_local_from_model`."""
    config = _begin(workspace, name, deployment_config, deployment_target, overwrite)
    if not isinstance(image_config, ImageConfig):
        raise invalid(
            f"image_config is {image_config!r}.",
            code="InvalidType",
            hint="Make it with ContainerImage.image_configuration(...).",
        )
    source = image_config.source(name)
    ids = model_ids_of(workspace, models)
    return _create_from(workspace, name, config, deployment_target, source, ids, overwrite)


def deploy_image(
    workspace: Any, name: str, image: Any, deployment_config: Any, deployment_target: Any, overwrite: bool
) -> Webservice:
    """`Webservice.deploy_from_image`."""
    config = _begin(workspace, name, deployment_config, deployment_target, overwrite)
    if not isinstance(image, (Image, str)):
        raise invalid(f"image is {image!r}, no Image.", code="InvalidType")
    if isinstance(image, Image) and image.creation_state == "Running":
        # Azure makes the user wait; an image that is still being built is simply waited for.
        image.wait_for_creation(show_output=False)
    image_id = image.id if isinstance(image, Image) else image
    config.validate_image(image)
    return _create(workspace, name, config, deployment_target, {"imageId": image_id}, overwrite)


def new_image(service: Webservice, image: Any, models: Any, inference_config: Any) -> JSON:
    """The part of an update that changes the image: ``imageId``, ``imageRequest`` or nothing.

    Args:
        service: what is updated; its models are kept if none are given.
        image: an `Image` or an image's id, or None.
        models: or None.
        inference_config: or None.

    Raises:
        WebserviceException: an image together with the others, or models without a configuration.
    """
    if image is not None:
        if models is not None or inference_config is not None:
            raise invalid(
                "Give an image, or models and an inference configuration, not both.", code="InvalidRequest"
            )
        if isinstance(image, Image) and image.creation_state == "Running":
            image.wait_for_creation(show_output=False)
        return {"imageId": image.id if isinstance(image, Image) else str(image)}
    if inference_config is None:
        if models is None:
            return {}
        if not _is_mlflow(models):
            raise invalid("New models need an inference configuration as well.", code="InvalidRequest")
        return {"imageRequest": _no_code(service.workspace, models)}
    chosen = service.models if models is None else models
    ids = model_ids_of(service.workspace, chosen)
    return {"imageRequest": inference_config.build_create_payload(service.workspace, service.name, ids)}


def describe(models: Any, inference_config: Any, deployment_config: Any, deployment_target: Any) -> str:
    """What `Model.print_configuration` prints."""
    config = _choose(deployment_config, deployment_target)
    lines = ["Models: " + ", ".join(str(getattr(model, "id", model)) for model in models or [])]
    if inference_config is not None:
        environment = inference_config.environment
        lines.append(f"Entry script: {inference_config.entry_script}")
        lines.append(f"Source directory: {inference_config.source_directory}")
        lines.append(f"Environment: {environment.name if environment else inference_config.conda_file}")
    lines.append(f"Deployment ({config.compute_type}): {config.settings()}")
    if deployment_target is not None:
        lines.append(f"Target: {getattr(deployment_target, 'name', deployment_target)}")
    return "\n".join(lines)


def _begin(
    workspace: Any, name: str, deployment_config: Any, deployment_target: Any, overwrite: bool
) -> WebserviceDeploymentConfiguration:
    """Everything that can be found wrong before files are hashed and sent."""
    check_service_name(name)
    config = _choose(deployment_config, deployment_target)
    config.validate_configuration()
    local = isinstance(config, LocalWebserviceDeploymentConfiguration)
    if not local:
        Webservice.check_for_existing_webservice(workspace, name, overwrite)
    if config.compute_type.startswith("AKS") and not _compute_name(config, deployment_target):
        raise invalid(
            "A deployment to AKS needs to know the cluster.",
            code="ComputeMissing",
            hint="Give deployment_target=AksCompute(ws, 'name') or compute_target_name; "
            "for this machine use AciWebservice.deploy_configuration().",
        )
    return config


def _choose(deployment_config: Any, deployment_target: Any) -> WebserviceDeploymentConfiguration:
    if deployment_config is None:
        if isinstance(deployment_target, AksCompute):
            return AksWebservice.deploy_configuration()
        if deployment_target is not None:
            raise invalid(
                f"For the target {deployment_target!r} a deployment_config is needed.", code="InvalidRequest"
            )
        return AciWebservice.deploy_configuration()
    if not isinstance(deployment_config, WebserviceDeploymentConfiguration):
        raise invalid(
            f"deployment_config is {deployment_config!r}.",
            code="InvalidType",
            hint="Make it with AciWebservice, AksWebservice or LocalWebservice .deploy_configuration(...).",
        )
    return deployment_config


def _compute_name(config: WebserviceDeploymentConfiguration, target: Any) -> str | None:
    return getattr(target, "name", target) or getattr(config, "compute_target_name", None)


def _no_code(workspace: Any, models: Any) -> JSON:
    ids = model_ids_of(workspace, models)
    if len(ids) != 1:
        raise invalid(
            f"{len(ids)} models were given without an inference configuration; that works for exactly one.",
            code="InferenceConfigMissing",
            hint="Give an InferenceConfig with an entry script.",
        )
    return {"modelIds": ids, "entryScript": None, "environment": None}


def _is_mlflow(models: Any) -> bool:
    """Whether this is one folder that MLflow has written: it says itself how it is scored."""
    only = models[0] if isinstance(models, (list, tuple)) and len(models) == 1 else None
    return isinstance(only, Model) and any(
        re.fullmatch(r"[^/]+/MLmodel", file["path"]) for file in only.files
    )


def _create_from(
    workspace: Any,
    name: str,
    config: WebserviceDeploymentConfiguration,
    target: Any,
    source: AppSource,
    ids: Strings,
    overwrite: bool,
) -> Webservice:
    body: JSON = {"imageRequest": source.request(workspace.mooring, ids)}
    if isinstance(config, LocalWebserviceDeploymentConfiguration):
        body["localSource"] = {"app": source.to_json(), "modelIds": ids}
    return _create(workspace, name, config, target, body, overwrite)


def _create(
    workspace: Any,
    name: str,
    config: WebserviceDeploymentConfiguration,
    target: Any,
    what: JSON,
    overwrite: bool,
) -> Webservice:
    if config.compute_type == "AKSENDPOINT":
        raise not_available("AksEndpoint", "Use AksWebservice, or two services behind one name of your own.")
    local = isinstance(config, LocalWebserviceDeploymentConfiguration)
    body = {"name": name, **config.to_request(), **what, "overwrite": overwrite or local}
    compute = _compute_name(config, target)
    if compute and not local:
        body["computeName"] = compute
    path = LocalWebservice.collection if local else Webservice.collection
    data, operation_id = workspace.mooring.start("POST", path, body)
    service = Webservice.deserialize(workspace, data)
    service.operation_id = operation_id or service.operation_id
    service.inference_config = None
    return service
