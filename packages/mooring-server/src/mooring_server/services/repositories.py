"""The registry's repositories: images that were built here, and what clients push.

A repository is ``<registry>/<name>``; every workspace is a registry. Versions of built images are tags that nobody can
push over, and what was built is deleted as an image (`services.images`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from mooring_server.domain.errors import Forbidden, NotFound
from mooring_server.images.artifacts import SBOM_TYPE
from mooring_server.images.documents import MANIFEST_TYPE
from mooring_server.services.context import Context
from mooring_server.services.pushed import Manifest
from mooring_server.store.tables import Image, PushedBlob, PushedManifest, PushedTag, Workspace, now


class Repositories:
    """The ``RegistryIndex`` of the registry edge, over the database."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def manifest(self, repository: str, reference: str) -> tuple[str, str] | None:
        """Digest and media type of the manifest with this tag or digest, or None."""
        with self._context.db.read() as session:
            for image in _images(session, repository):
                if image.digest and reference in {image.digest, str(image.version)}:
                    return image.digest, MANIFEST_TYPE
                if reference == _attached(image):
                    return reference, MANIFEST_TYPE
            key = _key(session, repository)
            if key is None:
                return None
            tag = session.get(PushedTag, {**key, "tag": reference})
            row = session.get(PushedManifest, {**key, "digest": tag.digest if tag else reference})
        return (row.digest, row.media_type) if row else None

    def tags(self, repository: str) -> list[str]:
        """Tags, oldest first; empty when there is no such repository."""
        with self._context.db.read() as session:
            built = [str(i.version) for i in _images(session, repository) if i.digest]
            key = _key(session, repository)
            pushed = session.scalars(_of(select(PushedTag.tag), PushedTag, key)).all() if key else ()
        return list(dict.fromkeys([*built, *pushed]))

    def repositories(self, registry: str) -> list[str]:
        """The repositories of one registry, sorted."""
        with self._context.db.read() as session:
            of_registry = Workspace.registry_name == registry
            built = select(Image.name).join(Workspace).where(of_registry, Image.digest.is_not(None))
            names = set(session.scalars(built.distinct()))
            for table in (PushedManifest, PushedBlob):
                query = select(table.repository).join(Workspace, Workspace.id == table.workspace_id)
                names.update(session.scalars(query.where(of_registry).distinct()))
        return sorted(f"{registry}/{name}" for name in names)

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository has this blob: of an image that was built, or pushed."""
        with self._context.db.read() as session:
            key = _key(session, repository)
            if key is not None and session.get(PushedBlob, {**key, "digest": digest}) is not None:
                return True
            images = list(_images(session, repository))
        manifests = {image.digest for image in images if image.digest}
        manifests |= {attached for image in images if (attached := _attached(image))}
        for manifest in manifests:
            content = json.loads(self._context.store.path(manifest).read_bytes())
            if digest in {content["config"]["digest"], *(layer["digest"] for layer in content["layers"])}:
                return True
        return False

    def referrers(self, repository: str, digest: str) -> list[dict[str, Any]]:
        """Descriptors of the manifests whose subject this is, whether or not it is there itself."""
        with self._context.db.read() as session:
            found = [
                _descriptor(MANIFEST_TYPE, attached, self._context.store.size(attached), SBOM_TYPE, {})
                for image in _images(session, repository)
                if image.digest == digest and (attached := _attached(image))
            ]
            key = _key(session, repository)
            if key is not None:
                query = _of(select(PushedManifest), PushedManifest, key).where(
                    PushedManifest.subject == digest
                )
                found += [
                    _descriptor(row.media_type, row.digest, row.size, row.artifact_type, row.annotations)
                    for row in session.scalars(query.order_by(PushedManifest.digest))
                ]
        return list({each["digest"]: each for each in found}.values())

    def add_blob(self, repository: str, digest: str) -> None:
        """A blob has been pushed, or is mounted."""
        with self._context.db.write() as session:
            key = _required(session, repository)
            row = session.get(PushedBlob, {**key, "digest": digest})
            if row is None:
                row = PushedBlob(**key, digest=digest)
                session.add(row)
            row.created = now()

    def add_manifest(self, repository: str, manifest: Manifest, tag: str | None) -> None:
        """A manifest has been pushed, and its tag moves to it.

        Raises:
            Forbidden: ``TagOfImage``.
        """
        with self._context.db.write() as session:
            key = _required(session, repository)
            if tag is not None:
                _check_tag(session, repository, tag, manifest.digest)
            row = session.get(PushedManifest, {**key, "digest": manifest.digest})
            if row is None:
                row = PushedManifest(**key, digest=manifest.digest)
                session.add(row)
            row.media_type, row.size, row.subject = manifest.media_type, manifest.size, manifest.subject
            row.refers_to, row.artifact_type = list(manifest.refers_to), manifest.artifact_type
            row.annotations, row.created = dict(manifest.annotations), now()
            if tag is not None:
                session.merge(PushedTag(**key, tag=tag, digest=manifest.digest))

    def delete_tag(self, repository: str, tag: str) -> bool:
        """Take a tag away; False if there is none.

        Raises:
            Forbidden: ``TagOfImage``.
        """
        with self._context.db.write() as session:
            _check_tag(session, repository, tag, None)
            row = session.get(PushedTag, {**_required(session, repository), "tag": tag})
            if row is not None:
                session.delete(row)
        return row is not None

    def delete_manifest(self, repository: str, digest: str) -> bool:
        """Delete a manifest with its tags; False if there is none.

        Raises:
            Forbidden: ``TagOfImage``, ``ManifestInUse``.
        """
        with self._context.db.write() as session:
            for image in _images(session, repository):
                if digest in {image.digest, _attached(image)}:
                    raise _of_image(image)
            key = _required(session, repository)
            row = session.get(PushedManifest, {**key, "digest": digest})
            if row is None:
                return False
            for other in session.scalars(_of(select(PushedManifest), PushedManifest, key)):
                if digest in other.refers_to:
                    raise Forbidden("ManifestInUse", f"The index {other.digest} refers to it.")
            session.execute(_of(delete(PushedTag), PushedTag, key).where(PushedTag.digest == digest))
            session.delete(row)
        return True

    def delete_blob(self, repository: str, digest: str) -> bool:
        """Take a blob out of a repository; False if it does not have it.

        Raises:
            Forbidden: ``BlobInUse``.
        """
        with self._context.db.write() as session:
            key = _required(session, repository)
            for row in session.scalars(_of(select(PushedManifest), PushedManifest, key)):
                if digest in row.refers_to:
                    raise Forbidden("BlobInUse", f"The manifest {row.digest} needs it; delete that first.")
            blob = session.get(PushedBlob, {**key, "digest": digest})
            if blob is not None:
                session.delete(blob)
                return True
        if self.has_blob(repository, digest):
            raise Forbidden("BlobInUse", "An image that was built here needs it.")
        return False


def _images(session: Session, repository: str) -> Iterator[Image]:
    registry, _, name = repository.partition("/")
    query = select(Image).join(Workspace).where(Workspace.registry_name == registry, Image.name == name)
    yield from session.scalars(query.order_by(Image.version))


def _key(session: Session, repository: str) -> dict[str, Any] | None:
    """Workspace and name of a repository."""
    registry, _, name = repository.partition("/")
    found = session.scalar(select(Workspace.id).where(Workspace.registry_name == registry))
    return None if found is None else {"workspace_id": found, "repository": name}


def _required(session: Session, repository: str) -> dict[str, Any]:
    key = _key(session, repository)
    if key is None:
        raise NotFound("WorkspaceNotFound", f"There is no registry {repository.partition('/')[0]!r}.")
    return key


def _of(query: Any, table: type[PushedManifest | PushedTag | PushedBlob], key: dict[str, Any]) -> Any:
    return query.where(table.workspace_id == key["workspace_id"], table.repository == key["repository"])


def _attached(image: Image) -> str | None:
    return (image.built or {}).get("sbom_manifest") or None


def _descriptor(
    media_type: str, digest: str, size: int, artifact_type: str | None, annotations: dict[str, str]
) -> dict[str, Any]:
    made: dict[str, Any] = {"mediaType": media_type, "digest": digest, "size": size}
    if artifact_type:
        made["artifactType"] = artifact_type
    if annotations:
        made["annotations"] = annotations
    return made


def _check_tag(session: Session, repository: str, tag: str, digest: str | None) -> None:
    for image in _images(session, repository):
        if str(image.version) == tag and (image.digest is None or image.digest != digest):
            raise _of_image(image)


def _of_image(image: Image) -> Forbidden:
    return Forbidden(
        "TagOfImage",
        f"{image.version} is the image {image.name}:{image.version}, which was built here.",
        hint="Push another tag; delete it with: mooring image delete",
    )
