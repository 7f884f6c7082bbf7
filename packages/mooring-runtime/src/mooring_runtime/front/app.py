"""The service's HTTP interface: Azure's routes and headers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from mooring_runtime.front import swagger
from mooring_runtime.front.auth import Keys
from mooring_runtime.front.channel import JSON_HEADERS, Reply, ScoringFailed
from mooring_runtime.front.dispatch import Dispatcher
from mooring_runtime.front.exchange import BodyTooLarge, ClientGone, Exchange, Headers
from mooring_runtime.front.identity import SERVER_VERSION, IdTooLong, identify
from mooring_runtime.worker import frames

HTML: Headers = [("content-type", "text/html; charset=utf-8"), ("x-ms-server-version", SERVER_VERSION)]
SCORE_METHODS = frozenset(("GET", "POST", "OPTIONS"))
ALLOW = ("allow", "GET, POST, OPTIONS")
RUN_FAILED = ("x-ms-run-function-failed", "True")
RUN_NOT_FAILED = ("x-ms-run-function-failed", "False")


class ScoreTicket:
    """A request for ``/score``.

    It becomes a frame only when a worker takes it: a request that waited through an update may meet a worker
    with another input mode.
    """

    __slots__ = ("_body", "_exchange", "future", "request_id")

    def __init__(
        self, exchange: Exchange, body: bytes, request_id: str, future: asyncio.Future[Reply]
    ) -> None:
        self._exchange = exchange
        self._body = body
        self.request_id = request_id
        self.future = future

    def frame(self, mode: str) -> tuple[int, bytes, bytes]:
        """Kind, head and body of the frame."""
        exchange = self._exchange
        if mode == "text" and exchange.method == "POST":
            return frames.TEXT, self.request_id.encode(), self._body
        head = {
            "id": self.request_id,
            "method": exchange.method,
            "path": exchange.path,
            "query": exchange.query,
            "headers": list(exchange.headers()),
            "host": exchange.host,
            "scheme": exchange.scheme,
        }
        return frames.FULL, json.dumps(head).encode(), self._body


class ScoringApp:
    """Answers all requests of a service.

    Args:
        loop: the event loop.
        dispatcher: the way to the workers.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, dispatcher: Dispatcher) -> None:
        self._loop = loop
        self._dispatcher = dispatcher
        self._routes: dict[str, Callable[[Exchange], Awaitable[None]]] = {
            "/score": self._score,
            "/": self._healthy,
            "/livez": self._healthy,
            "/readyz": self._ready,
            "/swagger.json": self._swagger,
        }
        self.keys = Keys()
        self.max_request_bytes = 100 << 20
        self.stopping = False
        self.mode = "text"
        self.service = "service"
        self.schema: dict[str, Any] | None = None
        self.app_root: str | None = None

    async def handle(self, exchange: Exchange) -> None:
        """Answers one request."""
        route = self._routes.get(exchange.path, self._unknown)
        await route(exchange)

    async def _unknown(self, exchange: Exchange) -> None:
        message = f"There is nothing at {exchange.path}. Scoring is at /score."
        _answer(exchange, 404, message, [("x-ms-server-version", SERVER_VERSION)])

    async def _healthy(self, exchange: Exchange) -> None:
        if exchange.method not in {"GET", "HEAD"}:
            _answer(exchange, 405, f"{exchange.path} takes GET.", [("allow", "GET, HEAD")])
            return
        exchange.respond(200, HTML, b"Healthy")

    async def _ready(self, exchange: Exchange) -> None:
        if self._dispatcher.ready and not self.stopping:
            exchange.respond(200, HTML, b"Ready")
            return
        _answer(exchange, 503, "No revision of this service is ready.", [("retry-after", "1")])

    async def _swagger(self, exchange: Exchange) -> None:
        refusal = self.keys.refusal(exchange.header("authorization"))
        if refusal is not None:
            _answer(exchange, 401, refusal, [("www-authenticate", "Bearer")])
            return
        version = parse_qs(exchange.query).get("version", ["2"])[0]
        content = swagger.document(self.service, version, self.schema, self.app_root)
        if content is None:
            known = ", ".join(swagger.VERSIONS)
            _answer(exchange, 404, f"There is no swagger version {version[:20]}. Versions: {known}.", [])
            return
        exchange.respond(200, JSON_HEADERS, content)

    async def _score(self, exchange: Exchange) -> None:
        try:
            identity = identify(exchange)
        except IdTooLong as exc:
            _answer(exchange, 431, str(exc), [RUN_NOT_FAILED])
            return
        headers = identity.headers
        refusal = self.keys.refusal(exchange.header("authorization"))
        if refusal is not None:
            _answer(exchange, 401, refusal, [*headers, RUN_NOT_FAILED, ("www-authenticate", "Bearer")])
            return
        if exchange.method not in SCORE_METHODS:
            message = f"/score takes GET, POST and OPTIONS, not {exchange.method}."
            _answer(exchange, 405, message, [*headers, RUN_NOT_FAILED, ALLOW])
            return
        if exchange.method == "OPTIONS" and self.mode != "raw":
            exchange.respond(200, [*headers, RUN_NOT_FAILED, ALLOW], b"")
            return
        try:
            body = await exchange.body(self.max_request_bytes)
        except ClientGone:
            return
        except BodyTooLarge:
            message = f"The request body may have {self.max_request_bytes} bytes."
            _answer(exchange, 413, message, [*headers, RUN_NOT_FAILED, ("connection", "close")])
            return
        await self._run(exchange, body, identity.request_id, headers)

    async def _run(self, exchange: Exchange, body: bytes, request_id: str, headers: Headers) -> None:
        if self.stopping:
            _answer(
                exchange, 503, "The service is stopping.", [*headers, RUN_NOT_FAILED, ("retry-after", "1")]
            )
            return
        future: asyncio.Future[Reply] = self._loop.create_future()
        try:
            reply = await self._dispatcher.submit(ScoreTicket(exchange, body, request_id, future))
        except ScoringFailed as exc:
            headers.append(RUN_FAILED if exc.failed else RUN_NOT_FAILED)
            if exc.retry_after is not None:
                headers.append(("retry-after", str(exc.retry_after)))
            message = str(exc) if exc.status != 502 else f"{exc} Request id: {request_id}."
            _answer(exchange, exc.status, message, headers)
            return
        headers.append(RUN_FAILED if reply.failed else RUN_NOT_FAILED)
        if reply.milliseconds is not None:
            headers.append(("x-ms-run-fn-exec-ms", reply.milliseconds))
        headers.extend(reply.headers)
        exchange.respond(reply.status, headers, reply.body)


def _answer(exchange: Exchange, status: int, message: str, headers: Headers) -> None:
    body = json.dumps({"message": message}).encode()
    exchange.respond(status, [*headers, *JSON_HEADERS], body)
