"""The model registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mooring_server.domain.errors import Conflict, InvalidRequest, NotFound
from mooring_server.domain.names import check_name, split_id
from mooring_server.domain.trees import check_digest, check_tree
from mooring_server.images.pickles.scan import Pickle, refused, scan_all
from mooring_server.services.context import Context, WorkspaceRef, find_workspace, next_version
from mooring_server.services.paging import Paging, page, tag_conditions
from mooring_server.services.views import FileView, ModelView, Page
from mooring_server.store.tables import Image, ImageModel, Model, Workspace, now

_EXTRA = (
    "runId",
    "experimentName",
    "resourceRequirements",
    "sampleInputData",
    "sampleOutputData",
)


class Models:
    """Register, find, change and delete models."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def register(self, ref: WorkspaceRef, request: dict[str, Any]) -> ModelView:
        """Make a new version of ``request["name"]`` from files whose content was uploaded before.

        Raises:
            InvalidRequest: ``InvalidName``, ``InvalidPath``, ``ModelEmpty``, ``BlobMissing``,
                ``PickleImportDangerous``.
        """
        name = check_name("model", request["name"])
        files = check_files(self._context, request["files"])
        if not files:
            raise InvalidRequest(
                "ModelEmpty",
                f"Model {name!r} would have no files.",
                hint="Register a file, or a folder with at least one file in it.",
                phase="Upload",
                target=name,
            )
        pickles = scan_all((file["path"], self._context.store.path(file["digest"])) for file in files)
        allowed = frozenset(request.get("allowedImports") or ())
        check_imports(name, pickles, allowed | self._context.allowed_imports)
        with self._context.db.write() as session:
            workspace = find_workspace(session, ref)
            created = now()
            model = Model(
                workspace_id=workspace.id,
                name=name,
                version=next_version(session, workspace, "model", name),
                description=request.get("description"),
                tags=request.get("kvTags") or {},
                properties=request.get("properties") or {},
                framework=request.get("framework") or "Custom",
                framework_version=request.get("frameworkVersion"),
                extra={k: request[k] for k in _EXTRA if request.get(k) is not None}
                | {"pickles": [pickle.to_json() for pickle in pickles]},
                files=files,
                created_by=self._context.user,
                created=created,
                modified=created,
            )
            session.add(model)
            return model_view(model)

    def get(self, ref: WorkspaceRef, model_id: str) -> ModelView:
        """One version, or the latest when ``model_id`` has no version.

        Raises:
            NotFound: ``ModelNotFound``.
        """
        with self._context.db.read() as session:
            return model_view(find_model(session, find_workspace(session, ref), model_id))

    def list(self, ref: WorkspaceRef, filters: dict[str, str | None], paging: Paging) -> Page[ModelView]:
        """Models newest first; ``filters`` are the query parameters of docs/protocols.md."""
        with self._context.db.read() as session:
            workspace = find_workspace(session, ref)
            query = select(Model).where(Model.workspace_id == workspace.id)
            if filters.get("name"):
                query = query.where(Model.name == filters["name"])
            if filters.get("framework"):
                query = query.where(Model.framework == filters["framework"])
            if filters.get("runId"):
                query = query.where(Model.extra["runId"].as_string() == filters["runId"])
            for condition in (
                *tag_conditions(Model.tags, filters.get("tags")),
                *tag_conditions(Model.properties, filters.get("properties")),
            ):
                query = query.where(condition)
            if filters.get("latestVersionOnly") == "true":
                latest = (
                    select(func.max(Model.id)).where(Model.workspace_id == workspace.id).group_by(Model.name)
                )
                query = query.where(Model.id.in_(latest))
            return page(session, query, Model.id, paging, lambda rows: [model_view(row) for row in rows])

    def update(self, ref: WorkspaceRef, model_id: str, changes: dict[str, Any]) -> ModelView:
        """Change what may change: tags, properties, description, samples, resources."""
        with self._context.db.write() as session:
            model = find_model(session, find_workspace(session, ref), model_id)
            if "kvTags" in changes:
                model.tags = changes["kvTags"] or {}
            if "properties" in changes:
                model.properties = changes["properties"] or {}
            if "description" in changes:
                model.description = changes["description"]
            model.extra = model.extra | {k: changes[k] for k in _EXTRA if k in changes}
            model.modified = now()
            return model_view(model)

    def delete(self, ref: WorkspaceRef, model_id: str) -> None:
        """Delete a version.

        Raises:
            Conflict: ``ModelInUse`` (412) while images hold it, with their ids.
        """
        with self._context.db.write() as session:
            workspace = find_workspace(session, ref)
            model = find_model(session, workspace, model_id)
            identity = f"{model.name}:{model.version}"
            holding = select(ImageModel.image_id).where(
                ImageModel.name == model.name, ImageModel.version == model.version
            )
            # The workspace is compared here: asked for it, SQLite would begin with all images of the workspace.
            found = session.execute(
                select(Image.workspace_id, Image.name, Image.version)
                .where(Image.id.in_(holding))
                .order_by(Image.id)
            )
            users = [f"{name}:{version}" for place, name, version in found if place == workspace.id]
            if users:
                raise Conflict(
                    "ModelInUse",
                    f"Model {identity} is part of image{'s' if len(users) > 1 else ''} {', '.join(users)}.",
                    hint="Delete these images, or the services they were made for, first.",
                    status_code=412,
                    target=identity,
                )
            session.delete(model)

    def file(self, ref: WorkspaceRef, model_id: str, path: str) -> Path:
        """Where the content of one of the model's files lies.

        Raises:
            NotFound: ``ModelFileNotFound``, with the files there are.
        """
        with self._context.db.read() as session:
            model = find_model(session, find_workspace(session, ref), model_id)
        for file in model.files:
            if file["path"] == path:
                return self._context.store.path(file["digest"])
        raise NotFound(
            "ModelFileNotFound",
            f"Model {model.name}:{model.version} has no file {path!r}.",
            target=path,
            evidence={"tree": "\n".join(file["path"] for file in model.files)},
        )


