"""OpenTelemetry traces of requests, sent by OTLP over HTTP; only when an endpoint is configured.

A trace's server span continues the caller's ``traceparent`` (W3C Trace Context). Below it are ``queue``, from the whole
body to a worker, and ``run``, from there to the answer; the worker's script gets the context of ``run`` in its
request's headers. Finished spans wait in a bounded queue for a thread of the SDK's: a collector that is slow or down
costs spans, never a request.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from mooring_runtime import __version__
from mooring_runtime.front.exchange import Exchange

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

PREFIX = "OTEL_"
CONTEXT = ("traceparent", "tracestate")
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
FLUSH_SECONDS = 2.0
MISSING = (
    "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed beside the front, so no traces are sent: "
    "pip install 'mooring-runtime[otel]' (%s)\n"
)
OTHER_PROTOCOL = "OTLP is spoken over http/protobuf, not %s, so no traces are sent.\n"


def wanted(variables: Mapping[str, str]) -> bool:
    """Whether the OpenTelemetry variables ask for traces."""
    off = variables.get("OTEL_SDK_DISABLED", "").lower() == "true"
    exporters = variables.get("OTEL_TRACES_EXPORTER", "otlp")
    return not off and exporters == "otlp" and any(variables.get(name) for name in ENDPOINTS)


class Tracing:
    """What makes spans; None in `tracer` as long as none are asked for.

    Attributes:
        tracer: begins the traces of requests.
    """

    def __init__(self) -> None:
        self._variables: Mapping[str, str] = {}
        self._service = ""
        self._building: asyncio.Task[None] | None = None
        self.tracer: Tracer | None = None

    def configure(self, service: str, variables: Mapping[str, str]) -> None:
        """Takes the variables of the active revision; its requests are traced as soon as the SDK is loaded.

        Args:
            service: ``service.name`` if ``OTEL_SERVICE_NAME`` does not say it.
            variables: those that begin with ``OTEL_``.
        """
        if (service, variables) == (self._service, self._variables):
            return
        self._service, self._variables = service, dict(variables)
        if wanted(variables) or self.tracer is not None or self._building is not None:
            self._building = asyncio.get_running_loop().create_task(self._build(self._building))

    async def _build(self, before: asyncio.Task[None] | None) -> None:
        """In a thread: loading the SDK takes as long as many requests."""
        if before is not None:
            await before
        old, self.tracer = self.tracer, None
        if old is not None:
            await old.close()
        if wanted(self._variables):
            self.tracer = await asyncio.to_thread(_load, self._service, self._variables)

    async def close(self) -> None:
        """Sends what is left, for a moment."""
        if self._building is not None:
            await self._building
        if self.tracer is not None:
            await self.tracer.close()


def _load(service: str, variables: Mapping[str, str]) -> Tracer | None:
    """A tracer, configured as the SDK's documentation says; None, and a line in the log, if there can be none."""
    protocol = next((variables[name] for name in PROTOCOLS if variables.get(name)), "http/protobuf")
    if protocol != "http/protobuf":
        sys.stderr.write(OTHER_PROTOCOL % protocol)
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as exc:
        sys.stderr.write(MISSING % exc)
        return None
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    os.environ.update(variables)
    try:
        named = Resource.create({} if variables.get("OTEL_SERVICE_NAME") else {"service.name": service})
        provider = TracerProvider(resource=named, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    except (ValueError, OSError) as exc:
        sys.stderr.write(f"The OpenTelemetry settings cannot be used, so no traces are sent: {exc}\n")
        return None
    return Tracer(provider)


class Tracer:
    """Begins traces.

    Args:
        provider: the SDK's.
    """

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._kind = trace.SpanKind.SERVER
        self.within = trace.set_span_in_context
        self.error = trace.StatusCode.ERROR
        self.spans = provider.get_tracer("mooring", __version__)
        self.propagator = TraceContextTextMapPropagator()

    def begin(self, exchange: Exchange) -> RequestTrace:
        """The trace of a request that has just come."""
        given = {name: value for name in CONTEXT if (value := exchange.header(name))}
        about = {
            "http.request.method": exchange.method,
            "http.route": exchange.path,
            "url.path": exchange.path,
            "url.scheme": exchange.scheme,
        }
        server = self.spans.start_span(
            f"{exchange.method} {exchange.path}",
            context=self.propagator.extract(given),
            kind=self._kind,
            attributes=about,
        )
        return RequestTrace(self, server)

    async def close(self) -> None:
        """Sends what is left, for a moment; the SDK would wait for a collector that is down."""
        thread = threading.Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        deadline = monotonic() + FLUSH_SECONDS
        while thread.is_alive() and monotonic() < deadline:  # noqa: ASYNC110 - a thread sets no event of the loop's
            await asyncio.sleep(0.01)


class RequestTrace:
    """The spans of one request.

    Args:
        tracer: whose.
        server: its server span.
    """

    def __init__(self, tracer: Tracer, server: Span) -> None:
        self._tracer = tracer
        self._server = server
        self._part: Span | None = None

    def queued(self, request_id: str) -> None:
        """The request has been read and waits for a worker."""
        self._server.set_attribute("mooring.request_id", request_id)
        self._next("queue")

    def sent(self) -> None:
        """A worker gets the request."""
        self._next("run")

    def continued(self, headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """The request's headers with the context of ``run`` in place of the caller's."""
        context: dict[str, str] = {}
        self._tracer.propagator.inject(context, self._tracer.within(self._part or self._server))
        return [*(pair for pair in headers if pair[0] not in CONTEXT), *context.items()]

    def ran(self, milliseconds: float) -> None:
        """``run()`` has returned, and took so long."""
        if self._part is not None:
            self._part.set_attribute("mooring.run_ms", milliseconds)
            self._part.end()
            self._part = None

    def end(self, status: int) -> None:
        """The request has been dealt with; status 0 if nobody was there any more to be answered."""
        if self._part is not None:
            self._part.end()
        if status:
            self._server.set_attribute("http.response.status_code", status)
        if status >= 500 or not status:
            self._server.set_status(self._tracer.error)
            self._server.set_attribute("error.type", str(status) if status else "caller gone")
        self._server.end()

    def _next(self, name: str) -> None:
        if self._part is not None:
            self._part.end()
        self._part = self._tracer.spans.start_span(name, context=self._tracer.within(self._server))
