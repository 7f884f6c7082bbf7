"""Frees what nothing refers to any more, and ends operations that passed their deadline."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from sqlalchemy import delete, func, select

from mooring_server.domain.lifecycle import OperationState
from mooring_server.images.builder import load_manifest
from mooring_server.images.oci import referenced_blobs
from mooring_server.services.context import Context
from mooring_server.services.operations import Operations, advance
from mooring_server.store.tables import Image, Model, Operation, Service
from mooring_server.targets.base import Target

log = logging.getLogger(__name__)

_DEADLINES, _COLLECT = 1, 2
_IMPLICIT_KEPT = 3
# An upload becomes referenced within this time, or it was abandoned.
_GRACE_SECONDS = 3600.0
_OPERATIONS_KEPT = 1000


class Housekeeper:
    """Two duties: deadlines (each second) and garbage (each minute)."""

    name = "housekeeper"

    def __init__(self, context: Context, operations: Operations, target: Target) -> None:
        self._context = context
        self._operations = operations
        self._target = target
        self._started = time.time(), time.monotonic()

    def known(self) -> Iterable[int]:
        """The duties."""
        return (_DEADLINES, _COLLECT)

    def reconcile(self, key: int) -> float | None:
        """Do one of them."""
        if key == _DEADLINES:
            self.expire()
            return 1.0
        self.collect()
        return 60.0

    def expire(self) -> None:
        """End operations whose phase passed its deadline; their controllers see it and settle."""
        open_states = (OperationState.NOT_STARTED.value, OperationState.RUNNING.value)
        with self._context.db.read() as session:
            running = session.scalars(select(Operation.id).where(Operation.state.in_(open_states))).all()
        self._context.ages.keep(running)
        for operation in running:
            progress = self._operations.progress(operation)
            phase = progress.current if progress is not None else None
            if phase is None:
                continue
            age = self._context.ages.age(operation, phase.name)
            if age >= phase.deadline_seconds:
                self._expire(operation, phase.name, age)

    def _expire(self, operation: str, phase: str, age: float) -> None:
        """End one, unless it has gone on meanwhile; an image that was built for it has failed then."""
        with self._context.db.write() as session:
            if not advance(
                session,
                operation,
                lambda p: p.expire(age, time.time()) if p.current and p.current.name == phase else None,
            ):
                return
            error = session.get_one(Operation, operation).error
            for image in session.scalars(
                select(Image).where(Image.operation_id == operation, Image.state == "Running")
            ):
                image.state, image.error = "Failed", error
            waiting = session.scalars(select(Service.id).where(Service.operation_id == operation)).all()
        log.warning("operation %s passed its deadline in phase %s", operation, phase)
        self._context.signals.notify(operation)
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
        grace = _GRACE_SECONDS + self._clock_ahead()
        horizon = time.time() - grace
        for digest in candidates:
            if digest in kept:
                continue
            try:
                if self._context.store.path(digest).stat().st_mtime < horizon:
                    self._context.store.delete(digest)
            except FileNotFoundError:
                continue
        self._context.store.remove_stale_uploads(grace)
        with self._context.db.read() as session:
            digests = session.scalars(select(Image.digest).where(Image.digest.is_not(None))).all()
        self._target.prune({d for d in digests if d})
        self._drop_operations()

    def _clock_ahead(self) -> float:
        """Seconds by which the clock was set forward since the start: what is young looks that much older."""
        wall, steady = self._started
        return max(0.0, (time.time() - wall) - (time.monotonic() - steady))

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
