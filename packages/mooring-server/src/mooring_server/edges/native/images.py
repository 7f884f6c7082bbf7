"""Routes: images."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse, StreamingResponse

from mooring_server.edges.native.access import CONTRIBUTOR, READER, guarded_router, needs
from mooring_server.edges.native.common import WORKSPACE, Filter, PageOf, Ref, accepted
from mooring_server.edges.native.schemas import ImageChanges, NewImage
from mooring_server.services.images import Images
from mooring_server.services.views import ImageView, Page


def routes(images: Images) -> APIRouter:
    """The routes over the use cases."""
    router = guarded_router("images")

    @router.post(WORKSPACE + "/images", status_code=202)
    @needs(CONTRIBUTOR)
    def create(ref: Ref, body: NewImage, response: Response) -> ImageView:
        """Build an image."""
        view = images.create(ref, body.name, body.model_dump(exclude={"name"}))
        accepted(response, ref, view["operationId"])
        return view

    @router.get(WORKSPACE + "/images")
    @needs(READER)
    def list_(
        ref: Ref,
        paging: PageOf,
        name: Filter = None,
        modelName: Filter = None,  # noqa: N803 - Azure's
        modelId: Filter = None,  # noqa: N803 - Azure's
        tags: Filter = None,
        properties: Filter = None,
    ) -> Page[ImageView]:
        """Images, newest first."""
        filters = {
            "name": name,
            "modelName": modelName,
            "modelId": modelId,
            "tags": tags,
            "properties": properties,
        }
        return images.list(ref, filters, paging)

    @router.get(WORKSPACE + "/images/{image_id}")
    @needs(READER)
    def get(ref: Ref, image_id: str) -> ImageView:
        """One version, or the latest of a name."""
        return images.get(ref, image_id)

    @router.patch(WORKSPACE + "/images/{image_id}")
    @needs(CONTRIBUTOR)
    def update(ref: Ref, image_id: str, body: ImageChanges) -> ImageView:
        """Change tags, properties or description."""
        return images.update(ref, image_id, body.model_dump(exclude_unset=True))

    @router.delete(WORKSPACE + "/images/{image_id}", status_code=204)
    @needs(CONTRIBUTOR)
    def delete(ref: Ref, image_id: str) -> None:
        """Delete a version."""
        images.delete(ref, image_id)

    @router.get(WORKSPACE + "/images/{image_id}/log", response_class=PlainTextResponse)
    @needs(READER)
    def log(ref: Ref, image_id: str, sig: Filter = None) -> str:  # noqa: ARG001 - the guard's, see `signature`
        """The build log; ``sig`` opens it without a token."""
        return images.log(ref, image_id)

    @router.get(WORKSPACE + "/images/{image_id}/lock", response_class=PlainTextResponse)
    @needs(READER)
    def lock(ref: Ref, image_id: str) -> str:
        """The resolved requirements with their hashes."""
        return images.attachment(ref, image_id, "lock").decode()

    @router.get(
        WORKSPACE + "/images/{image_id}/sbom",
        response_class=Response,
        responses={200: {"content": {"application/vnd.cyclonedx+json": {}}}},
    )
    @needs(READER)
    def sbom(ref: Ref, image_id: str) -> Response:
        """The CycloneDX bill of materials."""
        return Response(images.attachment(ref, image_id, "sbom"), media_type="application/vnd.cyclonedx+json")

    @router.get(
        WORKSPACE + "/images/{image_id}/archive",
        response_class=StreamingResponse,
        responses={200: {"content": {"application/x-tar": {}}}},
    )
    @needs(READER)
    def archive(ref: Ref, image_id: str) -> StreamingResponse:
        """The image as ``docker load`` takes it."""
        return StreamingResponse(images.archive(ref, image_id), media_type="application/x-tar")

    return router
