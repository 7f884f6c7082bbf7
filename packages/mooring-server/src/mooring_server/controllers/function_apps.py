"""Drives function apps to what was asked for, and keeps them there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import select

from mooring_server.controllers.images import internal_error
from mooring_server.domain.errors import MooringError, from_json
from mooring_server.domain.functions import REGISTRY_PASSWORD, Missing, missing, missing_for
from mooring_server.domain.init_timeout import init_seconds
from mooring_server.services.context import Context
from mooring_server.services.pulling import Puller
from mooring_server.store.function_tables import FunctionApp
from mooring_server.store.tables import now
from mooring_server.targets.base import FunctionsSpec, Observation, ServiceSpec, Target

log = logging.getLogger(__name__)

_CHANGING = 0.05
_STEADY = 5.0
# A trigger that cannot work says why by and by; the app's state shall show it soon.
_UNSETTLED = 0.5
_MEMORY = 2 * 1024**3
# The plans of Azure give an app at least one core.
_CORES = 1.0


class FunctionAppController:
    """One app at a time: what it lacks, its image, its processes.

    An app that lacks something is ``Inactive`` and has no processes. A generation that does not come up leaves the
    one before answering: the supervisor sees to that.
    """

    name = "function app"

    def __init__(
        self,
        context: Context,
        target: Target,
        puller: Puller,
        connection_string: Callable[[str], str],
    ) -> None:
        self._context = context
        self._target = target
        self._puller = puller
        self._complete = connection_string

    def known(self) -> Iterable[int]:
        """All apps."""
        with self._context.db.read() as session:
            return session.scalars(select(FunctionApp.id)).all()

    def reconcile(self, key: int) -> float | None:
        """Take the next step for one app."""
        with self._context.db.read() as session:
            app = session.get(FunctionApp, key)
        if app is None:
            return None
        if app.deleting:
            return self._delete(app)
        if not app.enabled:
            return self._rest(app, "Stopped", [])
        try:
            return self._run(app)
        except MooringError as error:
            return self._fail(app, error)
        except Exception as error:
            log.exception("function app %s", app.name)
            return self._fail(app, internal_error(app.phase or "Start", error))

    def _run(self, app: FunctionApp) -> float | None:
        if app.settled == app.generation and app.status == "Failed" and app.active_digest is None:
            return None  # it failed at once and waits for its user
        if app.resolved < app.generation:
            return self._pull(app)
        return self._bring_up(app)

    def _pull(self, app: FunctionApp) -> float | None:
        lacking = missing(app.image, app.settings)
        if not lacking:
            digest = self._puller.resolve(app.image, app.settings)
            lacking = missing_for(self._puller.functions(digest), app.settings)
        if lacking:
            return self._rest(app, "Inactive", lacking)
        self._write(app, resolved=app.generation, image_digest=digest, missing=[])
        return 0.0

    def _bring_up(self, app: FunctionApp) -> float | None:
        spec = self._spec(app)
        observed = self._target.observe(app.uid)
        if observed.phase == "Absent" or observed.generation < app.generation:
            self._write(app, phase="Unpack")
            self._target.prepare(spec.image_digest)
            self._write(app, phase="Start")
            self._target.apply(spec)
            observed = self._target.observe(app.uid)
        if observed.failure and observed.target_revision == app.generation:
            return self._fail(app, from_json(observed.failure), observed)
        if observed.active_revision == app.generation and observed.phase == "Ready":
            return self._settle(app, observed)
        self._write(app, phase="Init", observed=_observed(observed))
        return _CHANGING if app.settled < app.generation else _UNSETTLED

    def _settle(self, app: FunctionApp, observed: Observation) -> float | None:
        waiting = next((f for f in observed.functions.values() if f.get("code")), None)
        error = None
        if waiting is not None:
            error = MooringError(
                waiting["code"], waiting["message"], hint=waiting["hint"], phase="Run", target=app.name
            ).to_json()
        self._write(
            app,
            status="Running",
            phase="",
            missing=[],
            error=error,
            settled=app.generation,
            active_digest=app.image_digest,
            observed=_observed(observed),
        )
        settled = observed.functions and all(f["state"] == "Running" for f in observed.functions.values())
        return _STEADY if settled else _UNSETTLED

    def _fail(
        self, app: FunctionApp, error: MooringError, observed: Observation | None = None
    ) -> float | None:
        """Record why; the generation before goes on, if there is one."""
        seen = observed or self._target.observe(app.uid)
        self._write(
            app,
            status="Failed",
            phase="",
            error=error.to_json(),
            settled=app.generation,
            observed=_observed(seen),
        )
        return _STEADY if app.active_digest is not None and app.resolved == app.generation else None

    def _rest(self, app: FunctionApp, status: str, lacking: list[Missing]) -> float | None:
        """No processes, for the reasons given."""
        self._target.delete(app.uid)
        self._write(
            app,
            status=status,
            phase="",
            missing=[entry.to_json() for entry in lacking],
            error=None,
            settled=app.generation,
            resolved=0,
            active_digest=None,
            observed={},
        )
        return None

    def _delete(self, app: FunctionApp) -> float | None:
        self._target.delete(app.uid)
        with self._context.db.write() as session:
            row = session.get(FunctionApp, app.id)
            if row is not None:
                session.delete(row)
        return None

    def _write(self, seen: FunctionApp, **values: Any) -> None:
        """Record what was found of a generation, unless there is a newer one, or it is known already."""
        if all(getattr(seen, name) == value for name, value in values.items()):
            return
        with self._context.db.write() as session:
            row = session.get(FunctionApp, seen.id)
            if row is None or row.generation != seen.generation or row.deleting:
                return
            for name, value in values.items():
                setattr(row, name, value)
                setattr(seen, name, value)
            row.modified = now() if "settled" in values else row.modified

    def _spec(self, app: FunctionApp) -> ServiceSpec:
        settings = {name: self._complete(value) for name, value in app.settings.items()}
        workers = str(settings.get("WORKER_COUNT") or "1")
        return ServiceSpec(
            uid=app.uid,
            name=app.name,
            generation=app.generation,
            revision=app.generation,
            image_digest=app.image_digest or "",
            auth_keys=(),
            cpu_cores=_CORES,
            memory_bytes=_MEMORY,
            init_seconds=init_seconds({"environmentVariables": settings}, self._context.init_seconds),
            workers=min(max(int(workers), 1), 64) if workers.isdecimal() else 1,
            env={
                **{name: value for name, value in settings.items() if name != REGISTRY_PASSWORD},
                "WEBSITE_SITE_NAME": app.name,
                "SERVICE_NAME": app.name,
                "SERVICE_VERSION": str(app.generation),
            },
            functions=FunctionsSpec(app.name.lower()[:32].rstrip("-"), dict(app.keys)),
        )


def _observed(observed: Observation) -> dict[str, Any]:
    """What is worth recording: no figures that change all the time."""
    return {
        "phase": observed.phase,
        "url": observed.url,
        "isolation": observed.isolation,
        "functions": {name: dict(state) for name, state in observed.functions.items()},
    }
