"""ContainerRegistry: where a base image comes from."""

from __future__ import annotations

from mooring.sdk.types import JSON


class RegistryIdentity:
    """A managed identity that may read a registry; kept, not used."""

    def __init__(self) -> None:
        self.resource_id: str | None = None
        self.client_id: str | None = None


class ContainerRegistry:
    """A private registry.

    Attributes:
        address: host name, as in ``myregistry.azurecr.io``.
        username: may be None for an open registry.
        password: its password.
    """

    def __init__(self) -> None:
        self.address: str | None = None
        self.username: str | None = None
        self.password: str | None = None
        self.registry_identity: RegistryIdentity | None = None

    def serialize(self) -> JSON | None:
        """``{address, username, password}``, or None if nothing is set."""
        values = {"address": self.address, "username": self.username, "password": self.password}
        return values if any(values.values()) else None

    @staticmethod
    def deserialize(payload: JSON | None) -> ContainerRegistry:
        """The inverse of `serialize`."""
        registry = ContainerRegistry()
        for name in ("address", "username", "password"):
            setattr(registry, name, (payload or {}).get(name))
        return registry
