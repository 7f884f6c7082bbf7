"""Web services: what users ask for. The controller makes it so."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from mooring_server.domain.errors import Conflict, InvalidRequest, NotFound
from mooring_server.domain.init_timeout import INIT_SLACK_SECONDS, init_seconds
from mooring_server.domain.names import check_name
from mooring_server.domain.service_config import CONFIG_FIELDS, check_config
from mooring_server.services.context import Context, WorkspaceRef, find_workspace
from mooring_server.services.image_view import model_conditions
from mooring_server.services.images import add_image, find_image, prepare_request
from mooring_server.services.operations import start_operation, supersede
from mooring_server.services.paging import Paging, page, tag_conditions
from mooring_server.services.revisions import config_of, revision_to_return_to
from mooring_server.services.service_keys import assert_keys, keys_view, new_key, set_keys
from mooring_server.services.service_view import service_view, service_views
from mooring_server.services.views import KeysView, Page, ServiceView
from mooring_server.store.tables import Image, Service, Workspace, now

SCOPES = {"services": "cloud", "localServices": "local"}


class Begun(NamedTuple):
    """A service whose new generation was recorded, and whom to wake for it."""

    view: ServiceView
    image_id: int
    service_id: int


class Webservices:
    """Deploy, update, find and delete web services of one scope (``services`` or ``localServices``)."""

    def __init__(self, context: Context, collection: str) -> None:
        self._context = context
        self._collection = collection
        self._scope = SCOPES[collection]

    def create(self, ref: WorkspaceRef, request: dict[str, Any]) -> ServiceView:
        """Record a new service, or replace one when ``overwrite`` is true.

        Raises:
            InvalidRequest: something in the request cannot be right.
            Conflict: ``ServiceExists`` without ``overwrite``; ``ServiceDeleting``.
        """
        name = check_name("service", request["name"])
        config = check_config(self._scope, request["computeType"], request)
        # Checked before the image is prepared, so that a taken name is told at once; and again when it is written.
        with self._context.db.read() as session:
            workspace = find_workspace(session, ref)
            self._assert_free(session, workspace, name, overwrite=bool(request.get("overwrite")))
            prepared = self._prepare(session, workspace, request)
        with self._context.db.write() as session:
            workspace = find_workspace(session, ref)
            existing = self._assert_free(session, workspace, name, overwrite=bool(request.get("overwrite")))
            image = _resolve_image(session, workspace, name, request, prepared)
            set_keys(session, workspace, self._scope, name, request.get("keys") or {})
            if existing is None:
                service = self._new(session, workspace, name, request, config, image)
                kind = "CreateService"
            else:
                service, kind = existing, "UpdateService"
                service.compute_type = request["computeType"]
                _retarget(service, config, image)
            _describe(service, request, replace_all=True)
            begun = self._begin(session, service, image, kind)
        return self._wake(begun)

    def update(self, ref: WorkspaceRef, name: str, changes: dict[str, Any]) -> ServiceView:
        """Change a service; ``imageId`` or ``imageRequest`` or other resources make a new revision."""
        with self._context.db.read() as session:
            workspace = find_workspace(session, ref)
            service = self._find(session, workspace, name)
            prepared = self._prepare(session, workspace, changes)
            config = check_config(
                self._scope, service.compute_type, {**service.config, **_config_changes(changes)}
            )
        with self._context.db.write() as session:
            workspace = find_workspace(session, ref)
            service = self._find(session, workspace, name)
            _assert_not_deleting(service)
            image = service.image
            if changes.get("imageId") or changes.get("imageRequest"):
                image = _resolve_image(session, workspace, name, changes, prepared)
            if changes.get("keys"):
                set_keys(session, workspace, self._scope, name, changes["keys"])
            _retarget(service, config, image)
            _describe(service, changes, replace_all=False)
            begun = self._begin(session, service, image, "UpdateService")
        return self._wake(begun)

    def rollback(self, ref: WorkspaceRef, name: str, number: int | None) -> ServiceView:
        """Return to the good revision before, or to the one with this number (`services.revisions`).

        Raises:
            NotFound: ``ServiceNotFound``, ``RevisionNotFound``.
            Conflict: ``NoPreviousRevision``, ``ServiceDeleting``.
        """
        with self._context.db.write() as session:
            workspace = find_workspace(session, ref)
            service = self._find(session, workspace, name)
            _assert_not_deleting(service)
            row = revision_to_return_to(session, service, number)
            service.config = config_of(service, row)
            # Its own number again: when it is the one that answers, no worker is started anew.
            service.revision = row.number
            service.image_id, service.image = row.image_id, row.image
            begun = self._begin(session, service, service.image, "UpdateService")
        return self._wake(begun)

    def get(self, ref: WorkspaceRef, name: str) -> ServiceView:
        """One service.

        Raises:
            NotFound: ``ServiceNotFound``.
        """
        with self._context.db.read() as session:
            service = self._find(session, find_workspace(session, ref), name)
            return service_view(self._context, session, service)

    def list(self, ref: WorkspaceRef, filters: dict[str, str | None], paging: Paging) -> Page[ServiceView]:
        """Services newest first."""
        with self._context.db.read() as session:
            workspace = find_workspace(session, ref)
            query = select(Service).where(Service.workspace_id == workspace.id, Service.scope == self._scope)
            if filters.get("computeType"):
                query = query.where(Service.compute_type == str(filters["computeType"]).upper())
            if filters.get("imageName") or filters.get("imageId") or filters.get("imageDigest"):
                query = query.join(Image, Service.image_id == Image.id)
                if filters.get("imageName"):
                    query = query.where(Image.name == filters["imageName"])
                if filters.get("imageDigest"):
                    query = query.where(Image.digest == filters["imageDigest"])
                if filters.get("imageId"):
                    image = find_image(session, workspace, str(filters["imageId"]))
                    query = query.where(Image.id == image.id)
            for condition in (
                *tag_conditions(Service.tags, filters.get("tags")),
                *tag_conditions(Service.properties, filters.get("properties")),
            ):
                query = query.where(condition)
            for condition in model_conditions(Service.image_id, filters):
                query = query.where(condition)
            return page(session, query, Service.id, paging, partial(service_views, self._context, session))

    def delete(self, ref: WorkspaceRef, name: str) -> ServiceView:
        """Ask for a service's end; its keys are kept for a service of the same name."""
        with self._context.db.write() as session:
            workspace = find_workspace(session, ref)
            service = self._find(session, workspace, name)
            if not service.deleting:
                supersede(session, service.operation_id, f"Service {name!r} is being deleted.")
                operation = start_operation(
                    session, workspace, "DeleteService", "Delete", resource=self._collection, resource_id=name
                )
                service.deleting = True
                service.operation_id = operation.id
                service.state = "Deleting"
            view, row = service_view(self._context, session, service), service.id
        self._context.wake_service(row)
        return view

    def uid(self, ref: WorkspaceRef, name: str) -> str:
        """The identity by which targets know the service."""
        with self._context.db.read() as session:
            return self._find(session, find_workspace(session, ref), name).uid

    def keys(self, ref: WorkspaceRef, name: str) -> KeysView:
        """The service's keys.

        Raises:
            InvalidRequest: ``AuthDisabled``.
        """
        with self._context.db.read() as session:
            workspace = find_workspace(session, ref)
            service = self._find(session, workspace, name)
            return keys_view(session, service)

    def regenerate_key(self, ref: WorkspaceRef, name: str, which: str, value: str | None) -> ServiceView:
        """Replace one key; the other goes on working."""
        with self._context.db.write() as session:
            workspace = find_workspace(session, ref)
            service = self._find(session, workspace, name)
            assert_keys(service)
            _assert_not_deleting(service)
            new = {"primaryKey" if which == "Primary" else "secondaryKey": value or new_key()}
            set_keys(session, workspace, self._scope, name, new)
            begun = self._begin(session, service, service.image, "UpdateService")
        return self._wake(begun)

    def _prepare(
        self, session: Session, workspace: Workspace, request: dict[str, Any]
    ) -> dict[str, Any] | None:
        if request.get("imageRequest") and request.get("imageId"):
            raise InvalidRequest("InvalidRequest", "Give imageId or imageRequest, not both.")
        if not request.get("imageRequest"):
            return None
        return prepare_request(self._context, session, workspace, request["imageRequest"])

    def _assert_free(
        self, session: Session, workspace: Workspace, name: str, *, overwrite: bool
    ) -> Service | None:
        existing = self._lookup(session, workspace, name)
        if existing is None:
            return None
        _assert_not_deleting(existing)
        if not overwrite:
            raise Conflict(
                "ServiceExists",
                f"A service named {name!r} exists already in workspace {workspace.name!r}.",
                hint="Choose another name, use overwrite=True, update it with service.update(...), or delete it.",
                target=name,
            )
        return existing

    def _lookup(self, session: Session, workspace: Workspace, name: str) -> Service | None:
        return session.scalar(
            select(Service).where(
                Service.workspace_id == workspace.id, Service.scope == self._scope, Service.name == name
            )
        )

    def _find(self, session: Session, workspace: Workspace, name: str) -> Service:
        service = self._lookup(session, workspace, name)
        if service is None:
            kind = "local web service" if self._scope == "local" else "service"
            raise NotFound(
                "ServiceNotFound",
                f"There is no {kind} {name!r} in workspace {workspace.name!r}.",
                hint="`mooring service list` shows those there are.",
                target=name,
            )
        return service

    def _new(
        self,
        session: Session,
        workspace: Workspace,
        name: str,
        request: dict[str, Any],
        config: dict[str, Any],
        image: Image,
    ) -> Service:
        created = now()
        service = Service(
            uid=uuid.uuid4().hex,
            workspace_id=workspace.id,
            workspace=workspace,
            scope=self._scope,
            name=name,
            compute_type=request["computeType"],
            config=config,
            image_id=image.id,
            image=image,
            revision=1,
            revisions=1,
            generation=0,
            settled=0,
            active_image_id=None,
            active_revision=None,
            active_config=None,
            error=None,
            observed={},
            deleting=False,
            operation_id="",
            created_by=self._context.user,
            created=created,
        )
        session.add(service)
        return service

    def _begin(self, session: Session, service: Service, image: Image, kind: str) -> Begun:
        """Start the operation for the service's new generation."""
        if service.operation_id:
            supersede(
                session, service.operation_id, f"Service {service.name!r} was asked for something newer."
            )
        building = image.implicit and image.state == "Running"
        operation = start_operation(
            session,
            service.workspace,
            kind,
            "BuildAndDeploy" if building else "Deploy",
            resource=self._collection,
            resource_id=service.name,
            deadlines={"Init": self._init_seconds(image) + INIT_SLACK_SECONDS},
        )
        if building:
            image.operation_id = operation.id
        service.generation += 1
        service.operation_id = operation.id
        service.state = "Transitioning"
        service.modified = now()
        session.flush()
        return Begun(service_view(self._context, session, service), image.id, service.id)

    def _init_seconds(self, image: Image) -> float:
        return init_seconds(image.request.get("environment"), self._context.init_seconds)

    def _wake(self, begun: Begun) -> ServiceView:
        """Wake the controllers, after the commit: before it they would see nothing new."""
        self._context.wake_image(begun.image_id)
        self._context.wake_service(begun.service_id)
        return begun.view


