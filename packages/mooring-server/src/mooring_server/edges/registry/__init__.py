"""The OCI registry's API."""

from mooring_server.edges.registry.distribution import RegistryIndex, registry_app

__all__ = ["RegistryIndex", "registry_app"]
