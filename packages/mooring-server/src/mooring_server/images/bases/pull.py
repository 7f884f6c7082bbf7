"""Base images from registries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mooring_server.images.bases.base import Base
from mooring_server.images.bases.fetch import Log, fetch
from mooring_server.images.environment import base_reference, invalid, section
from mooring_server.images.references import ImageReference
from mooring_server.images.registry_client import RegistryClient
from mooring_server.images.registry_settings import Credentials, of_environment
from mooring_server.store.content import ContentStore


def named(environment: Mapping[str, Any]) -> tuple[ImageReference, Credentials | None] | None:
    """The base that an environment names (``docker.baseImage``, ``docker.baseImageRegistry``), if any.

    Raises:
        InvalidRequest: codes ``EnvironmentInvalid``, ``ImageReferenceInvalid``.
    """
    text = base_reference(environment)
    if text is None:
        return None
    host, given = registry_of(environment)
    return ImageReference.parse(text, host), given


def registry_of(environment: Mapping[str, Any]) -> tuple[str, Credentials | None]:
    """The registry that an environment names (``docker.baseImageRegistry``): ``host[:port]``, and what opens it.

    Raises:
        InvalidRequest: code ``EnvironmentInvalid``.
    """
    registry = section(section(environment, "docker"), "baseImageRegistry")
    values = {}
    for name in ("address", "username", "password"):
        value = registry.get(name) or ""
        if not isinstance(value, str):
            raise invalid(f"`baseImageRegistry.{name}` must be a string.", f"docker.baseImageRegistry.{name}")
        values[name] = value
    host = values["address"].removeprefix("https://").removeprefix("http://").rstrip("/")
    given = Credentials(values["username"], values["password"]) if values["username"] else None
    return host, given


def pull(
    store: ContentStore,
    reference: ImageReference,
    log: Log,
    credentials: Credentials | None = None,
    *,
    usable: bool = True,
) -> Base:
    """Store an image of a registry.

    Args:
        store: takes it.
        reference: of the image.
        log: takes lines that tell how it goes.
        credentials: else those that Docker or Podman keep.
        usable: see `fetch`.

    Raises:
        PhaseFailed: codes of `RegistryClient` and `fetch`.
    """
    log(f"Pulling {reference}.")
    with RegistryClient(reference, credentials, of_environment()) as registry:
        return fetch(store, registry, reference.wanted, str(reference), log, usable=usable)
