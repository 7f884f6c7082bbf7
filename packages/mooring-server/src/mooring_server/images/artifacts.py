"""Manifests of what is attached to images: the bill of materials as an OCI referrer (image specification 1.1)."""

from __future__ import annotations

from typing import Any

from mooring_server.images.documents import MANIFEST_TYPE, canonical_json
from mooring_server.store.content import ContentStore

EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY = b"{}"
SBOM_TYPE = "application/vnd.cyclonedx+json"


def attach(store: ContentStore, image: str, digest: str, artifact_type: str, title: str) -> str:
    """Store the manifest that attaches a blob to an image; its digest. Equal arguments give an equal manifest."""

    def descriptor(media_type: str, blob: str, **more: Any) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": blob, "size": store.size(blob), **more}

    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": artifact_type,
        "config": descriptor(EMPTY_TYPE, store.put_bytes(EMPTY)),
        "layers": [descriptor(artifact_type, digest, annotations={"org.opencontainers.image.title": title})],
        "subject": descriptor(MANIFEST_TYPE, image),
    }
    return store.put_bytes(canonical_json(manifest))
