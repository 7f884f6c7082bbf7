"""Drives web services to what was asked for, and keeps them there."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from mooring_server.controllers.images import internal_error
from mooring_server.domain.errors import MooringError, from_json
from mooring_server.domain.init_timeout import init_seconds
from mooring_server.services.context import Context
from mooring_server.services.operations import OperationReporter, Operations, advance
from mooring_server.services.revisions import record_good
from mooring_server.store.tables import Image, Service, ServiceKeys, now
from mooring_server.targets.base import Observation, ServiceSpec, Target

log = logging.getLogger(__name__)

# Seconds between looks at a service that changes, and at one that is as it should be (a supervisor that ends
# is noticed at once, see `targets.watch`).
_CHANGING = 0.05
_STEADY = 5.0
_GB = 1024**3


class ServiceController:
    """One service at a time: unpack its image, apply its specification, observe, record.

    A generation is *settled* when its outcome is known. When it fails and an older revision answers, the service
    returns to that revision and its error tells why; nothing that works is ever replaced by something that does not.
    """

    name = "service"

    def __init__(self, context: Context, operations: Operations, target: Target) -> None:
        self._context = context
        self._operations = operations
        self._target = target

    def known(self) -> Iterable[int]:
        """All services."""
        with self._context.db.read() as session:
            return session.scalars(select(Service.id)).all()

    def reconcile(self, key: int) -> float | None:
        """Take the next step for one service."""
        with self._context.db.read() as session:
            service = session.get(Service, key)
            if service is None:
                return None
            spec = None if service.deleting else self._spec(session, service)
        if spec is None:
            return self._delete(service)
        if service.settled == service.generation:
            return self._keep(service, spec)
        try:
            return self._bring_up(service, spec)
        except MooringError as error:
            return self._settle_failure(service, error)
        except Exception as error:
            log.exception("service %s", service.name)
            return self._settle_failure(service, internal_error("Start", error))

    def _bring_up(self, service: Service, spec: ServiceSpec) -> float | None:
        """The way of a generation that is not settled yet."""
        progress = self._operations.progress(service.operation_id)
        if progress is not None and progress.state.ended:
            error = from_json(progress.error or {})
            return self._settle_failure(service, error)
        if service.image.state == "Running":
            return 1.0  # the image controller wakes us earlier; this look is for the deadline
        if service.image.state == "Failed":
            raise from_json(service.image.error or {})
        reporter = OperationReporter(self._operations, service.operation_id)
        observed = self._target.observe(service.uid)
        if observed.phase == "Absent" or observed.generation < spec.generation:
            reporter.phase("Unpack")
            self._target.prepare(spec.image_digest)
            reporter.phase("Start")
            self._target.apply(spec)
            observed = self._target.observe(service.uid)
        if observed.failure and observed.target_revision == spec.revision:
            raise from_json(observed.failure)
        # Not while the front still starts: who is told that a service is healthy calls it at once.
        if observed.active_revision == spec.revision and observed.phase == "Ready":
            return self._settle_success(service, observed)
        if progress is None or progress.current is None or progress.current.name != "Init":
            reporter.phase("Init")
        return _CHANGING

    def _settle_success(self, seen: Service, observed: Observation) -> float | None:
        with self._context.db.write() as session:
            service = session.get(Service, seen.id)
            if service is None or service.generation != seen.generation or service.deleting:
                return 0.0
            service.settled = service.generation
            record_good(session, service, service.active_revision)
            service.active_image_id, service.active_revision = service.image_id, service.revision
            service.active_config = service.config
            service.state, service.error = "Healthy", None
            service.observed = _observed(observed)
            service.modified = now()
            advance(session, service.operation_id, lambda p: p.succeed(time.time()))
        self._context.signals.notify(seen.operation_id)
        return _STEADY

    def _settle_failure(self, seen: Service, error: MooringError) -> float | None:
        """Record why, and return to the revision that answers, if one does."""
        with self._context.db.write() as session:
            service = session.get(Service, seen.id)
            if service is None or service.generation != seen.generation or service.deleting:
                return 0.0
            service.error = error.to_json()
            service.modified = now()
            if service.active_image_id is not None and service.active_revision is not None:
                service.image_id = service.active_image_id
                service.image = session.get_one(Image, service.active_image_id)
                service.config = service.active_config or service.config
                service.generation += 1  # a new specification: the old revision again
                service.revision = service.active_revision
                service.state = "Healthy"
            else:
                service.state = "Failed"
            service.settled = service.generation
            advance(session, service.operation_id, lambda p: p.fail(error, time.time()))
        self._context.signals.notify(seen.operation_id)
        return 0.0

    def _keep(self, service: Service, spec: ServiceSpec) -> float | None:
        """A settled service: see that it runs, bring it back if it does not, and record what is seen."""
        if service.active_revision is None:
            return None  # it failed at once and waits for its user
        observed = self._target.observe(service.uid)
        if observed.phase == "Absent" or observed.generation < spec.generation:
            self._target.prepare(spec.image_digest)
            self._target.apply(spec)
            observed = self._target.observe(service.uid)
        elif (observed.failure or {}).get("code") == "ImageNotInEngine":
            self._target.prepare(
                spec.image_digest
            )  # somebody removed it; the supervisor tries again by itself
        state = "Healthy" if observed.phase in {"Ready", "Switching"} else "Unhealthy"
        seen = _observed(observed)
        if state != service.state or seen != service.observed:
            with self._context.db.write() as session:
                row = session.get(Service, service.id)
                if row is None or row.generation != service.generation or row.deleting:
                    return 0.0
                row.state = state
                row.observed = seen
                if observed.failure:
                    row.error = from_json(observed.failure).to_json()
                elif state == "Healthy" and service.state == "Unhealthy":
                    row.error = None
        return _STEADY if state == "Healthy" else 0.5

    def _delete(self, service: Service) -> float | None:
        reporter = OperationReporter(self._operations, service.operation_id)
        reporter.phase("Delete")
        self._target.delete(service.uid)
        with self._context.db.write() as session:
            row = session.get(Service, service.id)
            if row is not None:
                session.delete(row)
                session.flush()
                implicit = select(Image).where(
                    Image.workspace_id == service.workspace_id,
                    Image.name == service.name,
                    Image.implicit.is_(True),
                )
                others = set(session.scalars(select(Service.image_id)))
                others |= set(session.scalars(select(Service.active_image_id)))
                for image in session.scalars(implicit):
                    if image.id not in others:
                        session.delete(image)
                advance(session, service.operation_id, lambda p: p.succeed(time.time()))
        self._context.signals.notify(service.operation_id)
        return None

    @staticmethod
    def _keys(session: Session, service: Service) -> tuple[str, ...]:
        if not service.config.get("authEnabled"):
            return ()
        keys = session.get_one(ServiceKeys, (service.workspace_id, service.scope, service.name))
        return (keys.primary, keys.secondary)

    def _spec(self, session: Session, service: Service) -> ServiceSpec:
        return _spec(service, self._keys(session, service), self._context.init_seconds)


def _spec(service: Service, keys: tuple[str, ...], default_init_seconds: float) -> ServiceSpec:
    resources = service.config["containerResourceRequirements"]
    environment = service.image.request.get("environment") or {}
    variables = environment.get("environmentVariables") or {}
    workers = str(variables.get("WORKER_COUNT", "1"))
    return ServiceSpec(
        uid=service.uid,
        name=service.name,
        generation=service.generation,
        revision=service.revision,
        image_digest=service.image.digest or "",
        auth_keys=keys,
        cpu_cores=float(resources["cpu"]),
        memory_bytes=int(float(resources["memoryInGB"]) * _GB),
        certificate=_certificate(service.config),
        port=int(service.config.get("port") or 0),
        init_seconds=init_seconds(environment, default_init_seconds),
        workers=min(max(int(workers), 1), 64) if workers.isdecimal() else 1,
        env={
            "SERVICE_NAME": service.name,
            "WORKSPACE_NAME": service.workspace.name,
            "SERVICE_VERSION": str(service.revision),
        },
    )


def _certificate(config: Mapping[str, Any]) -> tuple[str, str] | None:
    return (config["sslCertificate"], config["sslKey"]) if config.get("sslEnabled") else None


def _observed(observed: Observation) -> dict[str, Any]:
    """What is worth recording: no figures that change all the time."""
    return {
        "phase": observed.phase,
        "url": observed.url,
        "isolation": observed.isolation,
        "workers": [
            {k: w.get(k) for k in ("pid", "revision", "state", "restarts", "last_exit")}
            for w in observed.workers
        ],
    }
