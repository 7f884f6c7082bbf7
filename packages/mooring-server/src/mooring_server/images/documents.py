"""JSON documents of the OCI image specification: how they are written and read."""

from __future__ import annotations

import json
from typing import Any

from mooring_server.domain.errors import MooringError
from mooring_server.store.content import ContentStore

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"


def canonical_json(data: Any) -> bytes:
    """The one way this data is written."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def load_manifest(store: ContentStore, digest: str) -> dict[str, Any]:
    """Read an image's manifest.

    Raises:
        NotFound: code ``BlobNotFound``.
        MooringError: code ``ImageInvalid``.
    """
    try:
        manifest = json.loads(store.read(digest))
    except ValueError as error:
        raise MooringError(
            "ImageInvalid", f"{digest} is no image manifest: {error}.", phase="Unpack"
        ) from error
    if not isinstance(manifest, dict) or "layers" not in manifest or "config" not in manifest:
        raise MooringError("ImageInvalid", f"{digest} is no image manifest.", phase="Unpack")
    return manifest
