"""What a pushed manifest says: pure reading of the OCI image specification's documents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mooring_server.domain.errors import InvalidRequest
from mooring_server.store.content import digest_of, parse_digest

IMAGES = frozenset(
    {
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    }
)
INDEXES = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)
MAX_BYTES = 4 << 20  # what the distribution specification asks registries to take at least


@dataclass(frozen=True)
class Manifest:
    """A manifest or an index.

    Attributes:
        digest: of its bytes.
        media_type: what it was pushed as.
        size: bytes.
        blobs: digests of the blobs it needs.
        manifests: digests of the manifests it needs.
        subject: digest of the manifest it is attached to.
        artifact_type: of an artifact; else its configuration's type.
        annotations: its own.
    """

    digest: str
    media_type: str
    size: int
    blobs: tuple[str, ...] = ()
    manifests: tuple[str, ...] = ()
    subject: str | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def refers_to(self) -> tuple[str, ...]:
        """All it needs."""
        return (*self.blobs, *self.manifests)


def read_manifest(data: bytes, media_type: str) -> Manifest:
    """Read a manifest that is pushed as ``media_type``.

    Raises:
        InvalidRequest: code ``ManifestInvalid``.
    """
    if len(data) > MAX_BYTES:
        raise _invalid(f"It has {len(data):,} bytes; at most {MAX_BYTES:,} are accepted.")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"It is no JSON: {error}.") from error
    if not isinstance(document, dict) or document.get("schemaVersion") != 2:
        raise _invalid("It is no JSON object with schemaVersion 2.")
    if document.get("mediaType", media_type) != media_type:
        raise _invalid(f"It was sent as {media_type}, but says that it is {document['mediaType']}.")
    if media_type in INDEXES:
        blobs: list[str] = []
        manifests = [_digest(each) for each in _list(document, "manifests")]
    elif media_type in IMAGES:
        blobs = [_digest(document.get("config")), *(_digest(each) for each in _list(document, "layers"))]
        manifests = []
    else:
        raise _invalid(f"Manifests of the type {media_type or 'none'} are not known here.")
    subject = document.get("subject")
    config = document.get("config") or {}
    artifact = document.get("artifactType") or (config.get("mediaType") if media_type in IMAGES else None)
    annotations = document.get("annotations") or {}
    if not isinstance(annotations, dict) or not all(isinstance(v, str) for v in annotations.values()):
        raise _invalid("Its annotations are no texts.")
    return Manifest(
        digest_of(data),
        media_type,
        len(data),
        tuple(dict.fromkeys(blobs)),
        tuple(dict.fromkeys(manifests)),
        None if subject is None else _digest(subject),
        None if artifact is None else str(artifact),
        annotations,
    )


def _list(document: Mapping[str, Any], name: str) -> list[Any]:
    value = document.get(name)
    if not isinstance(value, list):
        raise _invalid(f"It has no list of {name}.")
    return value


def _digest(descriptor: Any) -> str:
    if not isinstance(descriptor, dict) or not isinstance(descriptor.get("digest"), str):
        raise _invalid("A descriptor in it has no digest.")
    try:
        parse_digest(descriptor["digest"])
    except InvalidRequest as error:
        raise _invalid(error.message) from error
    return str(descriptor["digest"])


def _invalid(why: str) -> InvalidRequest:
    return InvalidRequest("ManifestInvalid", f"The manifest is not accepted. {why}")
