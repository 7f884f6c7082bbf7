"""Routes: workspaces, registry credentials, computes."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from mooring_server.domain.errors import InvalidRequest, NotFound
from mooring_server.domain.names import workspace_key
from mooring_server.edges.native.access import CONTRIBUTOR, OWNER, READER, Caller, guarded_router, needs
from mooring_server.edges.native.common import ROOT, WORKSPACE, Filter, Ref
from mooring_server.edges.native.schemas import WorkspaceSettings
from mooring_server.services.context import WorkspaceRef
from mooring_server.services.views import Page, WorkspaceView
from mooring_server.services.workspaces import Workspaces


def routes(workspaces: Workspaces) -> APIRouter:
    """The routes over the use cases."""
    router = guarded_router("workspaces")

    @router.put(WORKSPACE, responses={201: {"model": WorkspaceView, "description": "It was created."}})
    @needs(CONTRIBUTOR)
    def create(ref: Ref, body: WorkspaceSettings, response: Response) -> WorkspaceView:
        """Create a workspace, or with ``existOk`` change one."""
        view, created = workspaces.create(ref, body.model_dump(), exist_ok=body.existOk)
        response.status_code = 201 if created else 200
        return view

    @router.get(WORKSPACE)
    @needs(READER)
    def get(ref: Ref) -> WorkspaceView:
        """One workspace."""
        return workspaces.get(ref)

    @router.delete(WORKSPACE, status_code=204)
    @needs(OWNER)
    def delete(ref: Ref) -> None:
        """Delete a workspace without models, images and services; MLflow's runs and artifacts in it go with it."""
        workspaces.delete(ref)

    @router.get(ROOT + "/subscriptions/{subscription}/workspaces")
    @needs(READER)
    def list_(
        subscription: str,
        caller: Caller,
        resourceGroup: Filter = None,  # noqa: N803 - Azure's
    ) -> Page[WorkspaceView]:
        """The workspaces of a subscription that the caller's token is for."""
        found = workspaces.list(subscription, resourceGroup)
        mine = [
            w
            for w in found
            if caller.may_enter(workspace_key(w["subscription"], w["resourceGroup"], w["name"]))
        ]
        return {"value": mine, "nextLink": None}

    @router.post(WORKSPACE + "/listKeys")
    @needs(CONTRIBUTOR)
    def list_keys(ref: Ref) -> dict[str, Any]:
        """The registry's credentials."""
        return workspaces.list_keys(ref)

    _computes(router, workspaces)
    return router


def _computes(router: APIRouter, workspaces: Workspaces) -> None:
    @router.get(WORKSPACE + "/computes")
    @needs(READER)
    def computes(ref: Ref) -> Page[dict[str, Any]]:
        """Attached computes: none on a machine of one's own."""
        workspaces.get(ref)
        return {"value": [], "nextLink": None}

    @router.put(WORKSPACE + "/computes/{name}")
    @needs(CONTRIBUTOR)
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

    def no_compute(ref: WorkspaceRef, name: str) -> NotFound:
        workspaces.get(ref)
        return NotFound("ComputeTargetNotFound", f"There is no compute target {name!r}.", target=name)

    @router.get(WORKSPACE + "/computes/{name}")
    @needs(READER)
    def get_compute(ref: Ref, name: str) -> dict[str, Any]:
        """One compute."""
        raise no_compute(ref, name)

    @router.delete(WORKSPACE + "/computes/{name}")
    @router.post(WORKSPACE + "/computes/{name}/listKeys")
    @needs(CONTRIBUTOR)
    def change_compute(ref: Ref, name: str) -> dict[str, Any]:
        """Detach one compute, or read its keys."""
        raise no_compute(ref, name)
