"""Routes: web services and local web services, which differ in their collection only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse

from mooring_server.edges.native.access import CONTRIBUTOR, READER, guarded_router, needs
from mooring_server.edges.native.common import WORKSPACE, Filter, PageOf, Ref, accepted
from mooring_server.edges.native.schemas import KeyChange, NewService, Rollback, ServiceChanges
from mooring_server.services.views import KeysView, Page, ServiceView
from mooring_server.services.webservices import Webservices
from mooring_server.targets.base import Target


def routes(services: Webservices, collection: str, target: Target) -> APIRouter:
    """The routes over the use cases."""
    base = f"{WORKSPACE}/{collection}"
    one = base + "/{name}"
    router = guarded_router(collection)

    @router.post(base, status_code=202, operation_id=f"{collection}_create")
    @needs(CONTRIBUTOR)
    def create(ref: Ref, body: NewService, response: Response) -> ServiceView:
        """Deploy a service."""
        view = services.create(ref, body.model_dump())
        accepted(response, ref, view["operationId"])
        return view

    @router.get(base, operation_id=f"{collection}_list")
    @needs(READER)
    def list_(
        ref: Ref,
        paging: PageOf,
        computeType: Filter = None,  # noqa: N803 - Azure's
        imageName: Filter = None,  # noqa: N803 - Azure's
        imageId: Filter = None,  # noqa: N803 - Azure's
        imageDigest: Filter = None,  # noqa: N803 - Azure's
        modelName: Filter = None,  # noqa: N803 - Azure's
        modelId: Filter = None,  # noqa: N803 - Azure's
        tags: Filter = None,
        properties: Filter = None,
    ) -> Page[ServiceView]:
        """Services, newest first."""
        filters = {
            "computeType": computeType,
            "imageName": imageName,
            "imageId": imageId,
            "imageDigest": imageDigest,
            "modelName": modelName,
            "modelId": modelId,
            "tags": tags,
            "properties": properties,
        }
        return services.list(ref, filters, paging)

    @router.get(one, operation_id=f"{collection}_get")
    @needs(READER)
    def get(ref: Ref, name: str) -> ServiceView:
        """One service."""
        return services.get(ref, name)

    @router.patch(one, status_code=202, operation_id=f"{collection}_update")
    @needs(CONTRIBUTOR)
    def update(ref: Ref, name: str, body: ServiceChanges, response: Response) -> ServiceView:
        """Change a service."""
        view = services.update(ref, name, body.model_dump(exclude_unset=True))
        accepted(response, ref, view["operationId"])
        return view

    @router.delete(one, status_code=202, operation_id=f"{collection}_delete")
    @needs(CONTRIBUTOR)
    def delete(ref: Ref, name: str, response: Response) -> ServiceView:
        """Delete a service; its keys are kept for one of the same name."""
        view = services.delete(ref, name)
        accepted(response, ref, view["operationId"])
        return view

    @router.post(one + "/listkeys", operation_id=f"{collection}_listkeys")
    @needs(CONTRIBUTOR)
    def listkeys(ref: Ref, name: str) -> KeysView:
        """The service's keys."""
        return services.keys(ref, name)

    @router.post(one + "/regenerateKeys", status_code=202, operation_id=f"{collection}_regenerateKeys")
    @needs(CONTRIBUTOR)
    def regenerate(ref: Ref, name: str, body: KeyChange, response: Response) -> KeysView:
        """Replace one key; it is accepted when the operation has succeeded."""
        view = services.regenerate_key(ref, name, body.keyType, body.keyValue)
        accepted(response, ref, view["operationId"])
        return services.keys(ref, name)

    @router.get(one + "/logs", operation_id=f"{collection}_logs", response_model=None)
    @needs(READER)
    def logs(
        ref: Ref,
        name: str,
        tail: Annotated[int, Query(ge=0, le=1_000_000)] = 5000,
        init: bool = False,  # noqa: ARG001 - Azure's; start-up output is in the same log
        follow: bool = False,
    ) -> dict[str, str] | StreamingResponse:
        """The workers' output, also after they are gone; ``follow`` streams it as text."""
        uid = services.uid(ref, name)
        if follow:
            return StreamingResponse(_lines(target, uid, tail), media_type="text/plain")
        return {"content": target.logs(uid, tail)}

    _add_rollback(router, services, collection, one)
    return router


def _add_rollback(router: APIRouter, services: Webservices, collection: str, one: str) -> None:
    @router.post(one + "/rollback", status_code=202, operation_id=f"{collection}_rollback")
    @needs(CONTRIBUTOR)
    def rollback(ref: Ref, name: str, response: Response, body: Rollback | None = None) -> ServiceView:
        """Return to the good revision before, or to the one named."""
        view = services.rollback(ref, name, body.revision if body else None)
        accepted(response, ref, view["operationId"])
        return view


def _lines(target: Target, uid: str, tail: int) -> Iterator[str]:
    return target.follow_logs(uid, tail)
