"""``/metrics``: what the front has counted, and what the supervisor tells of the workers.

The supervisor is asked for each scrape and answers with one message::

    {"op": "measured", "revision", "target_revision", "restarts": {cause: count}, "front_restarts": 1,
     "workers": [{"id", "revision", "state", "rss_bytes"}]}

A supervisor that does not answer in time costs nothing but fresh figures: the last ones are shown.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from mooring_runtime import __version__
from mooring_runtime.front import exposition
from mooring_runtime.front.auth import Keys
from mooring_runtime.front.dispatch import Dispatcher
from mooring_runtime.front.exchange import Exchange, Headers
from mooring_runtime.front.exposition import Family, histogram
from mooring_runtime.front.metrics import Metrics
from mooring_runtime.front.reply import JSON_HEADERS

ANSWER_SECONDS = 1.0
STATES = ("Starting", "Ready", "Draining", "Exited")
ELSEWHERE = (
    "/metrics of a service without keys is for callers on the same machine. "
    "Turn on the service's keys and send one, or set MOORING_METRICS_OPEN=true in its environment."
)


class Scrape:
    """Answers ``/metrics``.

    Args:
        metrics: the front's counts.
        dispatcher: knows queue and workers.
        ask: asks the supervisor for `told`.

    Attributes:
        service: the service's name.
        open: whether anybody may read the metrics of a service without keys.
    """

    def __init__(self, metrics: Metrics, dispatcher: Dispatcher, ask: Callable[[], None]) -> None:
        self._metrics = metrics
        self._dispatcher = dispatcher
        self._ask = ask
        self._told: Mapping[str, Any] = {"restarts": {}, "front_restarts": 0, "workers": []}
        self._fresh: asyncio.Event | None = None
        self._answering: set[asyncio.Task[None]] = set()
        self.service = "service"
        self.open = False

    def told(self, message: Mapping[str, Any]) -> None:
        """The supervisor has answered."""
        self._told = message
        if self._fresh is not None:
            self._fresh.set()
            self._fresh = None

    def begin(self, exchange: Exchange, keys: Keys) -> None:
        """Answers one scrape, now or later."""
        refusal = self._refusal(exchange, keys)
        if refusal is not None:
            status, message, headers = refusal
            body = json.dumps({"message": message}).encode()
            exchange.respond(status, [*headers, *JSON_HEADERS], body)
            return
        task = asyncio.get_running_loop().create_task(self._answer(exchange))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, exchange: Exchange) -> None:
        await self._refresh()
        openmetrics = "application/openmetrics-text" in (exchange.header("accept") or "")
        kind = exposition.OPENMETRICS if openmetrics else exposition.PROMETHEUS
        text = exposition.render(self._families(), openmetrics=openmetrics)
        exchange.respond(200, [("content-type", kind)], text)

    def _refusal(self, exchange: Exchange, keys: Keys) -> tuple[int, str, Headers] | None:
        if exchange.method not in {"GET", "HEAD"}:
            return 405, "The method is not allowed for the requested URL.", [("allow", "GET, HEAD")]
        refusal = keys.refusal(exchange.header("authorization"))
        if refusal is not None:
            return 401, refusal, [("www-authenticate", "Bearer")]
        if keys.any or self.open or _from_here(exchange):
            return None
        return 403, ELSEWHERE, []

    async def _refresh(self) -> None:
        """Asks the supervisor, once for all who wait."""
        if self._fresh is None:
            self._fresh = asyncio.Event()
            self._ask()
        fresh = self._fresh
        try:
            await asyncio.wait_for(fresh.wait(), ANSWER_SECONDS)
        except asyncio.TimeoutError:
            if self._fresh is fresh:
                self._fresh = None  # the next scrape asks again

    def _families(self) -> list[Family]:
        counted, told, dispatcher = self._metrics, self._told, self._dispatcher
        states = Counter(worker["state"] for worker in told["workers"])
        by_status = {str(status): count for status, count in counted.by_status.items()}
        families = [
            Family("mooring_requests", "counter", "Requests for /score by status.").add_all(
                "status", by_status
            ),
            Family("mooring_requests_refused", "counter", "Requests no worker has seen, by reason.").add_all(
                "reason", counted.refused
            ),
            histogram("mooring_request_duration_seconds", "Whole requests for /score.", counted.whole),
            histogram("mooring_queue_wait_seconds", "Waiting for a worker.", counted.queue_wait),
            histogram("mooring_run_duration_seconds", "Calls of run() that returned.", counted.run),
            histogram("mooring_batch_size", "Requests in one call of run().", counted.batch),
            Family("mooring_requests_in_progress", "gauge", "Requests not yet answered.").add(
                counted.in_progress
            ),
            Family("mooring_queue_length", "gauge", "Requests waiting for a worker.").add(dispatcher.waiting),
            Family("mooring_queue_limit", "gauge", "Requests that may wait.").add(
                dispatcher.limits.max_queue
            ),
            Family("mooring_workers", "gauge", "Worker processes by state.").add_all(
                "state", {state: states[state] for state in STATES}
            ),
            Family("mooring_worker_restarts", "counter", "Workers replaced, by cause.").add_all(
                "cause", told["restarts"]
            ),
            Family("mooring_front_restarts", "counter", "Fronts replaced.").add(told["front_restarts"]),
        ]
        memory = Family("mooring_worker_memory_bytes", "gauge", "Resident memory, child processes included.")
        for worker in told["workers"]:
            if worker["id"] is not None:
                memory.add(worker["rss_bytes"], worker=worker["id"], revision=worker["revision"])
        revision = Family("mooring_revision_info", "gauge", "What answers; always 1.")
        revision.add(
            1,
            service=self.service,
            revision=told.get("revision") or "",
            target_revision=told.get("target_revision") or "",
            version=__version__,
        )
        return [*families, memory, revision]


def _from_here(exchange: Exchange) -> bool:
    """Whether the caller is on this machine; one behind a proxy on this machine is not."""
    if exchange.header("x-forwarded-for") is not None or exchange.header("forwarded") is not None:
        return False
    try:
        return ipaddress.ip_address(exchange.client).is_loopback
    except ValueError:
        return False
