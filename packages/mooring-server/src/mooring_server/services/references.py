"""Which blobs the database refers to: what garbage collection leaves, and what a backup holds."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from mooring_server.images.documents import load_manifest
from mooring_server.images.oci import referenced_blobs
from mooring_server.store.content import ContentStore
from mooring_server.store.tables import BaseImage, Image, Model

# Rows that are looked at together; thousands of models have long lists of files.
_ROWS = 200


def referenced(session: Session, store: ContentStore) -> set[str]:
    """The digests of models' files, sources, locks, and of images and base images with all their layers.

    Raises:
        NotFound: ``BlobNotFound`` when the manifest of an image or a base image is lost.
    """
    kept: set[str] = set()
    manifests: set[str] = set()
    for files in session.scalars(select(Model.files).execution_options(yield_per=_ROWS)):
        kept.update(f["digest"] for f in files)
    images = select(Image.request, Image.digest, Image.built).execution_options(yield_per=_ROWS)
    for image in session.execute(images):
        kept.update(f["digest"] for f in image.request.get("files") or ())
        built = image.built or {}
        kept.update(d for d in (built.get("lock_digest"), built.get("sbom_digest")) if d)
        if image.digest and image.digest not in manifests:
            manifests.add(image.digest)
            kept.update(referenced_blobs(load_manifest(store, image.digest)))
    for digest in session.scalars(select(BaseImage.digest)):
        manifests.add(digest)
        kept.update(referenced_blobs(load_manifest(store, digest)))
    return kept | manifests
