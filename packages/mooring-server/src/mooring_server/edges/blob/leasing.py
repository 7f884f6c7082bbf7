"""Lease calls as steps of the lease's state machine."""

from __future__ import annotations

from collections.abc import Callable

from mooring_server.domain.storage import lease as leases
from mooring_server.domain.storage.errors import StorageError
from mooring_server.domain.storage.lease import Lease
from mooring_server.domain.storage.request import StorageRequest

Step = Callable[["Lease | None", float], "tuple[Lease | None, int]"]


def lease_step(request: StorageRequest) -> tuple[Step, int]:
    """What ``x-ms-lease-action`` asks, and the status of its answer.

    Raises:
        StorageError: ``MissingRequiredHeader``, ``InvalidHeaderValue``.
    """
    action = _required(request, "x-ms-lease-action").lower()
    if action == "acquire":
        duration = _seconds("x-ms-lease-duration", _required(request, "x-ms-lease-duration"))
        proposed = request.header("x-ms-proposed-lease-id")
        return lambda held, now: (leases.acquire(held, duration, proposed, now), 0), 201
    if action == "break":
        text = request.header("x-ms-lease-break-period")
        period = None if text is None else _seconds("x-ms-lease-break-period", text)
        return lambda held, now: leases.break_(held, period, now), 202
    given = _required(request, "x-ms-lease-id") if action in {"renew", "change", "release"} else ""
    if action == "renew":
        return lambda held, now: (leases.renew(held, given, now), 0), 200
    if action == "change":
        wanted = _required(request, "x-ms-proposed-lease-id")
        return lambda held, now: (leases.change(held, given, wanted, now), 0), 200
    if action == "release":
        return lambda held, _now: (leases.release(held, given), 0), 200
    raise StorageError("InvalidHeaderValue", HeaderName="x-ms-lease-action", HeaderValue=action[:100])


def _required(request: StorageRequest, name: str) -> str:
    value = request.header(name)
    if value is None:
        raise StorageError("MissingRequiredHeader", HeaderName=name)
    return value


def _seconds(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise StorageError("InvalidHeaderValue", HeaderName=name, HeaderValue=text[:100]) from None
