"""Frees what nothing refers to any more, removes what nobody knows, ends operations that passed their deadline."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from sqlalchemy import delete, func, select

from mooring_server.domain.lifecycle import OperationState
from mooring_server.images.builder import load_manifest
from mooring_server.images.oci import referenced_blobs
from mooring_server.services.context import Context
from mooring_server.services.operations import Operations
from mooring_server.settings import Collection
from mooring_server.store.tables import Image, Model, Operation, Service
from mooring_server.targets.base import Target

log = logging.getLogger(__name__)

_DEADLINES, _COLLECT, _STRAY = 1, 2, 3
_IMPLICIT_KEPT = 3
_OPERATIONS_KEPT = 1000


class Housekeeper:
    """Three duties: deadlines (each second), garbage, and services that the database does not know."""

    name = "housekeeper"

    def __init__(
        self,
        context: Context,
        operations: Operations,
        target: Target,
        settings: Collection = Collection(),  # noqa: B008 - it is frozen
    ) -> None:
        self._context = context
        self._operations = operations
        self._target = target
        self._settings = settings

    def known(self) -> Iterable[int]:
        """The duties."""
        return (_DEADLINES, _COLLECT, _STRAY)

    def reconcile(self, key: int) -> float | None:
        """Do one of them."""
        if key == _DEADLINES:
            self.expire()
            return 1.0
        if key == _STRAY:
            self.remove_strays()
        else:
            self.collect()
        return self._settings.interval_seconds

    def remove_strays(self) -> None:
        """End services that the database does not know: of a deletion that was cut short, or of lost data."""
        # What is here before what is known: a service is written down before anything of it is here, and the uid
        # of one that is gone is never used again.
        here = self._target.known()
        with self._context.db.read() as session:
            known = set(session.scalars(select(Service.uid)))
        for uid in here:
            if uid not in known:
                log.warning("removing %s, a service that the database does not know", uid)
                self._target.delete(uid)

    def expire(self) -> None:
        """End operations whose phase passed its deadline; their controllers see it and settle."""
        open_states = (OperationState.NOT_STARTED.value, OperationState.RUNNING.value)
        with self._context.db.read() as session:
            running = session.scalars(select(Operation).where(Operation.state.in_(open_states))).all()
        for operation in running:
            if self._operations.advance(operation.id, lambda p: p.expire(time.time())):
                log.warning("operation %s (%s) passed its deadline", operation.id, operation.kind)
                with self._context.db.read() as session:
                    waiting = session.scalars(select(Service.id).where(Service.operation_id == operation.id))
                    for service in waiting:
                        self._context.wake_service(service)

    def collect(self) -> None:
        """Delete superseded images of services, blobs that nothing refers to, and old operations.

        Nothing is collected while an image is built: what a build has stored is not referred to yet.
        """
        self._drop_superseded()
        with self._context.db.read() as session:
            if session.scalar(select(func.count()).where(Image.state == "Running")):
                return
        candidates = list(
            self._context.store.digests()
        )  # before the references: what comes later is not looked at
        kept = self._referenced()
        horizon = time.time() - self._settings.grace_seconds
        for digest in candidates:
            if digest not in kept:
                self._context.store.delete_older(digest, horizon)
        self._context.store.remove_stale_uploads(self._settings.grace_seconds)
        self._target.prune(self._built)
        self._drop_operations()

    def _built(self) -> set[str]:
        """The manifests of all images."""
        with self._context.db.read() as session:
            return set(session.scalars(select(Image.digest).where(Image.digest.is_not(None))))

    def _referenced(self) -> set[str]:
        kept: set[str] = set()
        with self._context.db.read() as session:
            for files in session.scalars(select(Model.files)):
                kept.update(f["digest"] for f in files)
            for image in session.execute(select(Image.request, Image.digest, Image.built)):
                kept.update(f["digest"] for f in image.request.get("files") or ())
                built = image.built or {}
                kept.update(d for d in (built.get("lock_digest"), built.get("sbom_digest")) if d)
                if image.digest:
                    kept.add(image.digest)
                    kept.update(referenced_blobs(load_manifest(self._context.store, image.digest)))
        return kept

    def _drop_superseded(self) -> None:
        """Of the images made for a service, the newest few are kept to return to."""
        with self._context.db.write() as session:
            used = set(session.scalars(select(Service.image_id))) | set(
                session.scalars(select(Service.active_image_id))
            )
            seen: dict[tuple[int, str], int] = {}
            implicit = select(Image).where(Image.implicit.is_(True), Image.state != "Running")
            for image in session.scalars(implicit.order_by(Image.id.desc())):
                name = (image.workspace_id, image.name)
                seen[name] = seen.get(name, 0) + 1
                if seen[name] > _IMPLICIT_KEPT and image.id not in used:
                    session.delete(image)

    def _drop_operations(self) -> None:
        with self._context.db.write() as session:
            last = session.scalars(
                select(Operation.created)
                .where(Operation.ended.is_not(None))
                .order_by(Operation.created.desc())
                .offset(_OPERATIONS_KEPT)
                .limit(1)
            ).first()
            if last is None:
                return
            needed = select(Service.operation_id).union(select(Image.operation_id))
            session.execute(
                delete(Operation).where(
                    Operation.ended.is_not(None), Operation.created <= last, Operation.id.not_in(needed)
                )
            )
