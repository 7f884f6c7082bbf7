"""Checks of the content store: every blob that something refers to is there, and is what it should be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from mooring_server.domain.errors import MooringError, NotFound
from mooring_server.images import oci
from mooring_server.images.documents import load_manifest
from mooring_server.services.checks.finding import Finding
from mooring_server.store.content import CHUNK, ContentStore
from mooring_server.store.tables import BaseImage, Image, Model, PushedManifest


@dataclass
class ContentCheck:
    """One walk over all references.

    Attributes:
        deep: read every blob and compare its digest.
        seen: size on disk of each blob looked at so far; None for one that is not there.
    """

    store: ContentStore
    deep: bool
    seen: dict[str, int | None] = field(default_factory=dict)
    models: int = 0
    images: int = 0

    def run(self, session: Session) -> Iterator[Finding]:
        """Look at models, then at images."""
        for model in session.scalars(select(Model).order_by(Model.id)):
            self.models += 1
            owner = f"model {model.name}:{model.version}"
            hint = f"Register the model again from its source, deploy with the new version, delete {owner}."
            for file in model.files:
                yield from self._blob(file["digest"], file["size"], f"{file['path']} of {owner}", hint)
        for image in session.scalars(select(Image).order_by(Image.id)):
            self.images += 1
            yield from self._image(image)
        for base in session.scalars(select(BaseImage).order_by(BaseImage.name)):
            hint = "Make it again: mooring base build, import or pull."
            yield from self._built(base.digest, f"base image {base.name}", hint)
        for pushed in session.scalars(select(PushedManifest)):
            owner = f"what was pushed to {pushed.repository}"
            for digest in (pushed.digest, *pushed.refers_to):
                yield from self._blob(
                    digest, None, owner, f"Push it again, or delete the manifest {pushed.digest}."
                )

    def counts(self) -> dict[str, int]:
        """How much was looked at."""
        sizes = [size for size in self.seen.values() if size is not None]
        return {"models": self.models, "images": self.images, "blobs": len(sizes), "bytes": sum(sizes)}

    def _image(self, image: Image) -> Iterator[Finding]:
        owner = f"image {image.name}:{image.version}"
        hint = f"Build it again under a new version, move its services to that, delete {owner}."
        for file in image.request.get("files") or ():
            yield from self._blob(file["digest"], file.get("size"), f"{file['path']} of {owner}", hint)
        if image.state != "Succeeded":
            return
        for name in ("lock_digest", "sbom_digest"):
            if digest := (image.built or {}).get(name):
                yield from self._blob(digest, None, f"{name.partition('_')[0]} of {owner}", hint)
        if not image.digest:
            yield _incomplete(owner, "It was built, but has no digest.", hint)
            return
        yield from self._built(image.digest, owner, hint)

    def _built(self, digest: str, owner: str, hint: str) -> Iterator[Finding]:
        """A manifest and what it names."""
        yield from self._blob(digest, None, f"manifest of {owner}", hint)
        try:
            manifest = load_manifest(self.store, digest)
            parts = [("config", manifest["config"]), *(("layer", layer) for layer in manifest["layers"])]
            for kind, part in parts:
                yield from self._blob(part["digest"], part["size"], f"{kind} of {owner}", hint)
            for other in oci.referenced_blobs(manifest):
                yield from self._blob(other, None, f"part of {owner}", hint)
            config = json.loads(self.store.read(manifest["config"]["digest"]))
            if len(config["rootfs"]["diff_ids"]) != len(manifest["layers"]):
                yield _incomplete(owner, "Its configuration lists other layers than its manifest.", hint)
        except NotFound:
            return  # told above
        except (MooringError, KeyError, TypeError, ValueError) as error:
            yield _incomplete(owner, f"Its manifest or configuration cannot be read: {error}.", hint)

    def _blob(self, digest: str, size: int | None, what: str, hint: str) -> Iterator[Finding]:
        first = digest not in self.seen
        if first:
            self.seen[digest] = self.store.size(digest) if self.store.has(digest) else None
        found = self.seen[digest]
        if found is None:
            yield Finding(code="BlobLost", subject=what, message=f"The content {digest} is gone.", hint=hint)
        elif size is not None and found != size:
            yield Finding(
                code="BlobSizeWrong",
                subject=what,
                message=f"The content {digest} has {found:,} bytes instead of {size:,}.",
                hint=hint,
            )
        elif first and self.deep and (actual := self._digest(digest)) != digest:
            yield Finding(
                code="BlobDamaged",
                subject=what,
                message=f"The bytes of {digest} have the digest {actual}.",
                hint=f"{hint} Look for failing disks.",
            )

    def _digest(self, digest: str) -> str:
        hashed = hashlib.sha256()
        with self.store.open(digest) as file:
            while chunk := file.read(CHUNK):
                hashed.update(chunk)
        return f"sha256:{hashed.hexdigest()}"


def _incomplete(owner: str, message: str, hint: str) -> Finding:
    return Finding(code="ImageIncomplete", subject=owner, message=message, hint=hint)
