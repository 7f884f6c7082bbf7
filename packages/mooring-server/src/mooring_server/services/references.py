"""Which blobs the database refers to: what garbage collection leaves, and what a backup holds."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from sqlalchemy import select
from sqlalchemy.orm import Session

from mooring_server.images.dockerfiles.recipe import context_digests
from mooring_server.images.documents import load_manifest
from mooring_server.images.oci import referenced_blobs
from mooring_server.store.content import ContentStore
from mooring_server.store.profile_tables import Profile
from mooring_server.store.tables import BaseImage, Environment, Image, Model, PushedBlob, PushedManifest

# Rows that are looked at together; thousands of models have long lists of files.
_ROWS = 200
# A client pushes blobs first, then the manifest.
AWAITED = timedelta(days=1)


def referenced(session: Session, store: ContentStore) -> set[str]:
    """The digests of models' files, sources, build contexts, locks, and of images and base images with their layers.

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
        kept.update(context_digests(image.request.get("environment") or {}))
        built = image.built or {}
        kept.update(d for d in (built.get("lock_digest"), built.get("sbom_digest")) if d)
        if image.digest and image.digest not in manifests:
            manifests.add(image.digest)
            kept.update(referenced_blobs(load_manifest(store, image.digest)))
        if attached := built.get("sbom_manifest"):
            manifests.add(attached)
            kept.update(referenced_blobs(load_manifest(store, attached)))
    for digest in session.scalars(select(BaseImage.digest)):
        manifests.add(digest)
        kept.update(referenced_blobs(load_manifest(store, digest)))
    kept.update(request["inputs"] for request in session.scalars(select(Profile.request)))
    for definition in session.scalars(select(Environment.definition).execution_options(yield_per=_ROWS)):
        kept.update(context_digests(definition))
    kept |= pushed(session)
    return kept | manifests


def pushed(session: Session) -> set[str]:
    """What clients have pushed: manifests, what these need, and blobs whose manifest may still come."""
    kept: set[str] = set()
    for digest, needed in session.execute(select(PushedManifest.digest, PushedManifest.refers_to)):
        kept.update((digest, *needed))
    kept.update(session.scalars(select(PushedBlob.digest).where(PushedBlob.created > awaited_since())))
    return kept


def awaited_since() -> str:
    """The manifest of a blob that was pushed before that time does not come any more."""
    return (datetime.now(timezone.utc) - AWAITED).isoformat(timespec="microseconds")
