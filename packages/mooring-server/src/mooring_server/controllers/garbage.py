"""Frees what nothing refers to any more, removes what nobody knows, ends operations that passed their deadline."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, func, select

from mooring_server.domain.lifecycle import OperationState
from mooring_server.services.context import Context
from mooring_server.services.operations import Operations, advance
from mooring_server.services.references import awaited_since, referenced
from mooring_server.settings import Collection
from mooring_server.store.function_tables import FunctionApp
from mooring_server.store.profile_tables import Profile
from mooring_server.store.tables import (
    BaseImage,
    Image,
    Model,
    Operation,
    PushedBlob,
    PushedManifest,
    Service,
    ServiceRevision,
)
from mooring_server.targets.base import Target

log = logging.getLogger(__name__)

_DEADLINES, _COLLECT, _STRAY = 1, 2, 3
_IMPLICIT_KEPT = 3
_OPERATIONS_KEPT = 1000
_LOOK_SECONDS = 60.0


class Housekeeper:
    """Three duties: deadlines (each second), garbage if there may be any, services that the database does not know."""

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
        # What the last collection saw, and when.
        self._seen: tuple[tuple[Any, ...], float] | None = None
        self._started = time.time(), time.monotonic()

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
        elif self.due():
            state = self._state()  # before: what comes meanwhile is looked at next time
            self._seen = (state, time.monotonic()) if self.collect() else None
        return self._settings.interval_seconds

    def remove_strays(self) -> None:
        """End services that the database does not know: of a deletion that was cut short, or of lost data."""
        # What is here before what is known: a service is written down before anything of it is here, and the uid
        # of one that is gone is never used again.
        here = self._target.known()
        with self._context.db.read() as session:
            known = {
                *session.scalars(select(Service.uid)),
                *session.scalars(select(FunctionApp.uid)),
                *session.scalars(select(Profile.uid).where(Profile.state == "Running")),
            }
        for uid in here:
            if uid not in known:
                log.warning("removing %s, a service that the database does not know", uid)
                self._target.delete(uid)

    def due(self) -> bool:
        """Whether anything may have become garbage since the last collection: looking for it reads everything.

        Rows that came or went are seen at once; uploads that nobody made use of are looked for once in a while.
        """
        if self._seen is None:
            return True
        state, at = self._seen
        return time.monotonic() - at >= self._settings.grace_seconds or self._state() != state

    def _state(self) -> tuple[Any, ...]:
        with self._context.db.read() as session:
            counted = [
                session.execute(select(func.count(), func.max(table.id))).one()
                for table in (Model, Image, Service)
            ]
            made = [
                session.execute(select(func.count(), func.max(table.created))).one()
                for table in (PushedManifest, PushedBlob, BaseImage)
            ]
            ended = session.scalar(select(func.max(Operation.ended)))
        return (*map(tuple, counted), *map(tuple, made), ended)

    def expire(self) -> None:
        """End operations whose phase passed its deadline; their controllers see it and settle."""
        open_states = (OperationState.NOT_STARTED.value, OperationState.RUNNING.value)
        with self._context.db.read() as session:
            running = session.scalars(select(Operation.id).where(Operation.state.in_(open_states))).all()
        self._context.ages.keep(running)
        for operation in running:
            progress = self._operations.progress(operation)
            if progress is None:
                continue
            phase = progress.current.name if progress.current else ""
            age = self._context.ages.age(operation, phase)
            if progress.expire(age, 0) is not None:
                self._expire(operation, phase, age)

    def _expire(self, operation: str, phase: str, age: float) -> None:
        """End one, unless it has gone on meanwhile; an image that was built for it has failed then."""
        with self._context.db.write() as session:
            if not advance(
                session,
                operation,
                lambda p: (
                    p.expire(age, time.time()) if (p.current.name if p.current else "") == phase else None
                ),
            ):
                return
            error = session.get_one(Operation, operation).error
            for image in session.scalars(
                select(Image).where(Image.operation_id == operation, Image.state == "Running")
            ):
                image.state, image.error = "Failed", error
            waiting = session.scalars(select(Service.id).where(Service.operation_id == operation)).all()
        log.warning("operation %s passed its deadline in phase %s", operation, phase or "(waiting)")
        self._context.signals.notify(operation)
        for service in waiting:
            self._context.wake_service(service)

    def collect(self) -> bool:
        """Delete superseded images of services, blobs that nothing refers to, and old operations.

        Nothing is collected while an image is built: what a build has stored is not referred to yet. Nor while a
        backup is made. Returns whether it was done.
        """
        self._drop_superseded()
        with self._context.db.read() as session:
            if session.scalar(select(func.count()).where(Image.state == "Running")):
                return False
        with self._context.retention.collecting() as allowed:
            if not allowed:
                return False
            self._drop_pushed()
            self._drop_blobs()
        self._target.prune(self._built)
        self._drop_operations()
        return True

    def _clock_ahead(self) -> float:
        """Seconds by which the clock was set forward since the start: what is young looks that much older."""
        wall, steady = self._started
        return max(0.0, (time.time() - wall) - (time.monotonic() - steady))

    def _drop_blobs(self) -> None:
        # The candidates before the references: what comes later is not looked at.
        candidates = list(self._context.store.digests())
        with self._context.db.read() as session:
            kept = referenced(session, self._context.store)
        grace = self._settings.grace_seconds + self._clock_ahead()
        horizon = time.time() - grace
        for digest in candidates:
            if digest not in kept:
                self._context.store.delete_older(digest, horizon)
        self._context.store.remove_stale_uploads(grace)

    def _built(self) -> set[str]:
        """The manifests of all images."""
        with self._context.db.read() as session:
            return set(session.scalars(select(Image.digest).where(Image.digest.is_not(None))))

    def _drop_pushed(self) -> None:
        """Forget blobs that clients pushed and no manifest of their repository needs."""
        with self._context.db.write() as session:
            needed = {
                (manifest.workspace_id, manifest.repository, digest)
                for manifest in session.scalars(select(PushedManifest))
                for digest in manifest.refers_to
            }
            for blob in session.scalars(select(PushedBlob).where(PushedBlob.created <= awaited_since())):
                if (blob.workspace_id, blob.repository, blob.digest) not in needed:
                    session.delete(blob)

    def _drop_superseded(self) -> None:
        """Of the images made for a service, the newest few are kept to look at, and those to return to."""
        with self._context.db.write() as session:
            used = {
                identity
                for column in (Service.image_id, Service.active_image_id, ServiceRevision.image_id)
                for identity in session.scalars(select(column).distinct())
            }
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
            needed = select(Service.operation_id).union(
                select(Image.operation_id), select(Profile.operation_id)
            )
            session.execute(
                delete(Operation).where(
                    Operation.ended.is_not(None), Operation.created <= last, Operation.id.not_in(needed)
                )
            )
