"""Packages for function apps: ``azureml.contrib.functions``."""

from __future__ import annotations

from typing import Any

from mooring.sdk.deploying_models import model_ids_of
from mooring.sdk.errors import invalid
from mooring.sdk.inference_config import InferenceConfig
from mooring.sdk.model_package import REPOSITORY, ModelPackage
from mooring.sdk.types import JSON

HTTP_TRIGGER = "http"
BLOB_TRIGGER = "blob"
SERVICE_BUS_QUEUE_TRIGGER = "service_bus_queue"

# trigger: (its name in deployedApiOptions, {our argument: the name there})
_TRIGGERS: dict[str, tuple[str, dict[str, str]]] = {
    HTTP_TRIGGER: ("Http", {"auth_level": "authLevel"}),
    BLOB_TRIGGER: ("Blob", {"input_path": "inPath", "output_path": "outPath"}),
    SERVICE_BUS_QUEUE_TRIGGER: (
        "ServiceBusQueue",
        {"input_queue_name": "inQueueName", "output_queue_name": "outQueueName"},
    ),
}


def package(
    workspace: Any,
    models: Any,
    inference_config: Any,
    generate_dockerfile: bool = False,
    functions_enabled: bool = False,
    trigger: str | None = None,
    **kwargs: Any,
) -> ModelPackage:
    """Package models as an image, for a function app if ``functions_enabled``; returns at once.

    Args:
        workspace: where.
        models: `Model` objects or ids; may be empty.
        inference_config: entry script and `Environment`.
        generate_dockerfile: the folder of `ModelPackage.save` is what is wanted; the image is made as well.
        functions_enabled: whether it is for a function app; else ``trigger`` is passed over, as in Azure.
        trigger: ``HTTP_TRIGGER``, ``BLOB_TRIGGER`` or ``SERVICE_BUS_QUEUE_TRIGGER``.
        kwargs: ``auth_level`` (``anonymous``, ``function`` or ``admin``) for HTTP; ``input_path`` and ``output_path``
            for blobs; ``input_queue_name`` and ``output_queue_name`` for Service Bus.

    Raises:
        WebserviceException: the trigger or one of its options is wrong, or what `InferenceConfig` raises.
    """
    options = _options(trigger, kwargs) if functions_enabled else {}
    if not isinstance(inference_config, InferenceConfig):
        raise invalid(f"inference_config is {inference_config!r}, no InferenceConfig.", code="InvalidType")
    if inference_config.environment is None:
        raise invalid(
            "A package for functions needs an Environment in its inference configuration.",
            code="EnvironmentMissing",
            hint="Give InferenceConfig(entry_script=..., environment=Environment(...)).",
        )
    source = inference_config.source(REPOSITORY, workspace)
    request = source.request(workspace.mooring, model_ids_of(workspace, models))
    made = ModelPackage.create(
        workspace, {**request, "deployedApiOptions": options}, inference_config.environment
    )
    made.package_type = "Dockerfile" if generate_dockerfile else "DockerImage"
    return made


def package_http(
    workspace: Any,
    models: Any,
    inference_config: Any,
    generate_dockerfile: bool = False,
    auth_level: str | None = None,
) -> ModelPackage:
    """Package models as a function that answers at ``/api/score``; see `package`."""
    return package(
        workspace, models, inference_config, generate_dockerfile, True, HTTP_TRIGGER, auth_level=auth_level
    )


def package_blob(
    workspace: Any,
    models: Any,
    inference_config: Any,
    generate_dockerfile: bool = False,
    input_path: str | None = None,
    output_path: str | None = None,
) -> ModelPackage:
    """Package models as a function that scores each new or changed blob; see `package`.

    Args:
        workspace: where.
        models: `Model` objects or ids.
        inference_config: entry script and `Environment`.
        generate_dockerfile: see `package`.
        input_path: container and name of the blobs, with placeholders: ``input/{blobname}.json``.
        output_path: where the results go, with the same placeholders: ``output/{blobname}_out.json``.
    """
    paths = {"input_path": input_path, "output_path": output_path}
    return package(workspace, models, inference_config, generate_dockerfile, True, BLOB_TRIGGER, **paths)


def package_service_bus_queue(
    workspace: Any,
    models: Any,
    inference_config: Any,
    generate_dockerfile: bool = False,
    input_queue_name: str | None = None,
    output_queue_name: str | None = None,
) -> ModelPackage:
    """Package models as a function that answers the messages of a queue in another; see `package`."""
    names = {"input_queue_name": input_queue_name, "output_queue_name": output_queue_name}
    return package(
        workspace, models, inference_config, generate_dockerfile, True, SERVICE_BUS_QUEUE_TRIGGER, **names
    )


def _options(trigger: str | None, given: dict[str, Any]) -> JSON:
    if trigger not in _TRIGGERS:
        # Azure's text.
        raise invalid(
            f"Invalid trigger {trigger}, valid options are {list(_TRIGGERS)}", code="FunctionOptionInvalid"
        )
    name, known = _TRIGGERS[trigger]
    for option in given:
        if option not in known:
            raise invalid(f"Invalid option {option} for trigger {trigger}", code="FunctionOptionInvalid")
    options = {known[option]: value for option, value in given.items() if value is not None}
    return {"flavor": "functionsApp", "trigger": name, **options}
