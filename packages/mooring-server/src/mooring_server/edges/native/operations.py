"""Routes: operations, and waiting for them."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool

from mooring_server.domain.lifecycle import OperationState
from mooring_server.edges.native.access import READER, guarded_router, needs
from mooring_server.edges.native.common import WORKSPACE, Ref
from mooring_server.services.operations import Operations
from mooring_server.services.signals import Signals
from mooring_server.services.views import OperationView


def routes(operations: Operations, signals: Signals) -> APIRouter:
    """The routes over the use cases."""
    router = guarded_router("operations")

    @router.get(WORKSPACE + "/operations/{operation_id}")
    @needs(READER)
    async def get(
        ref: Ref,
        operation_id: str,
        after: Annotated[int, Query(ge=0, le=2**31)] = 0,
        wait: Annotated[float, Query(ge=0, le=30)] = 0,
    ) -> OperationView:
        """The operation; with ``wait`` as soon as something is new: an end, another phase, or log lines."""
        changed = signals.subscribe(operation_id)
        try:
            loop = asyncio.get_running_loop()
            deadline = loop.time() + wait
            first: OperationView | None = None
            while True:
                changed.clear()
                view = await run_in_threadpool(operations.get, ref, operation_id, after=after)
                first = first or view
                new = view["log"] or _stand(view) != _stand(first)
                if new or OperationState(view["state"]).ended or loop.time() >= deadline:
                    return view
                if not await signals.woken(changed, deadline - loop.time()):
                    return view
        finally:
            signals.unsubscribe(operation_id, changed)

    return router


def _stand(view: OperationView) -> list[tuple[str, str, str]]:
    """What a caller waits to see change; times go on by themselves."""
    return [(phase["name"], phase["state"], phase["detail"]) for phase in view["phases"]]
