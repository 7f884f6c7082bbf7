"""Images: what was asked for, what was built."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from mooring_server.domain.entry_script import check_entry_script
from mooring_server.domain.errors import Conflict, InvalidRequest, NotFound
from mooring_server.domain.init_timeout import init_seconds
from mooring_server.domain.names import check_name, split_id
from mooring_server.images import functions
from mooring_server.images.bases.base import Base
from mooring_server.images.docker_archive import docker_archive, has_base
from mooring_server.images.dockerfiles.recipe import context_files, recipe_of
from mooring_server.images.documents import load_manifest
from mooring_server.images.nocode import nocode_request
from mooring_server.images.types import BuildRequest, ModelTree, TreeFile
from mooring_server.services.bases import base_of, froms_of
from mooring_server.services.context import Context, WorkspaceRef, find_workspace, next_version
from mooring_server.services.image_labels import new_label
from mooring_server.services.image_view import image_view, image_views, model_conditions
from mooring_server.services.models import check_files, find_model
from mooring_server.services.operations import Operations, start_operation
from mooring_server.services.paging import Paging, page, tag_conditions
from mooring_server.services.views import ImageView, Page
from mooring_server.store.content import ContentStore
from mooring_server.store.function_tables import FunctionApp
from mooring_server.store.tables import Image, ImageModel, Model, Service, Workspace, now

_MAX_MODELS = 1000  # Azure's limit
_MAX_SCRIPT = 16 * 1024 * 1024
_REQUEST = ("entryScript", "sourceDirectory", "files", "environment", "deployedApiOptions", "base", "froms")


class Images:
    """Ask for, find and delete images."""

    def __init__(self, context: Context, operations: Operations) -> None:
        self._context = context
        self._operations = operations

    def create(self, ref: WorkspaceRef, name: str, request: dict[str, Any]) -> ImageView:
        """Record an image to be built as the next version of ``name``; the controller builds it.

        Raises:
            InvalidRequest: ``InvalidName``, ``EntryScript...``, ``ModelNotFound``, ``BlobMissing``, ...
        """
        check_name("image", name)
        with self._context.db.read() as session:
            prepared = prepare_request(self._context, session, find_workspace(session, ref), request)
        with self._context.db.write() as session:
            workspace = find_workspace(session, ref)
            image = add_image(session, workspace, name, prepared, implicit=False)
            operation = start_operation(
                session,
                workspace,
                "CreateImage",
                "CreateImage",
                resource="images",
                resource_id=f"{image.name}:{image.version}",
            )
            image.operation_id = operation.id
            session.flush()
            view, row = image_view(self._context, session, image), image.id
        self._context.wake_image(row)
        return view

    def get(self, ref: WorkspaceRef, image_id: str) -> ImageView:
        """One version, or the latest when ``image_id`` has no version.

        Raises:
            NotFound: ``ImageNotFound``.
        """
        with self._context.db.read() as session:
            image = find_image(session, find_workspace(session, ref), image_id)
            return image_view(self._context, session, image)

    def list(self, ref: WorkspaceRef, filters: dict[str, str | None], paging: Paging) -> Page[ImageView]:
        """Images that users made, newest first (not those made for a service on the way)."""
        with self._context.db.read() as session:
            workspace = find_workspace(session, ref)
            query = select(Image).where(Image.workspace_id == workspace.id, Image.implicit.is_(False))
            if filters.get("name"):
                query = query.where(Image.name == filters["name"])
            for condition in (
                *tag_conditions(Image.tags, filters.get("tags")),
                *tag_conditions(Image.properties, filters.get("properties")),
            ):
                query = query.where(condition)
            for condition in model_conditions(Image.id, filters):
                query = query.where(condition)
            return page(
                session, query, Image.id, paging, functools.partial(image_views, self._context, session)
            )

    def update(self, ref: WorkspaceRef, image_id: str, changes: dict[str, Any]) -> ImageView:
        """Change tags, properties or description."""
        with self._context.db.write() as session:
            image = find_image(session, find_workspace(session, ref), image_id)
            if "kvTags" in changes:
                image.tags = changes["kvTags"] or {}
            if "properties" in changes:
                image.properties = changes["properties"] or {}
            if "description" in changes:
                image.description = changes["description"]
            image.modified = now()
            return image_view(self._context, session, image)

    def delete(self, ref: WorkspaceRef, image_id: str) -> None:
        """Delete a version; a build that runs for it is dropped when it ends.

        Raises:
            Conflict: ``ImageInUse`` (412) while services hold it, with their names.
        """
        with self._context.db.write() as session:
            image = find_image(session, find_workspace(session, ref), image_id)
            users = session.scalars(
                select(Service.name).where(
                    or_(Service.image_id == image.id, Service.active_image_id == image.id)
                )
            ).all()
            apps = select(FunctionApp.name).where(
                FunctionApp.image_digest.is_not(None),
                or_(FunctionApp.image_digest == image.digest, FunctionApp.active_digest == image.digest),
            )
            users = [*users, *session.scalars(apps)]
            if users:
                raise Conflict(
                    "ImageInUse",
                    f"Image {image.name}:{image.version} is used by service{'s' if len(users) > 1 else ''} "
                    f"{', '.join(users)}.",
                    hint="Delete the service, or update it to another image, first.",
                    status_code=412,
                    target=image_id,
                )
            session.delete(image)

    def log(self, ref: WorkspaceRef, image_id: str) -> str:
        """The build log."""
        with self._context.db.read() as session:
            image = find_image(session, find_workspace(session, ref), image_id)
        return self._operations.text(image.operation_id)

    def attachment(self, ref: WorkspaceRef, image_id: str, kind: str) -> bytes:
        """The lock (``lock``) or the software bill of materials (``sbom``) of a built image.

        Raises:
            NotFound: ``ImageNotBuilt``.
        """
        with self._context.db.read() as session:
            image = find_image(session, find_workspace(session, ref), image_id)
        if not image.built:
            raise NotFound(
                "ImageNotBuilt",
                f"Image {image_id} has no {kind}: its state is {image.state}.",
                hint="Look at its build log.",
                target=image_id,
            )
        return self._context.store.path(image.built[f"{kind}_digest"]).read_bytes()

    def archive(self, ref: WorkspaceRef, image_id: str) -> Iterator[bytes]:
        """The image for ``docker load`` and ``podman load``, piece by piece, under the name of its location.

        Raises:
            NotFound: ``ImageNotBuilt``.
            Conflict: ``ImageHasNoBase``.
        """
        view = self.get(ref, image_id)
        store = self._context.store
        if not view["imageDigest"]:
            raise NotFound(
                "ImageNotBuilt",
                f"Image {image_id} cannot be fetched: its state is {view['creationState']}.",
                hint="Look at its build log.",
                target=image_id,
            )
        manifest = load_manifest(store, view["imageDigest"])
        if not has_base(json.loads(store.read(manifest["config"]["digest"]))):
            raise Conflict(
                "ImageHasNoBase",
                f"Image {image_id} was built without a base image; it runs as a process, not in a container.",
                hint="`mooring base build`, and make it again.",
                target=image_id,
            )
        return docker_archive(store, view["imageDigest"], str(view["imageLocation"]))


def find_image(session: Session, workspace: Workspace, image_id: str) -> Image:
    """The image ``name:version``, or the latest version of ``name``.

    Raises:
        NotFound: ``ImageNotFound``.
    """
    name, version = split_id("image", image_id) if ":" in image_id else (image_id, None)
    query = select(Image).where(Image.workspace_id == workspace.id, Image.name == name)
    query = query.where(Image.implicit.is_(False) if version is None else Image.version == version)
    image = session.scalar(query.order_by(Image.version.desc()).limit(1))
    if image is None:
        raise NotFound(
            "ImageNotFound",
            f"There is no image {image_id!r} in workspace {workspace.name!r}.",
            hint="`mooring image list` shows those there are.",
            target=image_id,
        )
    return image


def prepare_request(
    context: Context, session: Session, workspace: Workspace, request: dict[str, Any]
) -> dict[str, Any]:
    """Check an image request and complete it (no-code models get their script and environment).

    Returns:
        ``{entryScript, sourceDirectory, files, modelIds, environment, description, kvTags, properties, imageFlavor,
        base, froms}``.
    """
    model_ids = list(request.get("modelIds") or [])
    if len(model_ids) > _MAX_MODELS:
        raise InvalidRequest("TooManyModels", f"An image has at most {_MAX_MODELS} models.")
    models = [find_model(session, workspace, m) for m in model_ids]
    if len({m.id for m in models}) < len(models):
        raise InvalidRequest("DuplicateModel", "A model occurs twice in the list of models.")
    environment = request.get("environment") or {}
    check_files(context, context_files(environment))
    recipe = recipe_of(environment, context.store)
    prepared = {
        **request,
        "modelIds": [f"{m.name}:{m.version}" for m in models],
        "files": check_files(context, request.get("files") or []),
        "deployedApiOptions": functions.check_options(request.get("deployedApiOptions")),
        "base": None if recipe else base_of(session, environment),
        "froms": froms_of(session, recipe),
    }
    if not request.get("entryScript"):
        return prepared | _without_code(context, models)
    script, folder = request["entryScript"], request.get("sourceDirectory")
    path = f"{folder}/{script}" if folder else script
    file = next((f for f in prepared["files"] if f["path"] == path), None)
    if file is None:
        raise InvalidRequest(
            "EntryScriptNotFound",
            f"The entry script {script!r} is not among the uploaded files.",
            hint=f"It is looked for in the source directory {folder!r}; give its path relative to it."
            if folder
            else "Check its name and the current directory.",
            target=script,
            evidence={"tree": "\n".join(f["path"] for f in prepared["files"][:200])},
        )
    if file["size"] > _MAX_SCRIPT:
        raise InvalidRequest(
            "EntryScriptNotImportable", f"{script!r} is too large to be a script.", target=script
        )
    check_entry_script(script, context.store.path(file["digest"]).read_bytes())
    if request.get("environment") is None:
        prepared["environment"] = {}
    init_seconds(prepared["environment"], context.init_seconds)
    return prepared


def _without_code(context: Context, models: list[Model]) -> dict[str, Any]:
    if len(models) != 1:
        raise InvalidRequest(
            "NoCodeNeedsOneModel",
            f"A deployment without an inference configuration has exactly one model, not {len(models)}.",
            hint="Give one model registered with a framework, or an inference_config with your entry script.",
        )
    model = models[0]
    environment, files, script = nocode_request(
        model.name, model.version, model.framework, model.framework_version, tree(model), context.store
    )
    return {
        "environment": environment,
        "entryScript": script,
        "sourceDirectory": None,
        "files": [
            {"path": f.path, "digest": f.digest, "size": f.size, "executable": f.executable} for f in files
        ],
    }


def add_image(
    session: Session, workspace: Workspace, name: str, request: dict[str, Any], *, implicit: bool
) -> Image:
    """Record a prepared request as an image to be built, in the caller's transaction."""
    created = now()
    image = Image(
        workspace_id=workspace.id,
        workspace=workspace,
        name=name,
        version=next_version(session, workspace, "image", name),
        label=new_label(session, workspace, name, request.get("imageLabel")),
        implicit=implicit,
        flavor=request.get("imageFlavor") or "WebApiContainer",
        description=request.get("description"),
        tags=request.get("kvTags") or {},
        properties=request.get("properties") or {},
        request={k: request.get(k) for k in _REQUEST},
        model_ids=request["modelIds"],
        state="Running",
        error=None,
        built=None,
        digest=None,
        operation_id="",
        created=created,
        modified=created,
    )
    session.add(image)
    session.flush()
    session.add_all(
        ImageModel(image_id=image.id, name=n, version=v)
        for n, v in (split_id("model", identity) for identity in image.model_ids)
    )
    return image


