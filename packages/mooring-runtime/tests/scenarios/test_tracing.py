"""Traces, as a collector gets them: OTLP over HTTP, read with the messages of opentelemetry-proto."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from mooring_runtime.testing import Service, until

SCORE = """
import time
def init(): pass
def run(data, request_headers):
    time.sleep(0.01)
    if data == "raise":
        raise ValueError(data)
    return {name.lower(): value for name, value in request_headers.items()}
"""
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"


class Collector(ThreadingHTTPServer):
    """Keeps what it is sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[ExportTraceServiceRequest] = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def spans(self) -> list[Span]:
        return [
            s for r in self.requests for rs in r.resource_spans for ss in rs.scope_spans for s in ss.spans
        ]

    def trace(self, trace: str, count: int = 3) -> dict[str, Span]:
        """The spans of a trace by name, once there are so many."""

        def found() -> list[Span]:
            mine = [span for span in self.spans if span.trace_id.hex() == trace]
            return mine if len(mine) >= count else []

        return {span.name: span for span in until(found, f"the spans of {trace}")}


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        assert self.path == "/v1/traces"
        request = ExportTraceServiceRequest()
        request.ParseFromString(body)
        self.server.requests.append(request)
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.shutdown()
    made.server_close()


def sent_to(port: int) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_BSP_SCHEDULE_DELAY": "50"}


def attributes(span: Span) -> dict[str, Any]:
    return {a.key: getattr(a.value, str(a.value.WhichOneof("value"))) for a in span.attributes}


def traced(service: Service, collector: Collector) -> None:
    """Waits until requests are traced: the front loads the SDK beside its work."""
    until(lambda: service.post(b"1").status == 200 and collector.spans, "requests are traced")


def test_a_request_continues_its_callers_trace(service: Service, collector: Collector) -> None:
    service.apply(SCORE, env=sent_to(collector.server_port))
    service.ready()
    traced(service, collector)
    parent = f"00-{TRACE}-{CALLER}-01"
    answer = service.post(b"1", traceparent=parent, tracestate="vendor=1", x_ms_request_id="mine")
    spans = collector.trace(TRACE)
    server, queue, run = spans["POST /score"], spans["queue"], spans["run"]
    assert server.parent_span_id.hex() == CALLER
    assert server.kind == Span.SPAN_KIND_SERVER
    assert {queue.parent_span_id, run.parent_span_id} == {server.span_id}
    assert attributes(server)["http.response.status_code"] == 200
    assert attributes(server)["mooring.request_id"] == "mine"
    assert server.start_time_unix_nano <= queue.start_time_unix_nano
    assert queue.end_time_unix_nano <= run.start_time_unix_nano + 1_000_000
    assert run.end_time_unix_nano <= server.end_time_unix_nano
    assert (
        10 <= attributes(run)["mooring.run_ms"] <= (run.end_time_unix_nano - run.start_time_unix_nano) / 1e6
    )
    # The script goes on where the front stopped.
    assert answer.json()["traceparent"] == f"00-{TRACE}-{run.span_id.hex()}-01"
    assert answer.json()["tracestate"] == "vendor=1"
    resource = collector.requests[0].resource_spans[0].resource
    assert {a.key: a.value.string_value for a in resource.attributes}["service.name"] == "mysvc"


def test_failures_and_requests_that_are_not_sampled(service: Service, collector: Collector) -> None:
    service.apply(SCORE, env={**sent_to(collector.server_port), "OTEL_SERVICE_NAME": "other"})
    service.ready()
    traced(service, collector)
    silent = "a" * 32
    given = service.post(b"1", traceparent=f"00-{silent}-{CALLER}-00").json()["traceparent"]
    assert given.startswith(f"00-{silent}-")
    assert given.endswith("-00")
    assert service.post(b"raise", traceparent=f"00-{TRACE}-{CALLER}-01").status == 500
    failed = collector.trace(TRACE)["POST /score"]
    assert failed.status.code == Status.STATUS_CODE_ERROR
    assert attributes(failed)["error.type"] == "500"
    assert not [span for span in collector.spans if span.trace_id.hex() == silent]
    # An update that asks for none ends it.
    service.apply(SCORE)
    service.ready()
    until(lambda: "traceparent" not in service.post(b"1").json(), "requests are not traced any more")


@pytest.mark.parametrize("listens", [False, True])
def test_a_collector_that_is_down_or_never_answers(service: Service, listens: bool) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        if listens:
            deaf.listen()
        env = {**sent_to(deaf.getsockname()[1]), "OTEL_BSP_MAX_QUEUE_SIZE": "8"}
        service.apply(SCORE, env={**env, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4"})
        service.ready()
        until(lambda: "traceparent" in service.post(b"1").json(), "requests are traced")
        assert {service.post(b"1").status for _ in range(50)} == {200}
        service.client.stop(1.0)
        assert service.process.wait(20) == 0


def test_without_the_sdk(tmp_path: Path) -> None:
    shadow = tmp_path / "shadow" / "opentelemetry"
    shadow.mkdir(parents=True)
    (shadow / "__init__.py").write_text("raise ImportError('not here')")
    service = Service(tmp_path / "service", env={**os.environ, "PYTHONPATH": str(shadow.parent)})
    try:
        service.apply(SCORE, env=sent_to(9))
        service.ready()
        assert "pip install 'mooring-runtime[otel]'" in service.logged("no traces are sent", "front")
        assert "traceparent" not in service.post(b"1").json()
    finally:
        service.close()


def test_another_protocol(service: Service) -> None:
    service.apply(SCORE, env={**sent_to(9), "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    service.ready()
    service.logged("OTLP is spoken over http/protobuf, not grpc", "front")
    assert service.post(b"1").status == 200
