"""The image's configuration and manifest (OCI image specification 1.1)."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from mooring_server.images import functions
from mooring_server.images.environment import variables
from mooring_server.images.layers import MEDIA_TYPE, Layer
from mooring_server.images.types import BuildRequest

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
APP_ROOT = "/var/azureml-app"
MODELS = "azureml-models"
# Of the content only: a time of building would give every build another digest.
CREATED = "1980-01-01T00:00:00Z"

KIND = "dev.mooring.layer"
NAME = "dev.mooring.name"
LOCK = "dev.mooring.lock"
SBOM = "dev.mooring.sbom"
LABEL_PYTHON = "dev.mooring.python"
LABEL_BASE = "dev.mooring.base"


def canonical_json(data: Any) -> bytes:
    """The one way this data is written."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


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


def config_json(request: BuildRequest, layers: Sequence[Layer], python: str) -> bytes:
    """The image's configuration.

    Args:
        request: what was asked for; its repository and tag are no part of the image.
        layers: lowest first.
        python: ``X.Y``.
    """
    architecture = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64"}.get(platform.machine())
    environment = image_environment(request)
    return canonical_json(
        {
            "created": CREATED,
            "architecture": architecture or platform.machine(),
            "os": platform.system().lower(),
            "config": {
                "Env": [f"{name}={environment[name]}" for name in sorted(environment)],
                "WorkingDir": APP_ROOT,
                "Labels": {**request.labels, LABEL_PYTHON: python, LABEL_BASE: "none"},
            },
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
            "history": [
                {"created": CREATED, "created_by": f"mooring {layer.kind} {layer.name}"} for layer in layers
            ],
        }
    )


def manifest_json(
    config_digest: str, config_size: int, layers: Sequence[Layer], annotations: Mapping[str, str]
) -> bytes:
    """The image's manifest; its digest is the image's."""
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": CONFIG_TYPE, "digest": config_digest, "size": config_size},
            "layers": [
                {
                    "mediaType": MEDIA_TYPE,
                    "digest": layer.digest,
                    "size": layer.size,
                    "annotations": {KIND: layer.kind, NAME: layer.name},
                }
                for layer in layers
            ],
            "annotations": dict(annotations),
        }
    )


def referenced_blobs(manifest: Mapping[str, Any]) -> list[str]:
    """The digests an image needs beside its manifest: what must be kept while the image is."""
    annotations = manifest.get("annotations") or {}
    extra = [annotations[name] for name in (LOCK, SBOM) if name in annotations]
    return [manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"]), *extra]
