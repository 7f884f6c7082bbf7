"""Routes: the logs of function apps, streamed as ``az webapp log tail`` reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse

from mooring_server.domain.access import Need, Principal, Role
from mooring_server.domain.errors import Denied, NotFound
from mooring_server.edges.arm.common import arm_router
from mooring_server.edges.arm.site_values import CONSOLE
from mooring_server.edges.native.access import needs
from mooring_server.services.function_apps import FunctionApps
from mooring_server.targets.base import Target

# What was said before somebody began to look.
_LINES = 100
_NEED = Need(Role.READER, everywhere=True)


def routes(apps: FunctionApps, target: Target, authenticate: Callable[[str], Principal | None]) -> APIRouter:
    """The routes, outside of ARM's own paths.

    Args:
        apps: know the apps.
        target: has the logs.
        authenticate: who shows a token, or None.
    """
    router = arm_router()

    @router.get(CONSOLE + "{name}/logstream")
    @router.get(CONSOLE + "{name}/logstream/{kind:path}")
    @needs(None)
    def stream(name: str, request: Request) -> StreamingResponse:
        """The last lines, and then what follows until the app or the caller is gone."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        principal = authenticate(token.strip()) if scheme.lower() == "bearer" else None
        if principal is None:
            raise Denied("Unauthorized", "The request's token is not one of this server's.")
        principal.check(_NEED, None)
        ref = apps.find(name)
        if ref is None:
            raise NotFound("ResourceNotFound", f"There is no function app {name!r}.", target=name)
        return StreamingResponse(_lines(target, apps.uid(ref)), media_type="text/plain")

    return router


def _lines(target: Target, uid: str) -> Iterator[str]:
    for line in target.follow_logs(uid, _LINES):
        yield line if line.endswith("\n") else line + "\n"
