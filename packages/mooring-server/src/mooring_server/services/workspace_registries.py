"""From which registry a workspace's images are pulled: the server's own, or one elsewhere that they are pushed to."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from mooring_server.domain.errors import InvalidRequest
from mooring_server.domain.functions import ImageReference as FunctionImage
from mooring_server.images.references import ImageReference
from mooring_server.images.registry_push import check_access, push
from mooring_server.images.registry_settings import Credentials, of_environment
from mooring_server.images.types import BuiltImage, Reporter
from mooring_server.services.context import Context, WorkspaceRef, find_workspace
from mooring_server.services.registries import new_password
from mooring_server.store.content import ContentStore
from mooring_server.store.tables import Image, Workspace


class WorkspaceRegistryView(TypedDict):
    """A registry; images are at ``<address>/<image>:<version>``."""

    address: str
    username: str
    external: bool


class WorkspaceRegistries:
    """The use cases."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def get(self, ref: WorkspaceRef) -> WorkspaceRegistryView:
        """The one that is used."""
        with self._context.db.read() as session:
            return self._view(find_workspace(session, ref))

    def use(self, ref: WorkspaceRef, address: str, username: str, password: str) -> WorkspaceRegistryView:
        """Push images to a registry elsewhere from now on; it is asked first whether it takes the credentials.

        Args:
            ref: the workspace.
            address: ``host[:port][/prefix]``.
            username: empty for what Docker or Podman keep on this machine.
            password: its password.

        Raises:
            InvalidRequest: ``RegistryAddressInvalid``.
            PhaseFailed: ``RegistryUnreachable``, ``RegistryDenied``.
        """
        found = {"address": _address(address), "username": username, "password": password}
        with self._context.db.read() as session:
            find_workspace(session, ref)
        check_access(_reference(found, "image", "1"), _credentials(found), of_environment())
        return self._write(ref, found)

    def reset(self, ref: WorkspaceRef) -> WorkspaceRegistryView:
        """Use the server's own registry again; what was pushed elsewhere stays there."""
        return self._write(ref, None)

    def regenerate(self, ref: WorkspaceRef, name: str) -> None:
        """Make another ``password`` or ``password2`` of the server's own registry.

        Raises:
            InvalidRequest: ``InvalidPasswordName``.
        """
        with self._context.db.write() as session:
            new_password(find_workspace(session, ref), name)

    def _write(self, ref: WorkspaceRef, found: dict[str, Any] | None) -> WorkspaceRegistryView:
        with self._context.db.write() as session:
            workspace = find_workspace(session, ref)
            workspace.external_registry = found
            return self._view(workspace)

    def _view(self, workspace: Workspace) -> WorkspaceRegistryView:
        used = workspace.external_registry
        if used is not None:
            return {"address": used["address"], "username": used["username"], "external": True}
        name = workspace.registry_name
        return {"address": f"{self._context.address}/{name}", "username": name, "external": False}


def delivery(image: Image) -> tuple[Mapping[str, Any], ImageReference, tuple[str, ...]] | None:
    """The registry elsewhere that an image is to be pushed to, its name and more tags of it; None if there is none."""
    registry = image.workspace.external_registry
    if registry is None:
        return None
    reference = _reference(registry, image.name, str(image.version))
    return registry, reference, (image.label,) if image.label else ()


def deliver(
    store: ContentStore,
    built: BuiltImage,
    to: tuple[Mapping[str, Any], ImageReference, tuple[str, ...]],
    reporter: Reporter,
) -> str:
    """Push what was built; the name that it has there.

    Raises:
        PhaseFailed: see `push`.
    """
    registry, reference, tags = to
    reporter.phase("Push", registry["address"])
    push(
        store,
        built.digest,
        reference,
        _credentials(registry),
        of_environment(),
        reporter.log,
        tags=tags,
        attached=built.sbom_manifest,
    )
    return str(reference)


@dataclass(frozen=True)
class PushedImage:
    """An image that was built here and pushed to its workspace's registry elsewhere."""

    digest: str
    _registry: Mapping[str, Any]

    def opens(self, username: str, password: str) -> bool:
        """Whether these are the credentials that the workspace has for it."""
        known = self._registry["username"], self._registry["password"]
        matches = [
            hmac.compare_digest(shown.encode(), kept.encode())
            for shown, kept in zip((username, password), known, strict=True)
        ]
        return bool(username) and all(matches)


def pushed_image(context: Context, reference: FunctionImage) -> PushedImage | None:
    """The image that is called so elsewhere, if it was built here: it need not be fetched."""
    repository = f"{reference.host}/{reference.repository}"
    with context.db.read() as session:
        for image in session.scalars(
            select(Image).where(Image.digest.is_not(None)).order_by(Image.id.desc())
        ):
            name, _, tag = str((image.built or {}).get("pushed", "")).rpartition(":")
            registry = image.workspace.external_registry
            if registry and name == repository and reference.reference in {tag, image.label, image.digest}:
                return PushedImage(str(image.digest), registry)
    return None


def pull_sources(context: Context, digest: str) -> list[tuple[ImageReference, Credentials | None]]:
    """The registries that have an image, by the digest of its manifest, and what opens them.

    First those elsewhere that it was pushed to: who uses one sees to it that it is reached from where containers run.
    """
    found: list[tuple[ImageReference, Credentials | None]] = []
    with context.db.read() as session:
        images = session.scalars(select(Image).where(Image.digest == digest).order_by(Image.id)).all()
        for image in images:
            pushed, registry = (image.built or {}).get("pushed"), image.workspace.external_registry
            if pushed:
                reference = ImageReference.parse(pushed)
                known = _credentials(registry) if registry and _lies_in(registry, pushed) else None
                found.append((reference, known or of_environment().credentials(reference.host)))
        for image in images[:1]:
            own = image.workspace
            name = f"{context.address}/{own.registry_name}/{image.name}:{image.version}"
            found.append((ImageReference.parse(name), Credentials(own.registry_name, own.registry_password)))
    return found


def _lies_in(registry: Mapping[str, Any], location: str) -> bool:
    return location.startswith(f"{registry['address']}/")


def _address(text: str) -> str:
    address = text.strip().removeprefix("https://").rstrip("/")
    try:
        ImageReference.parse(f"{address}/image:1")
    except InvalidRequest as error:
        raise InvalidRequest(
            "RegistryAddressInvalid",
            f"{text[:200]!r} is no address of a registry.",
            hint="host[:port], and a prefix of its repositories if you like: registry.example.com:5000/team",
            target=text[:200],
        ) from error
    return address


def _reference(registry: Mapping[str, Any], name: str, tag: str) -> ImageReference:
    return ImageReference.parse(f"{registry['address']}/{name}:{tag}")


def _credentials(registry: Mapping[str, Any]) -> Credentials | None:
    return Credentials(registry["username"], registry["password"]) if registry["username"] else None
