"""Images as a registry shows them: repositories, tags, manifests, blobs."""

from __future__ import annotations

import json

from sqlalchemy import select
from sqlalchemy.orm import Session

from mooring_server.services.context import Context
from mooring_server.store.tables import Image, Workspace

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


class Repositories:
    """The ``RegistryIndex`` of the registry edge, over the images table. Repositories are ``<registry>/<image>``."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def manifest(self, repository: str, reference: str) -> tuple[str, str] | None:
        """Digest and media type of the manifest with this tag or digest, or None."""
        with self._context.db.read() as session:
            for image in self._images(session, repository):
                if image.digest and reference in {image.digest, str(image.version), image.label}:
                    return image.digest, MANIFEST_TYPE
        return None

    def tags(self, repository: str) -> list[str]:
        """Tags, oldest first; empty when there is no such repository."""
        with self._context.db.read() as session:
            images = [i for i in self._images(session, repository) if i.digest]
            return [i.label or str(i.version) for i in images]

    def repositories(self, registry: str) -> list[str]:
        """The repositories of one registry, sorted."""
        with self._context.db.read() as session:
            names = session.scalars(
                select(Image.name)
                .join(Workspace)
                .where(Workspace.registry_name == registry, Image.digest.is_not(None))
                .distinct()
            )
            return sorted(f"{registry}/{name}" for name in names)

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether an image of the repository has this layer or configuration."""
        with self._context.db.read() as session:
            digests = {i.digest for i in self._images(session, repository) if i.digest}
        for manifest in digests:
            content = json.loads(self._context.store.path(manifest).read_bytes())
            if digest in {content["config"]["digest"], *(layer["digest"] for layer in content["layers"])}:
                return True
        return False

    @staticmethod
    def _images(session: Session, repository: str) -> list[Image]:
        registry, _, name = repository.partition("/")
        query = select(Image).join(Workspace).where(Workspace.registry_name == registry, Image.name == name)
        return list(session.scalars(query.order_by(Image.version)))
