"""The service's HTTP interface: Azure's routes and headers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from time import perf_counter
from urllib.parse import parse_qsl

from mooring_runtime.front.auth import Keys
from mooring_runtime.front.contract import Contract
from mooring_runtime.front.dispatch import Dispatcher
from mooring_runtime.front.exchange import Exchange, Headers
from mooring_runtime.front.identity import IdTooLong, identify
from mooring_runtime.front.reply import JSON_HEADERS, Reply, ScoringFailed
from mooring_runtime.front.scrape import Scrape
from mooring_runtime.front.swagger import NoSuchVersion
from mooring_runtime.front.tracing import RequestTrace, Tracing
from mooring_runtime.worker import frames

HTML = ("content-type", "text/html; charset=utf-8")
READ_METHODS = frozenset(("GET", "HEAD"))
SCORE_METHODS = frozenset(("GET", "HEAD", "POST", "OPTIONS"))
ALLOW_SCORE = ("allow", "GET, HEAD, OPTIONS, POST")
ALLOW_READ = ("allow", "GET, HEAD, OPTIONS")
RUN_FAILED = ("x-ms-run-function-failed", "True")
RUN_NOT_FAILED = ("x-ms-run-function-failed", "False")
# The texts are Azure's.
NOT_FOUND = (
    "The requested URL was not found on the server. If you entered the URL manually please check your "
    "spelling and try again."
)
NOT_ALLOWED = "The method is not allowed for the requested URL."
# Bodies of these types are forms, which a plain run() gets as empty text.
FORMS = ("application/x-www-form-urlencoded", "application/x-url-encoded", "multipart/form-data")


class ScoreTicket:
    """A request for ``/score``.

    It becomes a frame only when a worker takes it: a request that waited through an update may meet a worker
    with another input mode.

    Args:
        app: answers it if no worker does.
        exchange: the request.
        request_id: its id.
        headers: those that the answer has in any case.
    """

    __slots__ = ("_app", "_body", "_exchange", "_headers", "done", "request_id")

    def __init__(self, app: ScoringApp, exchange: Exchange, request_id: str, headers: Headers) -> None:
        self._app = app
        self._exchange = exchange
        self._headers = headers
        self._body = b""
        self.request_id = request_id
        self.done = False

    @property
    def size(self) -> int:
        """Of the body, in bytes."""
        return len(self._body)

    @property
    def trace(self) -> RequestTrace | None:
        """Its trace, if requests are traced."""
        return self._exchange.trace

    def whole(self, body: bytes) -> None:
        """The body has come: the request may be run."""
        self._body = body
        self._exchange.gone = self.withdraw
        try:
            self._app.run(self)
        except ScoringFailed as exc:
            self.failed(exc)

    def too_large(self) -> None:
        """The body is longer than the service accepts."""
        message = f"The request body may have {self._app.max_request_bytes} bytes."
        _answer(self._exchange, 413, message, [*self._headers, RUN_NOT_FAILED])

    def withdraw(self) -> None:
        """The caller has gone: a worker that has not got the request need not run it."""
        self.done = True

    def frame(self, mode: str) -> tuple[int, bytes, bytes]:
        """Kind, head and body of the frame."""
        exchange = self._exchange
        trace = exchange.trace
        if trace is not None:
            trace.sent()
        if mode == "text" and exchange.method == "POST":
            kind = exchange.header("content-type")
            if kind is None or not kind.lower().startswith(FORMS):
                return frames.TEXT, self.request_id.encode(), self._body
        head = {
            "id": self.request_id,
            "method": exchange.method,
            "path": exchange.path,
            "query": exchange.query,
            "headers": list(exchange.headers()) if trace is None else trace.continued(exchange.headers()),
            "host": exchange.host,
            "scheme": exchange.scheme,
            "client": exchange.client,
        }
        return frames.FULL, json.dumps(head).encode(), self._body

    def answered(self, reply: Reply) -> None:
        """A worker has answered."""
        self.done = True
        headers = self._headers
        if reply.headers is not JSON_HEADERS:
            headers = _without(headers, reply.headers)
        headers.append(RUN_FAILED if reply.failed else RUN_NOT_FAILED)
        if reply.milliseconds is not None:
            self._app.metrics.run.observe(float(reply.milliseconds) / 1000)
            if self._exchange.trace is not None:
                self._exchange.trace.ran(float(reply.milliseconds))
            headers.append(("x-ms-run-fn-exec-ms", reply.milliseconds))
        headers.extend(reply.headers)
        if reply.stream is None:
            self._exchange.respond(reply.status, headers, reply.body)
        else:
            self._exchange.respond_stream(reply.status, headers, reply.stream)

    def failed(self, reason: ScoringFailed) -> None:
        """No worker will answer."""
        self.done = True
        headers = [*self._headers, RUN_FAILED if reason.failed else RUN_NOT_FAILED]
        if reason.retry_after is not None:
            headers.append(("retry-after", str(reason.retry_after)))
        message = str(reason) if reason.status != 502 else f"{reason} Request id: {self.request_id}."
        _answer(self._exchange, reason.status, message, headers)


class ScoringApp:
    """Answers all requests of a service.

    Args:
        dispatcher: the way to the workers.
        ask: asks the supervisor for what `Scrape.told` takes.
    """

    def __init__(self, dispatcher: Dispatcher, ask: Callable[[], None]) -> None:
        self._dispatcher = dispatcher
        self.metrics = dispatcher.metrics
        self.tracing = Tracing()
        self.scrape = Scrape(self.metrics, dispatcher, ask)
        self._common: dict[str, Callable[[Exchange], None]] = {
            "/": self._healthy,
            "/livez": self._healthy,
            "/readyz": self._ready,
            "/metrics": self._metrics,
        }
        self.route(None)
        self.keys = Keys()
        self.max_request_bytes = 100 << 20
        self.stopping = False
        self.mode = "text"
        self.contract = Contract("service", None)

    def route(self, routes: Mapping[str, Callable[[Exchange], None]] | None) -> None:
        """Answers as a function app with these routes, or as a web service with Azure's."""
        self._functions = routes is not None
        scoring = {"/score": self.counted, "/swagger.json": self._swagger} if routes is None else routes
        self._routes = {**self._common, **scoring}

    def handle(self, exchange: Exchange) -> None:
        """Answers one request."""
        route = self._routes.get(exchange.path, self._unknown)
        route(exchange)

    def _unknown(self, exchange: Exchange) -> None:
        if exchange.path in self.contract.routes and not self._functions:
            self._score(exchange)
            return
        # Whoever joins "http://host:port/" and "/score" gets there.
        if exchange.path.startswith("//"):
            route = self._routes.get("/" + exchange.path.lstrip("/"))
            if route is not None:
                route(exchange)
                return
        _answer(exchange, 404, NOT_FOUND, [RUN_NOT_FAILED])

    def _identified(self, exchange: Exchange) -> tuple[str, Headers] | None:
        """The request's id and the headers that every answer has; None if it has been refused."""
        contract = self.contract
        try:
            identity = identify(exchange)
        except IdTooLong as exc:
            headers = [*contract.version, *exc.headers, RUN_NOT_FAILED]
            _answer(exchange, 431, str(exc), self._cors(exchange, headers))
            return None
        headers = identity.headers
        headers.extend(contract.version)
        if contract.cors is not None:
            headers.extend(contract.cors.headers(exchange))
        return identity.request_id, headers

    def _cors(self, exchange: Exchange, headers: Headers) -> Headers:
        cors = self.contract.cors
        return headers if cors is None else [*headers, *cors.headers(exchange)]

    def _may_read(self, exchange: Exchange, headers: Headers) -> bool:
        """Whether the method is one for reading; the request has been answered otherwise."""
        if exchange.method == "OPTIONS":
            exchange.respond(200, [*headers, HTML, ALLOW_READ], b"")
        elif exchange.method not in READ_METHODS:
            _answer(exchange, 405, NOT_ALLOWED, [*headers, RUN_NOT_FAILED, ALLOW_READ])
        return exchange.method in READ_METHODS

    def _healthy(self, exchange: Exchange) -> None:
        identified = self._identified(exchange)
        if identified is not None and self._may_read(exchange, identified[1]):
            exchange.respond(200, [*identified[1], HTML], b"Healthy")

    def _ready(self, exchange: Exchange) -> None:
        if self._dispatcher.ready and not self.stopping:
            exchange.respond(200, [*self.contract.version, HTML], b"Ready")
            return
        _answer(exchange, 503, "No revision of this service is ready.", [("retry-after", "1")])

    def _swagger(self, exchange: Exchange) -> None:
        identified = self._identified(exchange)
        if identified is None:
            return
        _, headers = identified
        if exchange.method in READ_METHODS:
            refusal = self.keys.refusal(exchange.header("authorization"))
            if refusal is not None:
                _answer(exchange, 401, refusal, [*headers, ("www-authenticate", "Bearer")])
                return
        if not self._may_read(exchange, headers):
            return
        headers.append(RUN_NOT_FAILED)
        asked = dict(reversed(parse_qsl(exchange.query, keep_blank_values=True)))
        try:
            content = self.contract.swagger.document(asked.get("version", "2"))
        except NoSuchVersion as exc:
            _answer(exchange, 404, str(exc), headers)
            return
        exchange.respond(200, [*headers, *JSON_HEADERS], content)

    def _metrics(self, exchange: Exchange) -> None:
        self.scrape.begin(exchange, self.keys)

    def counted(self, exchange: Exchange) -> None:
        """Scores one request and counts it."""
        self.metrics.begun += 1
        exchange.begun = perf_counter()
        exchange.finished = self._finished
        tracer = self.tracing.tracer
        if tracer is not None:
            exchange.trace = tracer.begin(exchange)
        self._score(exchange)

    def _finished(self, exchange: Exchange) -> None:
        self.metrics.answered(exchange.status, perf_counter() - exchange.begun)
        if exchange.trace is not None:
            exchange.trace.end(exchange.status)

    def _score(self, exchange: Exchange) -> None:
        identified = self._identified(exchange)
        if identified is None or self._answered(exchange, identified[1]):
            return
        ticket = ScoreTicket(self, exchange, *identified)
        exchange.read(self.max_request_bytes, ticket.whole, ticket.too_large)

    def run(self, ticket: ScoreTicket) -> None:
        """Brings a request to a worker.

        Raises:
            ScoringFailed: the service takes none.
        """
        if ticket.trace is not None:
            ticket.trace.queued(ticket.request_id)
        if self.stopping:
            self.metrics.refuse("stopping")
            raise ScoringFailed(503, "The service is stopping.", retry_after=1)
        self._dispatcher.submit(ticket)

    def _answered(self, exchange: Exchange, headers: Headers) -> bool:
        """Whether no worker is needed for the request, which has been answered then."""
        method = exchange.method
        refusal = self.keys.refusal(exchange.header("authorization"))
        if refusal is not None:
            cors = self.contract.cors
            if method == "OPTIONS" and cors is not None and cors.preflight(exchange):
                exchange.respond(200, [*headers, HTML, RUN_NOT_FAILED], b"")
            else:
                _answer(exchange, 401, refusal, [*headers, RUN_NOT_FAILED, ("www-authenticate", "Bearer")])
            return True
        if method == "POST":
            return False
        if method not in SCORE_METHODS:
            _answer(exchange, 405, NOT_ALLOWED, [*headers, RUN_NOT_FAILED, ALLOW_SCORE])
        elif self.mode != "raw" and method == "OPTIONS":
            exchange.respond(200, [*headers, HTML, RUN_NOT_FAILED, ALLOW_SCORE], b"")
        elif self.mode != "raw" and method == "HEAD":
            _answer(exchange, 405, "Method not allowed", [*headers, RUN_NOT_FAILED, ALLOW_SCORE])
        else:
            return False
        return True


def _without(headers: Headers, given: Headers) -> Headers:
    """The headers of the service without those of CORS, if the script gives its own."""
    if all(name != "access-control-allow-origin" for name, _ in given):
        return headers
    return [pair for pair in headers if pair[0] != "vary" and not pair[0].startswith("access-control-")]


def _answer(exchange: Exchange, status: int, message: str, headers: Headers) -> None:
    body = json.dumps({"message": message}).encode()
    exchange.respond(status, [*headers, *JSON_HEADERS], body)
