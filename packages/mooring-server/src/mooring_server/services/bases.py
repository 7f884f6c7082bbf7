"""Base images: built, imported or pulled once for the whole server; one of them is the default."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from mooring_server.domain.errors import InvalidRequest, NotFound
from mooring_server.images.bases.archive import import_archive
from mooring_server.images.bases.base import Base
from mooring_server.images.bases.build import NAME, BaseBuilder
from mooring_server.images.bases.pull import named, pull
from mooring_server.images.dockerfiles.recipe import Recipe
from mooring_server.images.documents import load_manifest
from mooring_server.images.environment import base_reference
from mooring_server.images.oci import referenced_blobs
from mooring_server.images.references import ImageReference
from mooring_server.images.registry_settings import Credentials
from mooring_server.images.scratch import Scratch, kill_left
from mooring_server.services.context import Context
from mooring_server.services.views import BaseImageView
from mooring_server.store.tables import BaseImage, now

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")

Log = Callable[[str], None]


class Bases:
    """Make, find and delete base images."""

    def __init__(self, context: Context, scratch: Scratch) -> None:
        self._context = context
        self._scratch = scratch

    def clean_stale(self) -> int:
        """Remove what killed processes have left; to be called when the server starts."""
        kill_left(self._scratch.root)
        return self._scratch.clean_stale()

    def list(self) -> list[BaseImageView]:
        """All of them, by name."""
        with self._context.db.read() as session:
            return [_view(row) for row in session.scalars(select(BaseImage).order_by(BaseImage.name))]

    def get(self, name: str) -> BaseImageView:
        """One of them.

        Raises:
            NotFound: ``BaseNotFound``.
        """
        with self._context.db.read() as session:
            return _view(_find(session, name))

    def build(self, log: Log, name: str | None = None, mirror: str | None = None) -> BaseImageView:
        """Build the default base from Debian's packages; see `BaseBuilder.build`."""
        name = _checked(name or NAME)
        base = BaseBuilder(self._context.store, self._scratch).build(log, mirror)
        return self._add(name, base, "mooring base build")

    def import_(self, name: str, path: Path, log: Log) -> BaseImageView:
        """Take the image in a file; see `import_archive`."""
        base = import_archive(self._context.store, path, _checked(name), log)
        return self._add(name, base, "mooring base import")

    def pull(
        self, reference: str, log: Log, name: str | None = None, credentials: Credentials | None = None
    ) -> BaseImageView:
        """Take an image of a registry; see `mooring_server.images.bases.pull`."""
        wanted = ImageReference.parse(reference)
        short = f"{wanted.repository.rpartition('/')[2]}-{wanted.tag}".lower().replace("_", "-")
        name = _checked(name or short)
        return self._add(name, pull(self._context.store, wanted, log, credentials), "mooring base pull")

    def upload(self) -> AbstractContextManager[Path]:
        """A directory for a file that is imported afterwards; a context manager."""
        return self._scratch.directory()

    def set_default(self, name: str) -> BaseImageView:
        """Make it what images are built upon that do not name another.

        Raises:
            NotFound: ``BaseNotFound``.
        """
        with self._context.db.write() as session:
            chosen = _find(session, name)
            for row in session.scalars(select(BaseImage).where(BaseImage.is_default)):
                row.is_default = False
            chosen.is_default = True
            return _view(chosen)

    def delete(self, name: str) -> None:
        """Forget it; images built upon it keep its layers. Without a default images are built without a base.

        Raises:
            NotFound: ``BaseNotFound``.
        """
        with self._context.db.write() as session:
            row = _find(session, name)
            # An image that was asked for a moment ago may be built upon it still.
            for digest in (row.digest, *referenced_blobs(load_manifest(self._context.store, row.digest))):
                self._context.store.touch(digest)
            session.delete(row)

    def _add(self, name: str, base: Base, origin: str) -> BaseImageView:
        with self._context.db.write() as session:
            row = session.get(BaseImage, name)
            first = session.scalar(select(BaseImage.name).where(BaseImage.is_default)) is None
            if row is None:
                row = BaseImage(name=name, is_default=first)
                session.add(row)
            row.digest, row.content, row.origin, row.created = base.digest, asdict(base), origin, now()
            session.flush()
            return _view(row)


def base_of(session: Session, environment: Mapping[str, Any]) -> dict[str, Any] | None:
    """What an image with that environment is built upon, as it is now: a later default changes no image.

    Returns:
        A `Base` as JSON; None without a default, or for one that the builder has to pull.

    Raises:
        InvalidRequest: codes ``EnvironmentInvalid``, ``ImageReferenceInvalid``.
    """
    asked = named(environment)
    for row in session.scalars(select(BaseImage).order_by(BaseImage.name)):
        names = {row.name, row.content["reference"]}
        if (
            row.is_default
            if asked is None
            else not names.isdisjoint({base_reference(environment), str(asked[0])})
        ):
            content: dict[str, Any] = row.content
            return content
    return None


def froms_of(session: Session, recipe: Recipe | None) -> dict[str, Any]:
    """The bases of this server that a Dockerfile names, by the names it has for them, as they are now.

    Azure's own images stand for the default base, as they do without a Dockerfile.

    Returns:
        `Base`s as JSON; what is not among them has to be pulled.

    Raises:
        InvalidRequest: code ``BaseMissing``.
    """
    if recipe is None:
        return {}
    found = {}
    for image in recipe.dockerfile.images:
        asked = {"docker": {"baseImage": image}}
        base = base_of(session, asked)
        if base is not None:
            found[image] = base
        elif base_reference(asked) is None:
            raise InvalidRequest(
                "BaseMissing",
                f"The Dockerfile's {image} stands for this server's default base image, and there is none.",
                hint="Bring one: mooring base import, mooring base pull. For RUN it must have a shell, which that of "
                "`mooring base build` has not.",
                phase="Resolve",
                target=image,
            )
    return found


def _find(session: Session, name: str) -> BaseImage:
    row = session.get(BaseImage, name)
    if row is None:
        raise NotFound(
            "BaseNotFound",
            f"There is no base image {name!r}.",
            hint="`mooring base list` shows those there are.",
            target=name,
        )
    return row


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            "InvalidName",
            f"{name[:100]!r} is no name for a base image: lower-case letters, digits, and . _ - between them, "
            "at most 63.",
            target=name[:100],
        )
    return name


def _view(row: BaseImage) -> BaseImageView:
    facts = row.content["facts"]
    return {
        "name": row.name,
        "digest": row.digest,
        "reference": row.content["reference"],
        "architecture": row.content["architecture"],
        "sizeInBytes": row.content["size"],
        "pythons": sorted(facts["pythons"]),
        "glibc": facts["glibc"],
        "shell": facts["shell"] or None,
        "default": row.is_default,
        "origin": row.origin,
        "createdTime": row.created,
    }
