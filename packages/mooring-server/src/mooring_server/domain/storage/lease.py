"""Leases of blobs and containers: a pure state machine.

Source: "Lease Blob" of Azure's REST reference, with its tables of outcomes by state.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace

from mooring_server.domain.storage.errors import StorageError

INFINITE = -1


@dataclass(frozen=True)
class Lease:
    """A lease as it was last asked for; times in seconds since the epoch.

    Attributes:
        id: a GUID in lower case.
        duration: seconds, `INFINITE` for ever.
        ends: when it expires, None for never.
        breaks: when a break is or was complete, None if nobody broke it.
    """

    id: str
    duration: int
    ends: float | None
    breaks: float | None = None

    def state(self, now: float) -> str:
        """``leased``, ``breaking``, ``broken`` or ``expired``."""
        if self.breaks is not None:
            return "breaking" if now < self.breaks else "broken"
        return "leased" if self.ends is None or now < self.ends else "expired"


def state(lease: Lease | None, now: float) -> str:
    """The state of a resource's lease, ``available`` without one."""
    return "available" if lease is None else lease.state(now)


def locked(lease: Lease | None, now: float) -> bool:
    """Whether changes need the lease's id."""
    return lease is not None and lease.state(now) in {"leased", "breaking"}


def check(
    lease: Lease | None, given: str | None, now: float, kind: str = "Blob", *, writes: bool = True
) -> None:
    """Refuse an operation on a resource.

    Args:
        lease: of the resource.
        given: ``x-ms-lease-id``.
        now: seconds since the epoch.
        kind: ``Blob`` or ``Container``, for the error's code.
        writes: whether the operation needs the id of an active lease.

    Raises:
        StorageError: ``LeaseIdMissing``, ``LeaseIdMismatchWith...Operation``, ``LeaseLost``,
            ``LeaseNotPresentWith...Operation``.
    """
    if given is None:
        if writes and locked(lease, now):
            raise StorageError("LeaseIdMissing")
        return
    if lease is None:
        code = (
            "LeaseNotPresentWithBlobOperation" if kind == "Blob" else "LeaseNotPresentWithContainerOperation"
        )
        raise StorageError(code)
    same = lease.id == _guid(given)
    if locked(lease, now) and not same:
        code = (
            "LeaseIdMismatchWithBlobOperation" if kind == "Blob" else "LeaseIdMismatchWithContainerOperation"
        )
        raise StorageError(code)
    if not locked(lease, now):
        raise StorageError("LeaseLost")


def acquire(lease: Lease | None, duration: int, proposed: str | None, now: float) -> Lease:
    """A new lease.

    Raises:
        StorageError: ``LeaseAlreadyPresent``, ``LeaseIsBreakingAndCannotBeAcquired``, ``InvalidHeaderValue``.
    """
    if duration != INFINITE and not 15 <= duration <= 60:
        raise StorageError("InvalidHeaderValue", HeaderName="x-ms-lease-duration", HeaderValue=str(duration))
    identity = _guid(proposed) if proposed else str(uuid.uuid4())
    if lease is not None and locked(lease, now):
        same = lease.id == identity
        if same and lease.state(now) == "breaking":
            raise StorageError("LeaseIsBreakingAndCannotBeAcquired")
        if not same:
            raise StorageError("LeaseAlreadyPresent")
    return Lease(identity, duration, None if duration == INFINITE else now + duration)


def renew(lease: Lease | None, given: str, now: float) -> Lease:
    """The same lease from now on, also when it has expired.

    Raises:
        StorageError: ``LeaseIdMismatchWithLeaseOperation``, ``LeaseIsBrokenAndCannotBeRenewed``.
    """
    held = _held(lease, given)
    if held.breaks is not None:
        raise StorageError("LeaseIsBrokenAndCannotBeRenewed")
    return replace(held, ends=None if held.duration == INFINITE else now + held.duration)


def change(lease: Lease | None, given: str, proposed: str, now: float) -> Lease:
    """The same lease under another id.

    Raises:
        StorageError: ``LeaseIdMismatchWithLeaseOperation``, ``LeaseNotPresentWithLeaseOperation``,
            ``LeaseIsBreakingAndCannotBeChanged``.
    """
    wanted = _guid(proposed)
    if lease is None or not locked(lease, now):
        raise StorageError("LeaseNotPresentWithLeaseOperation")
    if lease.id not in {_guid(given), wanted}:
        raise StorageError("LeaseIdMismatchWithLeaseOperation")
    if lease.state(now) == "breaking":
        raise StorageError("LeaseIsBreakingAndCannotBeChanged")
    return replace(lease, id=wanted)


def release(lease: Lease | None, given: str) -> Lease | None:
    """No lease any more.

    Raises:
        StorageError: ``LeaseIdMismatchWithLeaseOperation``.
    """
    _held(lease, given)
    return None


def break_(lease: Lease | None, period: int | None, now: float) -> tuple[Lease, int]:
    """The lease with its end, and the seconds until then.

    Args:
        lease: of the resource.
        period: seconds that the lease may go on, 0 to 60; None: as long as it would have, at once for an infinite one.
        now: seconds since the epoch.

    Raises:
        StorageError: ``LeaseNotPresentWithLeaseOperation``, ``InvalidHeaderValue``.
    """
    if period is not None and not 0 <= period <= 60:
        raise StorageError(
            "InvalidHeaderValue", HeaderName="x-ms-lease-break-period", HeaderValue=str(period)
        )
    if lease is None:
        raise StorageError("LeaseNotPresentWithLeaseOperation")
    if not locked(lease, now):
        return replace(lease, breaks=now if lease.breaks is None else lease.breaks), 0
    left = 0.0 if lease.ends is None and period is None else float("inf")
    if lease.ends is not None:
        left = lease.ends - now
    if lease.breaks is not None:
        left = min(left, lease.breaks - now)
    if period is not None:
        left = min(left, float(period))
    return replace(lease, breaks=now + left), round(left)


def _held(lease: Lease | None, given: str) -> Lease:
    if lease is None or lease.id != _guid(given):
        raise StorageError("LeaseIdMismatchWithLeaseOperation")
    return lease


def _guid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise StorageError("InvalidHeaderValue", HeaderName="x-ms-lease-id", HeaderValue=text[:100]) from None
