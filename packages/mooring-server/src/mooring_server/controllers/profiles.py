"""Makes profiles: starts the image under the limits asked for, sends the user's requests, and looks at what it uses."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import httpx
from sqlalchemy import select
from typing_extensions import Self

from mooring_server.controllers.images import internal_error
from mooring_server.domain.errors import MooringError, PhaseFailed, from_json
from mooring_server.domain.init_timeout import init_seconds
from mooring_server.domain.profiling import GB, Measured, result
from mooring_server.services.context import Context
from mooring_server.services.operations import OperationReporter, Operations, advance
from mooring_server.services.profiles import inputs_of
from mooring_server.store.profile_tables import Profile
from mooring_server.store.tables import Image
from mooring_server.targets.base import Observation, ServiceSpec, Target

log = logging.getLogger(__name__)

# Every request is sent once; few ones again and again, so that there is a distribution.
_LEAST_QUERIES = 100
_LEAST_SECONDS = 2.0
_MOST_SECONDS = 60.0
_LOOK_SECONDS = 0.25
_BUILDING, _STARTING = 0.5, 0.05
_SHOWN = 4000


class ProfileController:
    """One profile at a time, so that they do not measure each other; one that was cut short is made anew."""

    name = "profile"

    def __init__(self, context: Context, operations: Operations, target: Target) -> None:
        self._context = context
        self._operations = operations
        self._target = target

    def known(self) -> Iterable[int]:
        """Those that have not ended."""
        with self._context.db.read() as session:
            return session.scalars(select(Profile.id).where(Profile.state == "Running")).all()

    def reconcile(self, key: int) -> float | None:
        """Take the next step for one."""
        with self._context.db.read() as session:
            profile = session.get(Profile, key)
            if profile is None or profile.state != "Running":
                return None
            image = None if profile.image_id is None else session.get(Image, profile.image_id)
        if image is not None and image.state == "Running" and self._wanted(profile):
            return _BUILDING
        outcome: dict[str, float] | MooringError
        try:
            outcome = self._made(profile, image)
        except MooringError as error:
            outcome = error
        except Exception as error:
            log.exception("profile %s", profile.name)
            outcome = internal_error("Measure", error)
        self._target.delete(profile.uid)
        self._record(profile, outcome)
        return None

    def _made(self, profile: Profile, image: Image | None) -> dict[str, float]:
        progress = self._operations.progress(profile.operation_id)
        if progress is not None and progress.state.ended:
            raise from_json(progress.error or {})
        if image is None or image.state != "Succeeded" or image.digest is None:
            raise from_json((image.error if image is not None else None) or {})
        reporter = OperationReporter(self._operations, profile.operation_id)
        reporter.phase("Unpack")
        self._target.prepare(image.digest)
        reporter.phase("Start")
        self._target.apply(self._spec(profile, image))
        reporter.phase("Init")
        observed = self._ready(profile)
        reporter.phase("Measure")
        measured = self._measured(profile, observed, reporter)
        reporter.flush()
        return result(measured, profile.request["cpu"], profile.request["memoryInGB"])

    def _spec(self, profile: Profile, image: Image) -> ServiceSpec:
        environment = image.request.get("environment") or {}
        return ServiceSpec(
            uid=profile.uid,
            name=profile.name,
            generation=1,
            revision=1,
            image_digest=image.digest or "",
            auth_keys=(),
            cpu_cores=profile.request["cpu"],
            memory_bytes=int(profile.request["memoryInGB"] * GB),
            init_seconds=init_seconds(environment, self._context.init_seconds),
            env={
                "SERVICE_NAME": profile.name,
                "WORKSPACE_NAME": profile.workspace.name,
                "SERVICE_VERSION": "1",
            },
        )

    def _ready(self, profile: Profile) -> Observation:
        """Wait for ``init()``; the phase's deadline ends it if nothing else does."""
        while True:
            observed = self._target.observe(profile.uid)
            if observed.failure:
                raise from_json(observed.failure)
            if observed.phase == "Ready":
                return observed
            self._assert_wanted(profile)
            time.sleep(_STARTING)

    def _measured(self, profile: Profile, observed: Observation, reporter: OperationReporter) -> Measured:
        texts = inputs_of(self._context.store, profile.request["inputs"])
        latencies: list[float] = []
        failures: list[str] = []
        with (
            _Watch(self._target, profile.uid) as watch,
            httpx.Client(base_url=str(observed.url), timeout=_MOST_SECONDS) as client,
        ):
            _ask(client, texts[0])  # what is made at the first call belongs to no request
            begun = time.monotonic()
            for number, text in enumerate(itertools.cycle(texts)):
                passed = time.monotonic() - begun
                enough = number >= _LEAST_QUERIES and passed >= _LEAST_SECONDS
                if number >= len(texts) and (enough or passed >= _MOST_SECONDS):
                    break
                started = time.monotonic()
                wrong = _ask(client, text)
                if wrong is None:
                    latencies.append(time.monotonic() - started)
                else:
                    failures.append(wrong)
                    self._assert_runs(profile)
                if number % _LEAST_QUERIES == 0:
                    self._assert_wanted(profile)
            seconds = time.monotonic() - begun
        reporter.log(f"{len(latencies)} of {len(latencies) + len(failures)} requests in {seconds:.1f} s.")
        if not latencies:
            raise PhaseFailed(
                "ProfileFailed",
                f"None of the {len(failures)} requests succeeded; the first was answered: {failures[0][:200]}",
                hint="The requests are what callers of the service send: for most scripts a JSON text such as "
                '{"data": [[1, 2]]}.',
                phase="Measure",
                evidence={"answer": failures[0][:_SHOWN], "log": self._target.logs(profile.uid, 50)},
            )
        if failures:
            reporter.log(f"The first that failed was answered: {failures[0][:_SHOWN]}")
        return Measured(latencies, len(failures), seconds, watch.cores, watch.memory)

    def _assert_runs(self, profile: Profile) -> None:
        """What is measured of a worker that ends in between tells nothing."""
        for worker in self._target.observe(profile.uid).workers:
            if ended := worker.get("last_exit"):
                memory = "out of memory" in ended
                raise PhaseFailed(
                    "OutOfMemory" if memory else "ProfileFailed",
                    f"The worker ended while it was measured: {ended}.",
                    hint="Profile it with more memory_in_gb."
                    if memory
                    else "The evidence has its last words; deploy it to see more.",
                    phase="Measure",
                    evidence={"log": self._target.logs(profile.uid, 50)},
                )

    def _wanted(self, profile: Profile) -> bool:
        progress = self._operations.progress(profile.operation_id)
        return progress is not None and not progress.state.ended

    def _assert_wanted(self, profile: Profile) -> None:
        if not self._wanted(profile):
            raise MooringError("Superseded", "Nobody waits for this profile any more.", status_code=409)

    def _record(self, seen: Profile, outcome: dict[str, float] | MooringError) -> None:
        with self._context.db.write() as session:
            profile = session.get(Profile, seen.id)
            if profile is None:
                return
            if isinstance(outcome, MooringError):
                profile.state, profile.error = "Failed", outcome.to_json()
            else:
                profile.state, profile.result = "Succeeded", outcome
            image = None if profile.image_id is None else session.get(Image, profile.image_id)
            if image is not None:
                session.delete(image)
            profile.image_id = None
            at = time.time()
            advance(
                session,
                profile.operation_id,
                lambda p: p.fail(outcome, at) if isinstance(outcome, MooringError) else p.succeed(at),
            )
        self._context.signals.notify(seen.operation_id)


