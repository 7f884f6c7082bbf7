"""Base images from registries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mooring_server.images.bases.base import Base
from mooring_server.images.bases.fetch import Log, fetch
from mooring_server.images.environment import base_reference, invalid, section
from mooring_server.images.references import ImageReference
from mooring_server.images.registry_client import Credentials, RegistryClient, of_environment
from mooring_server.store.content import ContentStore


def pull(
    store: ContentStore, text: str, log: Log, credentials: Credentials | None = None, host: str = ""
) -> Base:
    """Store an image of a registry.

    Args:
        store: takes it.
        text: as for ``docker pull``.
        log: takes lines that tell how it goes.
        credentials: else those that Docker or Podman keep.
        host: of the registry, if ``text`` does not name it.

    Raises:
        InvalidRequest: code ``ImageReferenceInvalid``.
        PhaseFailed: codes of `RegistryClient` and `fetch`.
    """
    reference = ImageReference.parse(text, host)
    log(f"Pulling {reference}.")
    with RegistryClient(reference, credentials, of_environment()) as registry:
        return fetch(store, registry, reference.wanted, str(reference), log)


def pull_for(store: ContentStore, environment: Mapping[str, Any], log: Log) -> Base | None:
    """The base that an environment names (``docker.baseImage``, ``docker.baseImageRegistry``), if any.

    Raises:
        InvalidRequest: codes ``EnvironmentInvalid``, ``ImageReferenceInvalid``.
        PhaseFailed: as of `pull`.
    """
    text = base_reference(environment)
    if text is None:
        return None
    registry = section(section(environment, "docker"), "baseImageRegistry")
    values = {}
    for name in ("address", "username", "password"):
        value = registry.get(name) or ""
        if not isinstance(value, str):
            raise invalid(f"`baseImageRegistry.{name}` must be a string.", f"docker.baseImageRegistry.{name}")
        values[name] = value
    host = values["address"].removeprefix("https://").removeprefix("http://").rstrip("/")
    given = Credentials(values["username"], values["password"]) if values["username"] else None
    return pull(store, text, log, given, host)
