"""Routes: blobs, models, environments."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from mooring_server.domain.access import Principal
from mooring_server.domain.credentials import without_credentials
from mooring_server.domain.trees import check_digest
from mooring_server.edges.native.access import CONTRIBUTOR, READER, Caller, guarded_router, needs
from mooring_server.edges.native.common import WORKSPACE, Filter, PageOf, Ref
from mooring_server.edges.native.schemas import DigestList, ModelChanges, NewModel
from mooring_server.services.environments import Environments
from mooring_server.services.models import Models
from mooring_server.services.views import EnvironmentPage, ModelView, Page
from mooring_server.services.workspaces import Workspaces
from mooring_server.store.content import ContentStore

_CHUNK = 1 << 20


def blob_routes(workspaces: Workspaces, store: ContentStore) -> APIRouter:
    """Content, by digest. Uploads are written as they arrive: memory stays constant."""
    router = guarded_router("blobs")

    @router.post(WORKSPACE + "/blobs/missing")
    @needs(CONTRIBUTOR, quiet=True)
    def missing(ref: Ref, body: DigestList) -> dict[str, list[str]]:
        """Which of these the server does not have yet. Those it has are kept for at least an hour."""
        workspaces.get(ref)
        return {"missing": [digest for digest in body.digests if not store.touch(check_digest(digest))]}

    @router.put(WORKSPACE + "/blobs/{digest}", status_code=201)
    @needs(CONTRIBUTOR)
    async def upload(ref: Ref, digest: str, request: Request) -> dict[str, Any]:
        """Store one blob; its content must have the digest."""
        check_digest(digest)
        await run_in_threadpool(workspaces.get, ref)
        with store.writer() as writer:
            pending = bytearray()
            async for chunk in request.stream():
                pending += chunk
                if len(pending) >= _CHUNK:
                    await run_in_threadpool(writer.write, bytes(pending))
                    pending.clear()
            await run_in_threadpool(writer.write, bytes(pending))
            blob = await run_in_threadpool(writer.commit, digest)
        return {"digest": blob.digest, "size": blob.size}

    return router


def model_routes(models: Models) -> APIRouter:
    """The model registry."""
    router = guarded_router("models")

    @router.post(WORKSPACE + "/models", status_code=201)
    @needs(CONTRIBUTOR)
    def register(ref: Ref, body: NewModel) -> ModelView:
        """Register a new version."""
        return models.register(ref, body.model_dump())

    @router.get(WORKSPACE + "/models")
    @needs(READER)
    def list_(
        ref: Ref,
        paging: PageOf,
        name: Filter = None,
        tags: Filter = None,
        properties: Filter = None,
        framework: Filter = None,
        runId: Filter = None,  # noqa: N803 - Azure's
        latestVersionOnly: Filter = None,  # noqa: N803 - Azure's
    ) -> Page[ModelView]:
        """Models, newest first."""
        filters = {
            "name": name,
            "tags": tags,
            "properties": properties,
            "framework": framework,
            "runId": runId,
            "latestVersionOnly": latestVersionOnly,
        }
        return models.list(ref, filters, paging)

    @router.get(WORKSPACE + "/models/{model_id}")
    @needs(READER)
    def get(ref: Ref, model_id: str) -> ModelView:
        """One version, or the latest of a name."""
        return models.get(ref, model_id)

    @router.patch(WORKSPACE + "/models/{model_id}")
    @needs(CONTRIBUTOR)
    def update(ref: Ref, model_id: str, body: ModelChanges) -> ModelView:
        """Change tags, properties, description, samples or resources."""
        return models.update(ref, model_id, body.model_dump(exclude_unset=True))

    @router.delete(WORKSPACE + "/models/{model_id}", status_code=204)
    @needs(CONTRIBUTOR)
    def delete(ref: Ref, model_id: str) -> None:
        """Delete a version."""
        models.delete(ref, model_id)

    @router.get(
        WORKSPACE + "/models/{model_id}/files/{path:path}",
        response_class=FileResponse,
        responses={200: {"content": {"application/octet-stream": {}}}},
    )
    @needs(READER)
    def download(ref: Ref, model_id: str, path: Annotated[str, Path(max_length=1024)]) -> FileResponse:
        """One of its files."""
        return FileResponse(models.file(ref, model_id, path), media_type="application/octet-stream")

    return router


def environment_routes(environments: Environments) -> APIRouter:
    """Registered environments."""
    router = guarded_router("environments")

    @router.put(WORKSPACE + "/environments/{name}")
    @needs(CONTRIBUTOR)
    def register(ref: Ref, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Register a definition; the same one keeps its version."""
        return environments.register(ref, name, body)

    def shown(caller: Principal, definition: Any) -> Any:
        """Those who deploy get back what was registered; readers get no passwords of package indexes."""
        return definition if caller.role >= CONTRIBUTOR else without_credentials(definition)

    @router.get(WORKSPACE + "/environments")
    @needs(READER)
    def list_(ref: Ref, caller: Caller) -> EnvironmentPage:
        """The latest version of each."""
        return {"value": shown(caller, environments.list(ref))}

    @router.get(WORKSPACE + "/environments/{name}")
    @needs(READER)
    def get(ref: Ref, caller: Caller, name: str) -> dict[str, Any]:
        """The latest version."""
        return shown(caller, environments.get(ref, name, None))  # type: ignore[no-any-return]

    @router.get(WORKSPACE + "/environments/{name}/versions/{version}")
    @needs(READER)
    def get_version(ref: Ref, caller: Caller, name: str, version: str) -> dict[str, Any]:
        """One version."""
        return shown(caller, environments.get(ref, name, version))  # type: ignore[no-any-return]

    return router
