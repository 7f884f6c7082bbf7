"""Builds the images that were asked for."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterable
from dataclasses import asdict

from sqlalchemy import select

from mooring_server.domain.errors import MooringError
from mooring_server.images.types import Builder, BuiltImage
from mooring_server.services.context import Context
from mooring_server.services.images import build_request
from mooring_server.services.operations import OperationReporter, Operations, advance
from mooring_server.services.workspace_registries import deliver, delivery
from mooring_server.store.tables import Image, Service, now

log = logging.getLogger(__name__)


class ImageController:
    """Builds images whose state is ``Running``; a build that was cut short begins again, from the caches."""

    name = "image"

    def __init__(self, context: Context, operations: Operations, builder: Builder) -> None:
        self._context = context
        self._operations = operations
        self._builder = builder

    def known(self) -> Iterable[int]:
        """Images that are not finished."""
        with self._context.db.read() as session:
            return session.scalars(select(Image.id).where(Image.state == "Running")).all()

    def reconcile(self, key: int) -> float | None:
        """Build one image and record the outcome."""
        with self._context.db.read() as session:
            image = session.get(Image, key)
            if image is None or image.state != "Running":
                return None
            operation = image.operation_id
            reporter = OperationReporter(self._operations, operation, lambda: self._operation(key))
            try:
                request, to = build_request(session, self._context.store, image), delivery(image)
            except MooringError as error:
                self._record(key, operation, error)
                return None
        outcome: BuiltImage | MooringError
        pushed = ""
        try:
            outcome = self._builder.build(request, reporter)
            if to is not None:
                pushed = deliver(self._context.store, outcome, to, reporter)
        except MooringError as error:
            outcome = error
        except Exception as error:
            log.exception("building image %s", key)
            outcome = internal_error("Build", error)
        try:
            reporter.flush()
        except MooringError as error:
            outcome = error
        self._record(key, operation, outcome, pushed)
        return None

    def _operation(self, key: int) -> str | None:
        """The operation that waits for an image now; None if it is not wanted any more."""
        with self._context.db.read() as session:
            image = session.get(Image, key)
            return image.operation_id if image is not None and image.state == "Running" else None

    def _record(self, key: int, operation: str, outcome: BuiltImage | MooringError, pushed: str = "") -> None:
        """Write the outcome; the image may have been deleted, or its operation timed out, meanwhile."""
        with self._context.db.write() as session:
            image = session.get(Image, key)
            if image is None or image.state != "Running":
                return
            image.modified = now()
            if isinstance(outcome, MooringError):
                image.state, image.error = "Failed", outcome.to_json()
            else:
                image.state, image.digest = "Succeeded", outcome.digest
                image.built = {k: v for k, v in asdict(outcome).items() if k != "digest"}
                image.built["changes"] = list(outcome.changes)
                if pushed:
                    image.built["pushed"] = pushed
            if not image.implicit:  # the operation of an implicit image is its service's
                at = time.time()
                advance(
                    session,
                    operation,
                    lambda p: p.fail(outcome, at) if isinstance(outcome, MooringError) else p.succeed(at),
                )
            waiting = session.scalars(select(Service.id).where(Service.image_id == key)).all()
        self._context.signals.notify(operation)
        for service in waiting:
            self._context.wake_service(service)


def internal_error(phase: str, error: BaseException) -> MooringError:
    """A bug of ours, told as such."""
    return MooringError(
        "InternalError",
        f"Mooring failed unexpectedly in phase {phase}: {type(error).__name__}: {error}",
        hint="This is a defect in Mooring. Please report it with the evidence and the server's log.",
        phase=phase,
        evidence={"traceback": "".join(traceback.format_exception(error))[-8000:]},
        status_code=500,
    )