def find_model(session: Session, workspace: Workspace, model_id: str) -> Model:
    """The model ``name:version``, or the latest version of ``name``.

    Raises:
        NotFound: ``ModelNotFound``, with the versions there are.
    """
    name, version = split_id("model", model_id) if ":" in model_id else (model_id, None)
    query = select(Model).where(Model.workspace_id == workspace.id, Model.name == name)
    if version is not None:
        model = session.scalar(query.where(Model.version == version))
    else:
        model = session.scalar(query.order_by(Model.version.desc()).limit(1))
    if model is None:
        versions = session.scalars(query.order_by(Model.version)).all()
        raise NotFound(
            "ModelNotFound",
            f"There is no model {model_id!r} in workspace {workspace.name!r}.",
            hint=f"Versions of {name!r}: {', '.join(str(m.version) for m in versions)}."
            if versions
            else "Register it with Model.register(...) or `mooring model register`.",
            target=model_id,
        )
    return model


def check_files(context: Context, files: list[dict[str, Any]]) -> list[FileView]:
    """Check paths, digests and that every content is in the store; sizes are the store's own.

    Raises:
        InvalidRequest: ``InvalidPath``, ``InvalidDigest``, ``BlobMissing``.
    """
    check_tree(file["path"] for file in files)
    for file in files:
        check_digest(file["digest"])
        if not context.store.touch(file["digest"]):
            raise InvalidRequest(
                "BlobMissing",
                f"The content of {file['path']!r} was not uploaded.",
                hint="Upload it with PUT .../blobs/{digest} first.",
                phase="Upload",
                target=file["path"],
            )
    return [
        {
            "path": file["path"],
            "digest": file["digest"],
            "size": context.store.size(file["digest"]),
            "executable": bool(file.get("executable")),
        }
        for file in sorted(files, key=lambda f: str(f["path"]))
    ]


def check_imports(name: str, pickles: list[Pickle], allowed: frozenset[str]) -> None:
    """Refuse pickles that do more than models do.

    Raises:
        InvalidRequest: ``PickleImportDangerous``, with all of them in the evidence.
    """
    found = refused(pickles, allowed)
    if not found:
        return
    pickle, dangerous, reason = found[0]
    names = sorted({item[1] for item in found})
    raise InvalidRequest(
        "PickleImportDangerous",
        f"{pickle.path} imports {dangerous}, which {reason}, and is called when it is loaded. "
        f"Model {name!r} was not registered.",
        hint="Ask who made it. If it is meant to do that, allow it by name: "
        f"Model.register(..., allowed_imports={names}), `mooring model register --allow-import {names[0]}`, or "
        f"MOORING_ALLOWED_IMPORTS={','.join(names)} for all models of the server.",
        phase="Upload",
        target=dangerous,
        evidence={"imports": "\n".join(f"{item.path}: {what}: {why}" for item, what, why in found[:200])},
    )


def model_view(model: Model) -> ModelView:
    """A model as callers see it."""
    return {
        "id": f"{model.name}:{model.version}",
        "name": model.name,
        "version": model.version,
        "createdTime": model.created,
        "modifiedTime": model.modified,
        "createdBy": {"userName": model.created_by},
        "description": model.description,
        "kvTags": model.tags,
        "properties": model.properties,
        "framework": model.framework,
        "frameworkVersion": model.framework_version,
        "mimeType": "application/json",
        "url": f"aml://asset/{model.name}:{model.version}",
        "unpack": False,
        "runId": model.extra.get("runId"),
        "experimentName": model.extra.get("experimentName"),
        "resourceRequirements": model.extra.get("resourceRequirements"),
        "sampleInputData": model.extra.get("sampleInputData"),
        "sampleOutputData": model.extra.get("sampleOutputData"),
        "files": model.files,
        "pickles": model.extra.get("pickles") or [],
    }
