"""The decisions about the front, without I/O; a part of `machine.Machine`."""

from __future__ import annotations

from random import Random

from mooring_runtime.supervisor.backoff import Backoff
from mooring_runtime.supervisor.failure import Failure
from mooring_runtime.supervisor.model import (
    Action,
    FrontRecord,
    FrontState,
    KillFront,
    Policy,
    StartFront,
    StopFront,
)
from mooring_runtime.supervisor.spec import TlsSpec


class FrontControl:
    """Keeps one front running on the reserved port.

    Attributes:
        record: its state.
        port: the reserved port; None until there is one.
        failure: why the service cannot be reached.
    """

    def __init__(self, policy: Policy, random: Random) -> None:
        self._policy = policy
        self._stop: float | None = None
        self.record = FrontRecord(Backoff(random))
        self.port: int | None = None
        self.failure: Failure | None = None

    def listening(self, now: float) -> None:
        """It accepts connections."""
        if self.record.state is FrontState.STARTING:
            self.record.state = FrontState.READY
            self.record.ready_at = now
            self.failure = None

    def failed(self, message: str, *, unusable: bool = False) -> None:
        """It said that it cannot bind the address, or use its certificate; it will end."""
        self.record.said = message
        self.record.unusable = unusable

    def exited(self, summary: str, log: str, now: float) -> None:
        """Its process has ended."""
        record = self.record
        expected = record.state is FrontState.STOPPING
        if record.ready_at is not None and now - record.ready_at >= self._policy.stable:
            record.backoff.reset()
        said, record.said = record.said, None
        record.state = FrontState.DOWN
        record.ready_at = None
        record.kill_at = None
        record.killed = False
        record.last_exit = summary
        if expected:
            record.restart_at = now
            return
        record.restarts += 1
        record.restart_at = now + record.backoff.failed()
        if said is not None:
            port = self.port or 0
            self.failure = certificate_unusable(said) if record.unusable else port_unavailable(port, said)
        elif record.backoff.count >= self._policy.crash_limit:
            self.failure = Failure(
                "FrontCrashLoop",
                "Run",
                f"The scoring front has died {record.backoff.count} times in a row, last with {summary}.",
                "See front.log in the service's logs.",
                {"log": log},
            )

    def stop(self, drain_seconds: float, now: float) -> None:
        """The service ends."""
        self._stop = drain_seconds
        if self.record.state in {FrontState.STARTING, FrontState.READY}:
            self.record.kill_at = now + drain_seconds + self._policy.term_grace

    def plan(self, host: str, tls: TlsSpec | None, now: float) -> list[Action]:
        """What to do now."""
        record = self.record
        late = record.state is FrontState.STARTING and record.started_at + self._policy.front_start <= now
        if (late or (record.kill_at is not None and record.kill_at <= now)) and not record.killed:
            record.killed = True
            return [KillFront()]
        running = record.state in {FrontState.STARTING, FrontState.READY}
        if self._stop is not None and running:
            record.state = FrontState.STOPPING
            return [StopFront(self._stop)]
        if self._stop is not None or self.port is None:
            return []
        if running and record.address != (host, self.port, tls):
            record.state = FrontState.STOPPING
            record.kill_at = now + self._policy.term_grace
            return [StopFront(0.0)]
        if record.state is FrontState.DOWN and record.restart_at <= now:
            record.state = FrontState.STARTING
            record.address = (host, self.port, tls)
            record.started_at = now
            return [StartFront(host, self.port, tls)]
        if record.ready_at is not None and record.ready_at + self._policy.stable <= now:
            record.backoff.reset()
        return []

    def wake_times(self) -> list[float]:
        """When `plan` has something to do even if no fact comes."""
        record = self.record
        times = []
        if record.kill_at is not None and not record.killed:
            times.append(record.kill_at)
        if record.state is FrontState.STARTING and not record.killed:
            times.append(record.started_at + self._policy.front_start)
        if record.state is FrontState.DOWN and self._stop is None and self.port is not None:
            times.append(record.restart_at)
        return times


def certificate_unusable(why: str) -> Failure:
    """The failure of a certificate that cannot be read, or does not fit its key."""
    return Failure(
        "CertificateUnusable",
        "Start",
        why,
        "Give a PEM certificate chain and its unencrypted PEM key, both readable by the service's user.",
    )


def port_unavailable(port: int, why: str) -> Failure:
    """The failure of an address that another process has."""
    return Failure(
        "PortUnavailable",
        "Start",
        f"Port {port} cannot be used: {why}",
        "Free the port, or choose another one (0 takes any that is free).",
    )
