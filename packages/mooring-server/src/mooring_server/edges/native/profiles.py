"""Routes: profiles."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from mooring_server.edges.native.access import CONTRIBUTOR, READER, guarded_router, needs
from mooring_server.edges.native.common import WORKSPACE, Ref, accepted
from mooring_server.edges.native.schemas import NewProfile
from mooring_server.services.profiles import Profiles, ProfileView


def routes(profiles: Profiles) -> APIRouter:
    """The routes over the use cases."""
    router = guarded_router("profiles")

    @router.post(WORKSPACE + "/profiles", status_code=202)
    @needs(CONTRIBUTOR)
    def create(ref: Ref, body: NewProfile, response: Response) -> ProfileView:
        """Measure an image with the user's requests; one of that name that has ended is replaced."""
        view = profiles.create(ref, body.model_dump())
        accepted(response, ref, view["operationId"])
        return view

    @router.get(WORKSPACE + "/profiles")
    @needs(READER)
    def list_(ref: Ref) -> dict[str, Any]:
        """All of them, newest first."""
        return {"value": profiles.list(ref), "nextLink": None}

    @router.get(WORKSPACE + "/profiles/{name}")
    @needs(READER)
    def get(ref: Ref, name: str) -> ProfileView:
        """One of them."""
        return profiles.get(ref, name)

    @router.delete(WORKSPACE + "/profiles/{name}", status_code=204)
    @needs(CONTRIBUTOR)
    def delete(ref: Ref, name: str) -> None:
        """Forget it; one that is being made is given up."""
        profiles.delete(ref, name)

    return router
