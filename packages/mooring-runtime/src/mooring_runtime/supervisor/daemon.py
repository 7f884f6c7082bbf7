"""The supervisor's process: facts from the outside into `machine.Machine`, its actions out."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from mooring_runtime.supervisor import diagnose, files, front_control, proctable, status, tree
from mooring_runtime.supervisor.address import Reservation
from mooring_runtime.supervisor.child import kill_left
from mooring_runtime.supervisor.container import Containers
from mooring_runtime.supervisor.container_worker import ContainerChild
from mooring_runtime.supervisor.control import ControlServer, refused
from mooring_runtime.supervisor.failure import SupervisorError
from mooring_runtime.supervisor.front_process import FrontProcess
from mooring_runtime.supervisor.limits import WATCH_SECONDS, Limiter
from mooring_runtime.supervisor.logs import Output, RotatingLog, timestamp
from mooring_runtime.supervisor.machine import Machine
from mooring_runtime.supervisor.memory_watch import MemoryWatch
from mooring_runtime.supervisor.model import (
    Action,
    Exit,
    KillFront,
    Policy,
    Quit,
    SignalWorker,
    StartFront,
    StartWorker,
    StopFront,
    Worker,
)
from mooring_runtime.supervisor.records import write_host
from mooring_runtime.supervisor.sandbox import Sandboxes
from mooring_runtime.supervisor.spec import Spec, invalid, parse, parse_revision, revision_to_json
from mooring_runtime.supervisor.worker_process import WorkerProcess
from mooring_runtime.tls import Certificate, CertificateUnusable

RETRY_SECONDS = 0.2
ANSWER_SECONDS = 2.0
# An engine on a busy machine takes its time to remove a container.
REMOVAL_SECONDS = 20.0
SIGNALS = {"ABRT": signal.SIGABRT, "TERM": signal.SIGTERM}

note = logging.getLogger("mooring.supervisor").info


class Daemon:
    """One service's supervisor.

    Args:
        directory: the service's, as in docs/protocols.md, section 5.
        policy: the machine's durations.
    """

    def __init__(self, directory: Path, policy: Policy | None = None) -> None:
        self._directory = directory
        self._machine = Machine(policy or Policy(), Random())  # noqa: S311 - jitter
        self._limiter = Limiter(directory)
        self._sandboxes = Sandboxes(directory)
        self._workers: dict[str, WorkerProcess] = {}
        self._front: FrontProcess | None = None
        self._reservation: Reservation | None = None
        self._wake: asyncio.TimerHandle | None = None
        self._written: dict[str, Any] = {}
        self._saved_active: dict[str, Any] | None = None
        self._functions: Mapping[str, object] = {}
        self._port: int = 0

    async def run(self) -> int:
        """Supervises until stopped; the exit status."""
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._memory = MemoryWatch(self._loop, self._limiter, self._machine, self._workers, self._step)
        (self._directory / files.RUN).mkdir(mode=0o700, exist_ok=True)
        logs = self._directory / files.LOGS
        self._containers = Containers(self._loop, self._directory, self._children)
        self._worker_log = RotatingLog(logs / "worker.log")
        self._front_log = RotatingLog(logs / "front.log")
        self._control = ControlServer({"status": self._status, "apply": self._apply, "stop": self._stop})
        self._loop.add_signal_handler(signal.SIGCHLD, self._children)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._begin_stop, 5.0)
        left = kill_left(self._directory)
        files.remove_left(self._directory)
        note("supervisor %d started; %d processes of an earlier one ended", os.getpid(), left)
        self._restore()
        await self._control.start(self._directory)
        self._step()
        await self._ended.wait()
        await self._containers.close(REMOVAL_SECONDS)
        await self._control.close(ANSWER_SECONDS)
        await self._remove_limits()
        note("supervisor %d stopped", os.getpid())
        return 0

    async def _remove_limits(self) -> None:
        """The kernel keeps a control group for a moment after its last process has ended."""
        deadline = self._loop.time() + ANSWER_SECONDS
        self._limiter.keep([])
        while self._limiter.stale and self._loop.time() < deadline:
            await asyncio.sleep(RETRY_SECONDS / 10)
            self._limiter.keep([])

    # From the control socket and from disk

    def _restore(self) -> None:
        state = files.read_json(self._directory / files.STATE) or {}
        self._port = int(state.get("port") or 0)
        try:
            data = files.read_json(self._directory / files.SPEC)
            if data is None:
                return
            self._saved_active = files.read_json(self._directory / files.ACTIVE)
            active = parse_revision(self._saved_active) if self._saved_active is not None else None
            self._machine.restore(active, parse(data))
        except (SupervisorError, ValueError) as exc:
            # Written by another version, or by hand. The next `apply` puts it right.
            note("what shall run cannot be read: %s", exc)
            self._machine.failure = invalid(f"{self._directory / files.SPEC} cannot be used: {exc}").failure
            return
        self._reserve_until_possible()

    def _reserve_until_possible(self) -> None:
        """The front of the supervisor before may need a moment to give its port back."""
        spec = self._machine.spec
        if spec is None or self._reservation is not None or self._machine.stopping:
            return
        try:
            self._reserve(spec)
        except SupervisorError as exc:
            self._machine.front.failure = exc.failure
            self._loop.call_later(RETRY_SECONDS, self._reserve_until_possible)
        self._step()

    def _reserve(self, spec: Spec) -> None:
        """Makes the reservation what ``spec`` asks for; the old one is kept until the new one is made."""
        held = self._reservation
        if held is not None and held.host == spec.host and spec.port in {0, held.port}:
            return
        ours = held is not None and (spec.port or self._port) == held.port
        try:
            self._reservation = Reservation(spec.host, spec.port or self._port, ours=ours)
        except OSError as exc:
            failure = front_control.port_unavailable(spec.port or self._port, str(exc))
            raise SupervisorError(failure) from exc
        if held is not None:
            held.close()
        self._port = self._reservation.port
        self._machine.front.port = self._port
        self._machine.front.failure = None

    async def _status(self, _: dict[str, Any]) -> dict[str, Any]:
        return {**self._state(self._memory.rss()), "updated": timestamp()}

    async def _apply(self, request: dict[str, Any]) -> dict[str, Any]:
        spec = parse(request.get("spec"))
        if self._machine.stopping:
            raise refused("The service is stopping.")
        if spec.tls is not None:
            try:
                Certificate(Path(spec.tls.certificate), Path(spec.tls.key))
            except CertificateUnusable as exc:
                raise SupervisorError(front_control.certificate_unusable(str(exc))) from exc
        self._reserve(spec)
        if self._machine.apply(spec, self._loop.time()):
            files.write_json(self._directory / files.SPEC, spec.to_json(), durable=True)
            note("applied generation %d, revision %s", spec.generation, spec.revision.id)
        self._step()
        return await self._status(request)

    async def _stop(self, request: dict[str, Any]) -> dict[str, Any]:
        seconds = request.get("drain_seconds", 5.0)
        if not isinstance(seconds, (int, float)) or seconds < 0:
            raise refused("drain_seconds must be a number, 0 or more.")
        self._begin_stop(float(seconds))
        await self._ended.wait()
        return await self._status(request)

    def _begin_stop(self, drain_seconds: float) -> None:
        note("stopping, requests get %g s", drain_seconds)
        self._machine.stop(drain_seconds, self._loop.time())
        self._step()

    # From the processes

    def _children(self) -> None:
        self._containers.poll()
        for name, process in list(self._workers.items()):
            code = process.poll()
            if code is not None:
                self._worker_ended(name, process, code)
        if self._front is not None:
            code = self._front.poll()
            if code is not None:
                ended, self._front = self._front, None
                self._functions = {}
                how = diagnose.summary(code)
                note("front %d ended: %s", ended.child.pid, how)
                now = self._loop.time()
                self._machine.front.exited(how, ended.child.tail(), now)
                self._machine.front_drops(now)
        if os.getpid() == 1:
            proctable.reap_orphans()
        self._step()

    def _worker_ended(self, name: str, process: WorkerProcess, code: int) -> None:
        del self._workers[name]
        worker = next((worker for worker in self._machine.workers() if worker.id == name), None)
        ready = worker is not None and worker.ready_at is not None
        memory, here, alone = None, True, True
        if isinstance(process.child, ContainerChild):
            failure = process.child.container.failure
            if failure is not None:
                how = "not started"
                if process.started:  # the engine took it along
                    how, failure = "engine lost", replace(failure, phase="Run" if ready else "Init")
                self._machine.worker_exited(name, Exit(how, failure), self._loop.time())
                return
            here, alone, memory = False, not process.child.container.over, process.child.memory
        elif code == -signal.SIGKILL:
            memory = self._limiter.bounds(process.revision).out_of_memory(process.child.pid)
        death = diagnose.Death(
            process.revision,
            returncode=code,
            started=process.started,
            ready=ready,
            report=process.report,
            timed_out=worker is not None and worker.timed_out,
            stuck=worker is not None and worker.stuck,
            lost=worker is not None and worker.lost and worker.killed and alone,
            memory=memory,
            log=process.child.tail(),
            tree=tree.of_models(process.revision) if process.report is not None and here else "",
        )
        end = diagnose.diagnose(death)
        note("worker %s (%d) ended: %s", name, process.child.pid, end.summary)
        self._machine.worker_exited(name, end, self._loop.time())

    def _worker_reported(self, name: str, event: Mapping[str, Any]) -> None:
        if event["event"] != "ready":
            return
        process = self._workers.get(name)
        if process is None:
            return
        note("worker %s (%d) is ready, input mode %s", name, process.child.pid, event["mode"])
        family = proctable.family(proctable.table(), process.child.pid)
        self._limiter.bounds(process.revision).group.ready([entry.pid for entry in family])
        rss = sum(entry.rss for entry in family)
        self._machine.measured(name, rss)
        limit = process.revision.max_rss_bytes
        if limit is not None and rss >= limit:
            note(
                "worker %s needs %d MiB after init(), no less than MOORING_WORKER_MAX_RSS: it stays",
                name,
                rss >> 20,
            )
        self._machine.worker_ready(name, event["mode"], event.get("schema"), self._loop.time())
        self._step()

    def _front_said(self, message: Mapping[str, Any]) -> None:
        now = self._loop.time()
        event = message["event"]
        name = str(message.get("worker", ""))
        if event == "measure":
            if self._front is not None:
                self._front.send(status.measured(self._machine, self._memory.rss()))
            return
        if event == "log":
            write_host(self._worker_log, self._machine.spec, str(message["message"]))
            return
        if event == "listening":
            self._machine.front.listening(now)
        elif event == "failed":
            unusable = message.get("code") == "CertificateUnusable"
            self._machine.front.failed(str(message["message"]), unusable=unusable)
        elif event == "drained":
            self._machine.worker_drained(name, now)
        elif event == "stuck":
            note("worker %s exceeded the scoring timeout, request %s", name, message["request_id"])
            self._perform(self._machine.worker_stuck(name, now))
        elif event == "lost":
            self._machine.worker_lost(name, now)
        elif event == "functions":
            self._functions = message["functions"]
        self._step()

    # To the outside

    def _step(self) -> None:
        """Does what there is to do, then says what has become of it."""
        while actions := self._machine.plan(self._loop.time()):
            self._perform(actions)
            if any(isinstance(action, Quit) for action in actions):
                break
        sync = status.front_sync(self._machine)
        if self._front is not None and sync is not None:
            self._front.sync(sync)
        revisions = [worker.revision for worker in self._machine.workers()]
        revisions += [g.revision for g in (self._machine.active, self._machine.target) if g is not None]
        revisions = [] if self._machine.stopping and not self._workers else revisions
        self._limiter.keep(revisions)
        self._sandboxes.keep(revisions)
        self._containers.keep(revisions)
        self._save()
        self._schedule()

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, StartWorker):
                self._start_worker(action.worker)
            elif isinstance(action, SignalWorker):
                self._signal_worker(action)
            elif isinstance(action, StartFront) and self._reservation is not None:
                self._start_front(action, self._reservation)
            elif isinstance(action, StopFront) and self._front is not None:
                self._front.send({"op": "stop", "drain_seconds": action.drain_seconds})
            elif isinstance(action, KillFront) and self._front is not None:
                self._front.child.kill()
            elif isinstance(action, Quit):
                self._ended.set()

    def _start_worker(self, worker: Worker) -> None:
        bounds = self._limiter.bounds(worker.revision)
        try:
            sandbox = self._sandboxes.of(worker.revision)
            process = WorkerProcess(
                self._loop,
                worker.id,
                worker.revision,
                directory=self._directory,
                log=self._worker_log,
                joins=bounds.group.joins,
                sandbox=sandbox,
                count_processes=bounds.count_processes,
                container=self._containers.of(worker.revision, self._service_name()),
                reported=self._worker_reported,
            )
        except SupervisorError as exc:
            failure = replace(exc.failure, revision=worker.revision.id)
            self._machine.worker_exited(worker.id, Exit("not started", failure), self._loop.time())
            return
        except OSError as exc:
            how = diagnose.diagnose(diagnose.Death(worker.revision, spawn_error=str(exc)))
            self._machine.worker_exited(worker.id, how, self._loop.time())
            return
        self._workers[worker.id] = process
        note("worker %s (%d) started for revision %s", worker.id, process.child.pid, worker.revision.id)

    def _service_name(self) -> str:
        return self._machine.spec.service if self._machine.spec is not None else ""

    def _signal_worker(self, action: SignalWorker) -> None:
        process = self._workers.get(action.worker)
        if process is None:
            return
        if action.signal == "KILL":
            process.child.kill()
        else:
            process.send(SIGNALS[action.signal])

    def _start_front(self, action: StartFront, reservation: Reservation) -> None:
        try:
            self._front = FrontProcess(
                self._loop,
                reservation.socket,
                tls=action.tls,
                directory=self._directory,
                output=Output(self._front_log.write),
                said=self._front_said,
            )
        except OSError as exc:
            self._machine.front.exited(f"not started: {exc}", "", self._loop.time())
            return
        note("front %d started on port %d", self._front.child.pid, action.port)

    def _schedule(self) -> None:
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        at = self._machine.wake_at()
        if self._limiter.stale:
            at = min(at or float("inf"), self._loop.time() + WATCH_SECONDS)
        if at is not None:
            self._wake = self._loop.call_at(at, self._step)
        self._memory.schedule()

    def _state(self, rss: Mapping[str, int]) -> dict[str, Any]:
        machine = self._machine
        running = machine.active.revision if machine.active is not None else None
        if running is None and machine.spec is not None:
            running = machine.spec.revision
        return status.state(
            machine,
            pids={name: process.pid for name, process in self._workers.items() if process.pid},
            rss=rss,
            front_pid=self._front.child.pid if self._front is not None else None,
            port=self._port,
            url=self._url(),
            limits=self._limiter.isolation(running),
            sandbox=self._sandboxes.state(running),
            functions=self._functions,
        )

    def _url(self) -> str | None:
        if self._reservation is None:
            return None
        spec = self._machine.spec
        return self._reservation.url(tls=spec is not None and spec.tls is not None)

    def _save(self) -> None:
        active = self._machine.active
        revision = revision_to_json(active.revision) if active is not None else None
        if revision is not None and revision != self._saved_active:
            files.write_json(self._directory / files.ACTIVE, revision, durable=True)
            self._saved_active = revision
        state = self._state({})
        if state != self._written:
            self._written = state
            files.write_json(self._directory / files.STATE, {**state, "updated": timestamp()})