def _resolve_image(
    session: Session,
    workspace: Workspace,
    name: str,
    request: dict[str, Any],
    prepared: dict[str, Any] | None,
) -> Image:
    if prepared is not None:
        return add_image(session, workspace, name, prepared, implicit=True)
    if not request.get("imageId"):
        raise InvalidRequest("InvalidRequest", "A deployment needs imageId or imageRequest.")
    image = find_image(session, workspace, request["imageId"])
    if image.state == "Failed":
        raise InvalidRequest(
            "ImageNotUsable",
            f"Image {image.name}:{image.version} was not built: {(image.error or {}).get('message', '')}",
            hint="Look at its build log, mend the cause and create it again.",
            target=request["imageId"],
            evidence=(image.error or {}).get("evidence") or {},
        )
    return image


def _retarget(service: Service, config: dict[str, Any], image: Image) -> None:
    """Point the service at an image and configuration; a new revision if its workers must be new."""
    started_with = ("containerResourceRequirements", "workers")
    if image.id != service.image_id or any(config.get(k) != service.config.get(k) for k in started_with):
        service.revisions += 1
        service.revision = service.revisions
    service.image_id = image.id
    service.image = image
    service.config = config


def _describe(service: Service, request: dict[str, Any], *, replace_all: bool) -> None:
    if replace_all or request.get("kvTags") is not None:
        service.tags = request.get("kvTags") or {}
    if replace_all or request.get("properties") is not None:
        service.properties = request.get("properties") or {}
    if replace_all or request.get("description") is not None:
        service.description = request.get("description")


def _config_changes(changes: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in changes.items() if k in CONFIG_FIELDS and v is not None}


def _assert_not_deleting(service: Service) -> None:
    if service.deleting:
        raise Conflict(
            "ServiceDeleting",
            f"Service {service.name!r} is being deleted.",
            hint="Wait until it is gone, then deploy again.",
            target=service.name,
        )
