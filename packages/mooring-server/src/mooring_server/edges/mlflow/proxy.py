"""Passes what is allowed to the tracking server, as the caller's workspace and nothing else of the caller's."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from mooring_server.domain.errors import InvalidRequest, MooringError, NotFound
from mooring_server.edges.mlflow.allowed import ALLOWED
from mooring_server.edges.mlflow.errors import mlflow_error
from mooring_server.edges.native.access import READER, GuardedRoute, guarded_router, needs
from mooring_server.edges.native.common import WORKSPACE, Ref
from mooring_server.services.context import WorkspaceRef
from mooring_server.services.workspaces import Workspaces
from mooring_server.tracking.process import TrackingServer

if TYPE_CHECKING:
    import httpx  # comes with the extra

BASE = WORKSPACE + "/mlflow"
# MLflow's clients give up after 120 s; ours is the better message.
ANSWER_SECONDS = 110.0
_PASSED_ON = ("content-type", "content-length", "accept")
_PASSED_BACK = ("content-type", "content-length", "content-disposition")


class _Route(GuardedRoute):
    """Refusals in words that MLflow's clients show."""

    checks_query = False

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handler(request)
            except MooringError as error:
                return mlflow_error(error)

        return answered


def routes(workspaces: Workspaces, tracking: TrackingServer, external: str | None) -> APIRouter:
    """The routes.

    Args:
        workspaces: know which exist.
        tracking: the embedded tracking server.
        external: address of another one that is used instead, or None.
    """
    router = guarded_router("mlflow")

    @router.get(BASE, responses={501: {"description": "MLflow is not installed beside the server."}})
    @needs(READER)
    def where(ref: Ref) -> dict[str, str | None]:
        """Which tracking server the workspace has: ``trackingUri`` is null for the embedded one."""
        workspaces.get(ref)
        if external is None:
            tracking.ensure()
        return {"trackingUri": external}

    if external is None:
        proxy = _Proxy(workspaces, tracking)
        router.route_class = _Route
        for method, path, need in ALLOWED:
            endpoint = needs(need.role, quiet=need.quiet)(proxy.endpoint(path))
            router.add_api_route(BASE + path, endpoint, methods=[method], include_in_schema=False)
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        router.add_api_route(BASE + "/{path:path}", _closed, methods=methods, include_in_schema=False)
    return router


@needs(READER, quiet=True)
async def _closed(request: Request) -> Response:
    path = "/" + request.path_params["path"]
    raise NotFound(
        "TrackingRouteClosed",
        f"{request.method} {path} of MLflow's API is not served here.",
        hint="docs/guide/mlflow.md lists what is. For all of it, use an MLflow server of your own by its address.",
        target=path,
    )


class _Proxy:
    def __init__(self, workspaces: Workspaces, tracking: TrackingServer) -> None:
        self._workspaces = workspaces
        self._tracking = tracking
        self._client: httpx.AsyncClient | None = None

    def endpoint(self, template: str) -> Callable[..., Coroutine[Any, Any, Response]]:
        """The function of a route."""
        names = [name.partition(":")[0] for name in re.findall(r"{(.*?)}", template)]
        plain = template.replace(":path}", "}")

        async def passed(request: Request) -> Response:
            path = plain.format(**{name: _checked(request.path_params[name]) for name in names})
            return await self._pass(request, path)

        return passed

    async def _pass(self, request: Request, path: str) -> Response:
        import httpx

        given = request.path_params
        ref = WorkspaceRef(given["subscription"], given["resource_group"], given["workspace"])
        workspace = await run_in_threadpool(self._workspaces.get, ref)
        await run_in_threadpool(self._tracking.ensure)
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        headers.update({"x-mlflow-workspace": workspace["workspaceid"], "accept-encoding": "identity"})
        if self._client is None:
            # A connection that was kept could end together with the process: a request could not tell.
            limits = httpx.Limits(max_keepalive_connections=0)
            transport = httpx.AsyncHTTPTransport(uds=self._tracking.address, limits=limits, verify=False)
            self._client = httpx.AsyncClient(transport=transport, timeout=ANSWER_SECONDS)
        body = request.stream() if {"content-length", "transfer-encoding"} & set(request.headers) else None
        asked = self._client.build_request(
            request.method,
            httpx.URL("http://localhost", raw_path=path.encode() + _query(request)),
            headers=headers,
            content=body,
        )
        try:
            answer = await self._client.send(asked, stream=True)
        except httpx.TransportError as error:
            late = isinstance(error, httpx.TimeoutException)
            refusal = None if late else await run_in_threadpool(self._tracking.refusal)
            raise refusal or self._lost(late=late) from error
        back = {name: answer.headers[name] for name in _PASSED_BACK if name in answer.headers}
        return StreamingResponse(_pieces(answer), answer.status_code, back)

    def _lost(self, *, late: bool) -> MooringError:
        return MooringError(
            "TrackingServerTimeout" if late else "TrackingServerLost",
            f"MLflow's tracking server did not answer within {ANSWER_SECONDS:.0f} s."
            if late
            else "MLflow's tracking server ended before it had answered.",
            hint="Ask again: it is started anew if it has ended. Its log is logs/mlflow.log in the data directory.",
            phase="Run",
            evidence={"log": self._tracking.said() or "(it wrote nothing)"},
            status_code=503,
        )


def _query(request: Request) -> bytes:
    query: bytes = request.scope["query_string"]
    return b"?" + query if query else b""


async def _pieces(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_raw():
            yield piece
    finally:
        await answer.aclose()


def _checked(value: str) -> str:
    """A name or path of the request, quoted anew; none that leads out of where it stands."""
    if any(part in {"", ".", ".."} for part in value.rstrip("/").split("/")):
        raise InvalidRequest("InvalidName", f"{value!r} is no path of an artifact.", target=value)
    return quote(value, safe="/")
