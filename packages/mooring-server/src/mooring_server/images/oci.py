"""The image's configuration and manifest (OCI image specification 1.1)."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import Any

from mooring_server.images import functions
from mooring_server.images.bases.base import BaseContent, own_architecture
from mooring_server.images.documents import CONFIG_TYPE, MANIFEST_TYPE, canonical_json
from mooring_server.images.environment import variables
from mooring_server.images.hostpythons import LIBRARIES
from mooring_server.images.interpreters import ENV
from mooring_server.images.layers import Layer
from mooring_server.images.runtime import FRONT
from mooring_server.images.types import BuildRequest

APP_ROOT = "/var/azureml-app"
MODELS = "azureml-models"
LOADER_PATH = "LD_LIBRARY_PATH"
# Of the content only: a time of building would give every build another digest.
CREATED = "1980-01-01T00:00:00Z"

KIND = "dev.mooring.layer"
NAME = "dev.mooring.name"
LOCK = "dev.mooring.lock"
SBOM = "dev.mooring.sbom"
LABEL_PYTHON = "dev.mooring.python"
LABEL_BASE = "dev.mooring.base"
# Names of the variables that come from the base: the process target has no use for them.
LABEL_BELOW = "dev.mooring.base-variables"
BASE_DIGEST = "org.opencontainers.image.base.digest"
BASE_NAME = "org.opencontainers.image.base.name"
# In a container: nobody on the host has this id, and Azure's images listen on this port.
USER = 10001
PORT = 5001
ENTRYPOINT = (f"/{FRONT}/bin/python", "-m", "mooring_runtime.container")


def image_environment(request: BuildRequest) -> dict[str, str]:
    """The variables of the image: the user's, then those that tell the worker where things are."""
    result = variables(request.environment)
    for name in ("AZUREML_SOURCE_DIRECTORY", "AZUREML_MODEL_DIR"):
        result.pop(name, None)
    result |= {"AML_APP_ROOT": APP_ROOT, "AZUREML_ENTRY_SCRIPT": request.entry_script}
    if request.source_directory:
        result["AZUREML_SOURCE_DIRECTORY"] = request.source_directory
    if len(request.models) == 1:
        model = request.models[0]
        result["AZUREML_MODEL_DIR"] = f"{APP_ROOT}/{MODELS}/{model.name}/{model.version}"
    elif request.models:
        result["AZUREML_MODEL_DIR"] = f"{APP_ROOT}/{MODELS}"
    if request.site:
        result |= functions.VARIABLES
    return result


def config_json(
    request: BuildRequest, layers: Sequence[Layer], python: str, base: BaseContent | None = None
) -> bytes:
    """The image's configuration.

    Args:
        request: what was asked for; its repository and tag are no part of the image.
        layers: lowest first, without those of the base.
        python: ``X.Y``.
        base: what lies below.
    """
    environment = image_environment(request)
    labels = {**request.labels, LABEL_PYTHON: python, LABEL_BASE: "none"}
    settings: dict[str, Any] = {"WorkingDir": APP_ROOT, "Labels": labels}
    if base is not None and request.base is not None:
        below = _below(base, [path for layer in layers if (path := layer.facts.get(LIBRARIES))])
        labels |= {LABEL_BASE: request.base.digest, LABEL_BELOW: " ".join(sorted(below.keys() - environment))}
        environment = {**below, **environment}
        if (shared := below.get(LOADER_PATH, "")) not in environment.get(LOADER_PATH, ""):
            environment[LOADER_PATH] += f":{shared}"
        settings |= {
            "User": f"{USER}:{USER}",
            "Entrypoint": list(ENTRYPOINT),
            "ExposedPorts": {f"{PORT}/tcp": {}},
        }
    return canonical_json(
        {
            "created": CREATED,
            "architecture": own_architecture(),
            "os": platform.system().lower(),
            "config": {**settings, "Env": [f"{name}={environment[name]}" for name in sorted(environment)]},
            "rootfs": {
                "type": "layers",
                "diff_ids": [*(base.diff_ids if base else ()), *(layer.diff_id for layer in layers)],
            },
            "history": [
                *(base.history if base else ()),
                *(
                    {"created": CREATED, "created_by": f"mooring {layer.kind} {layer.name}"}
                    for layer in layers
                ),
            ],
        }
    )


def _below(base: BaseContent, libraries: Sequence[str]) -> dict[str, str]:
    """The variables of a base, and those without which nothing starts upon it.

    Args:
        base: lies below.
        libraries: folders where the interpreters of other layers have theirs.
    """
    path = base.variables.get("PATH") or "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    loader = [*filter(None, [base.variables.get(LOADER_PATH)]), *libraries]
    return {
        "LANG": "C.UTF-8",
        **base.variables,
        "PATH": f"/{ENV}/bin:{path}",
        "PYTHONUNBUFFERED": "1",
        **({LOADER_PATH: ":".join(loader)} if loader else {}),
    }


def manifest_json(
    config_digest: str,
    config_size: int,
    layers: Sequence[Layer],
    annotations: Mapping[str, str],
    base: BaseContent | None = None,
) -> bytes:
    """The image's manifest; its digest is the image's."""
    own = [
        {
            "mediaType": layer.media_type,
            "digest": layer.digest,
            "size": layer.size,
            "annotations": {KIND: layer.kind, NAME: layer.name},
        }
        for layer in layers
    ]
    below = [{**layer, "annotations": {KIND: "base"}} for layer in base.layers] if base else []
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": CONFIG_TYPE, "digest": config_digest, "size": config_size},
            "layers": [*below, *own],
            "annotations": dict(annotations),
        }
    )


def referenced_blobs(manifest: Mapping[str, Any]) -> list[str]:
    """The digests an image needs beside its manifest: what must be kept while the image is."""
    annotations = manifest.get("annotations") or {}
    extra = [annotations[name] for name in (LOCK, SBOM) if name in annotations]
    return [manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"]), *extra]