@dataclass
class _Watch:
    """Looks at what a service uses while requests are sent.

    Attributes:
        cores: the most processors in use between two looks.
        memory: the most bytes.
    """

    target: Target
    uid: str
    cores: float = 0.0
    memory: int = 0
    _stopped: threading.Event = field(default_factory=threading.Event)
    _last: tuple[float, float] | None = None

    def __enter__(self) -> Self:
        self._look()
        self._thread = threading.Thread(target=self._run, name=f"profile {self.uid}", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._look()

    def _run(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        usage = self.target.usage(self.uid)
        if usage is None:
            return
        at = time.monotonic()
        self.memory = max(self.memory, usage.memory_bytes)
        # Too short a time shows the clock's steps.
        if self._last is not None and at - self._last[0] >= _LOOK_SECONDS / 2:
            self.cores = max(self.cores, (usage.cpu_seconds - self._last[1]) / (at - self._last[0]))
        self._last = at, usage.cpu_seconds


def _ask(client: httpx.Client, text: str) -> str | None:
    """One request; None if it succeeded, else what was answered."""
    try:
        answer = client.post("/score", content=text.encode(), headers={"Content-Type": "application/json"})
    except httpx.HTTPError as error:
        return f"{type(error).__name__}: {error}"
    return None if answer.is_success else f"{answer.status_code} {answer.text}"
