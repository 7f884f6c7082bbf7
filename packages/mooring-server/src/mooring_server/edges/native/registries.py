"""Routes: from which registry a workspace's images are pulled."""

from __future__ import annotations

from fastapi import APIRouter

from mooring_server.edges.native.access import CONTRIBUTOR, READER, guarded_router, needs
from mooring_server.edges.native.common import WORKSPACE, Ref
from mooring_server.edges.native.schemas import PasswordName, RegistrySettings
from mooring_server.services.workspace_registries import WorkspaceRegistries, WorkspaceRegistryView

REGISTRY = WORKSPACE + "/registry"


def routes(registries: WorkspaceRegistries) -> APIRouter:
    """The routes over the use cases; credentials are given by ``listKeys``."""
    router = guarded_router("workspaces")

    @router.get(REGISTRY)
    @needs(READER)
    def get(ref: Ref) -> WorkspaceRegistryView:
        """The registry that images are pulled from."""
        return registries.get(ref)

    @router.put(REGISTRY)
    @needs(CONTRIBUTOR)
    def use(ref: Ref, body: RegistrySettings) -> WorkspaceRegistryView:
        """Push images to a registry elsewhere from now on."""
        return registries.use(ref, body.address, body.username, body.password)

    @router.delete(REGISTRY)
    @needs(CONTRIBUTOR)
    def reset(ref: Ref) -> WorkspaceRegistryView:
        """Use the server's own registry again."""
        return registries.reset(ref)

    @router.post(REGISTRY + "/regenerateCredential", status_code=204)
    @needs(CONTRIBUTOR)
    def regenerate(ref: Ref, body: PasswordName) -> None:
        """Make another password of the server's own registry."""
        registries.regenerate(ref, body.name)

    return router