def build_request(session: Session, store: ContentStore, image: Image) -> BuildRequest:
    """What the builder is asked for."""
    request = image.request
    options = request.get("deployedApiOptions")
    site = functions.site_files(options) if options else {}
    described = functions.functions_of(options) if options else []
    return BuildRequest(
        repository=f"{image.workspace.registry_name}/{image.name}",
        tag=str(image.version),
        environment=request["environment"] or {},
        entry_script=request["entryScript"],
        source_directory=request["sourceDirectory"],
        files=_tree_files(request["files"]),
        models=tuple(
            ModelTree(m.name, m.version, tree(m), _written_with(m))
            for m in (find_model(session, image.workspace, i) for i in image.model_ids)
        ),
        site=tuple(TreeFile(path, store.put_bytes(data), len(data)) for path, data in sorted(site.items())),
        labels={functions.LABEL: json.dumps(described, sort_keys=True)} if described else {},
        base=Base.from_json(request["base"]) if request.get("base") else None,
        froms={name: Base.from_json(base) for name, base in (request.get("froms") or {}).items()},
    )


def tree(model: Model) -> tuple[TreeFile, ...]:
    """A model's files for the builder."""
    return _tree_files(model.files)


def _written_with(model: Model) -> tuple[tuple[str, str], ...]:
    return tuple(
        (pickle["path"], version)
        for pickle in model.extra.get("pickles") or []
        for version in pickle["versions"].get("scikit-learn", ())
    )


def _tree_files(files: list[dict[str, Any]]) -> tuple[TreeFile, ...]:
    return tuple(TreeFile(f["path"], f["digest"], f["size"], f["executable"]) for f in files)


def image_in_use(session: Session, image_id: int) -> bool:
    """Whether a service runs or wants this image."""
    return bool(
        session.scalar(
            select(func.count())
            .select_from(Service)
            .where(or_(Service.image_id == image_id, Service.active_image_id == image_id))
        )
    )
