"""Routes: workspaces, registry credentials, computes."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from mooring_server.domain.errors import InvalidRequest, NotFound
from mooring_server.edges.native.common import ERRORS, ROOT, WORKSPACE, Filter, Ref
from mooring_server.edges.native.schemas import WorkspaceSettings
from mooring_server.services.views import Page, WorkspaceView
from mooring_server.services.workspaces import Workspaces


def routes(workspaces: Workspaces) -> APIRouter:
    """The routes over the use cases."""
    router = APIRouter(tags=["workspaces"], responses=ERRORS)

    @router.put(WORKSPACE)
    def create(ref: Ref, body: WorkspaceSettings, response: Response) -> WorkspaceView:
        """Create a workspace, or with ``existOk`` change one."""
        view, created = workspaces.create(ref, body.model_dump(), exist_ok=body.existOk)
        response.status_code = 201 if created else 200
        return view

    @router.get(WORKSPACE)
    def get(ref: Ref) -> WorkspaceView:
        """One workspace."""
        return workspaces.get(ref)

    @router.delete(WORKSPACE, status_code=204)
    def delete(ref: Ref) -> None:
        """Delete an empty workspace."""
        workspaces.delete(ref)

    @router.get(ROOT + "/subscriptions/{subscription}/workspaces")
    def list_(subscription: str, resourceGroup: Filter = None) -> Page[WorkspaceView]:  # noqa: N803 - Azure's
        """The workspaces of a subscription."""
        return {"value": workspaces.list(subscription, resourceGroup), "nextLink": None}

    @router.post(WORKSPACE + "/listKeys")
    def list_keys(ref: Ref) -> dict[str, Any]:
        """The registry's credentials."""
        return workspaces.list_keys(ref)

    @router.get(WORKSPACE + "/computes")
    def computes(ref: Ref) -> Page[dict[str, Any]]:
        """Attached computes: none on a machine of one's own."""
        workspaces.get(ref)
        return {"value": [], "nextLink": None}

    @router.put(WORKSPACE + "/computes/{name}")
    def create_compute(ref: Ref, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Attach a compute; this server has no clusters."""
        workspaces.get(ref)
        kind = str(body.get("properties", body).get("computeType", "")) if isinstance(body, dict) else ""
        raise InvalidRequest(
            "ComputeTypeNotSupported",
            f"Compute {name!r} ({kind or 'unknown type'}) cannot be made: services run on this machine.",
            hint="Deploy with AciWebservice.deploy_configuration(...); it needs no compute target.",
            target=name,
        )

    @router.get(WORKSPACE + "/computes/{name}")
    @router.delete(WORKSPACE + "/computes/{name}")
    @router.post(WORKSPACE + "/computes/{name}/listKeys")
    def compute(ref: Ref, name: str) -> dict[str, Any]:
        """One compute."""
        workspaces.get(ref)
        raise NotFound("ComputeTargetNotFound", f"There is no compute target {name!r}.", target=name)

    return router
