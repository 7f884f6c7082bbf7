"""Which image a function app's reference names, as far as its credentials open it."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterable
from typing import Any

from mooring_server.domain.errors import PhaseFailed
from mooring_server.domain.functions import REGISTRY_PASSWORD, REGISTRY_USER, find_setting, parse_image
from mooring_server.images.documents import load_manifest
from mooring_server.images.functions import LABEL
from mooring_server.services.context import Context
from mooring_server.services.repositories import Repositories
from mooring_server.services.workspace_registries import pushed_image

Authenticate = Callable[[str, str], "str | None"]


class Puller:
    """Finds images in this server's registry: what is there need not be fetched.

    Args:
        context: stores, and the address of the registry.
        repositories: what it has.
        authenticate: gives the registry that a user and password open, or None.
        other_addresses: give more of ``host:port`` by which the registry is reached.
    """

    def __init__(
        self,
        context: Context,
        repositories: Repositories,
        authenticate: Authenticate,
        other_addresses: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._context = context
        self._repositories = repositories
        self._authenticate = authenticate
        self._other_addresses = other_addresses

    def resolve(self, image: str, settings: dict[str, str]) -> str:
        """The digest of the manifest that ``image`` names now.

        Raises:
            PhaseFailed: ``RegistryNotReachable``, ``RegistryCredentialsWrong``, ``ImageNotFound``; phase ``Pull``.
        """
        reference = parse_image(image)
        ours = (self._context.address, *self._other_addresses())
        user = find_setting(settings, REGISTRY_USER) or ""
        password = find_setting(settings, REGISTRY_PASSWORD) or ""
        if not any(_same(reference.host, address) for address in ours):
            pushed = pushed_image(self._context, reference)
            if pushed is not None:
                if not pushed.opens(user, password):
                    raise _wrong_credentials(reference.host, user)
                return pushed.digest
            raise PhaseFailed(
                "RegistryNotReachable",
                f"The image {image!r} is in the registry {reference.host}; this server runs those of its own "
                f"registry, {self._context.address}.",
                hint="Package the model here, and give package.location.",
                phase="Pull",
                target=image,
            )
        registry = self._authenticate(user, password)
        if registry is None:
            raise _wrong_credentials(reference.host, user)
        allowed = reference.repository.partition("/")[0] == registry
        found = self._repositories.manifest(reference.repository, reference.reference) if allowed else None
        if found is None:
            raise PhaseFailed(
                "ImageNotFound",
                f"The registry {registry} has no image {reference.repository} with {reference.reference}.",
                hint="package.location names one; `az acr repository show-tags` lists the tags there are.",
                phase="Pull",
                target=image,
                evidence={
                    "tags": "\n".join(self._repositories.tags(reference.repository)) if allowed else ""
                },
            )
        return found[0]

    def functions(self, digest: str) -> list[dict[str, Any]]:
        """The functions of an image, each with ``name`` and ``bindings``.

        Raises:
            PhaseFailed: ``FunctionMissing``: it was packaged without functions.
        """
        manifest = load_manifest(self._context.store, digest)
        config = json.loads(self._context.store.read(manifest["config"]["digest"]))
        text = (config["config"].get("Labels") or {}).get(LABEL)
        if not text:
            raise PhaseFailed(
                "FunctionMissing",
                f"The image {digest} has no function in it.",
                hint="Package the model with functions_enabled=True and a trigger.",
                phase="Pull",
                target=digest,
            )
        functions: list[dict[str, Any]] = json.loads(text)
        return functions


def _wrong_credentials(host: str, user: str) -> PhaseFailed:
    return PhaseFailed(
        "RegistryCredentialsWrong",
        f"The registry {host} does not let user {user!r} in with the password that is set.",
        hint="`az acr credential show` and package.get_container_registry() tell user and password; "
        "set them: mooring functionapp config container set --registry-username ... "
        "--registry-password ...",
        phase="Pull",
        target=user,
    )


def _same(host: str, own: str) -> bool:
    """Whether both are this server: the names of the loopback are one."""
    if host == own.lower():
        return True
    (name, _, port), (mine, _, my_port) = host.rpartition(":"), own.rpartition(":")
    return port == my_port and _loopback(name) and _loopback(mine)


def _loopback(name: str) -> bool:
    try:
        return name == "localhost" or ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
