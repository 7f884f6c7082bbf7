"""``/metrics``, read by the parsers of ``prometheus_client``."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import openmetrics, parser
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from mooring_runtime import __version__
from mooring_runtime.testing import Service, running, until

SCORE = """
import os, time
def init(): pass
def run(data):
    if data == "raise":
        raise ValueError(data)
    if data == "exit":
        os._exit(3)
    if data == "wait":
        open("waits", "w").close()
        while not os.path.exists("go"):
            time.sleep(0.005)
    return data
"""
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scraped(service: Service, **headers: str) -> Samples:
    answer = service.get("/metrics", **headers)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return samples(parser.text_string_to_metric_families(answer.body.decode()))


def samples(families: Iterator[openmetrics.parser.Metric]) -> Samples:
    found: Samples = {}
    for family in families:
        assert family.documentation
        assert family.type in {"counter", "gauge", "histogram"}
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, key
            found[key] = sample.value
    return found


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


def test_what_is_counted(service: Service) -> None:
    service.apply(SCORE)
    state = service.ready()
    for body in (b"1", b"2", b"raise"):
        service.post(body)
    service.request("PUT", "/score", b"x")
    found = scraped(service)
    assert value(found, "mooring_requests_total", status="200") == 2
    assert value(found, "mooring_requests_total", status="500") == 1
    assert value(found, "mooring_requests_total", status="405") == 1
    assert value(found, "mooring_request_duration_seconds_count") == 4
    assert value(found, "mooring_queue_wait_seconds_count") == 3
    assert value(found, "mooring_run_duration_seconds_count") == 2
    assert value(found, "mooring_request_duration_seconds_bucket", le="+Inf") == 4
    assert value(found, "mooring_request_duration_seconds_sum") > value(
        found, "mooring_run_duration_seconds_sum"
    )
    assert value(found, "mooring_requests_in_progress") == 0
    assert value(found, "mooring_workers", state="Ready") == 1
    memory = [size for (name, _), size in found.items() if name == "mooring_worker_memory_bytes"]
    assert len(memory) == len(state["workers"])
    assert all(size > 1 << 20 for size in memory)
    info = {"service": "mysvc", "revision": "r1", "target_revision": "r1", "version": __version__}
    assert value(found, "mooring_revision_info", **info) == 1


def test_openmetrics_for_those_who_ask(service: Service) -> None:
    service.apply(SCORE, spec={"service": 'a "name"\\ of\nmine'})
    service.ready()
    service.post(b"1")
    accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"
    answer = service.get("/metrics", accept=accept)
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    found = samples(parse_openmetrics(answer.body.decode()))
    assert value(found, "mooring_requests_total", status="200") == 1
    names = [dict(labels)["service"] for name, labels in found if name == "mooring_revision_info"]
    assert names == ['a "name"\\ of\nmine']
    assert not service.request("HEAD", "/metrics").body


def test_while_user_code_does_what_it_likes(service: Service) -> None:
    service.apply(SCORE, spec={"max_queue": 1}, workers=1)
    root = Path(service.spec["revision"]["app_root"])
    service.ready()
    service.post(b"exit")
    service.client.wait(lambda seen: seen["workers"][0]["restarts"] == 1, 120)
    service.ready()
    # One runs, one waits, one finds the queue full.
    answers: list[int] = []
    callers = [threading.Thread(target=lambda: answers.append(service.post(b"wait").status)) for _ in "12"]
    callers[0].start()
    until((root / "waits").exists, "run() waits")
    callers[1].start()
    until(lambda: value(scraped(service), "mooring_queue_length") == 1, "one request waits")
    assert service.post(b"late").status == 503
    found = scraped(service)
    (root / "go").touch()
    for caller in callers:
        caller.join()
    assert answers == [200, 200]
    assert value(found, "mooring_requests_in_progress") == 2
    assert value(found, "mooring_queue_limit") == 1
    assert value(found, "mooring_requests_refused_total", reason="queue full") == 1
    assert value(found, "mooring_requests_total", status="503") == 1
    assert value(found, "mooring_requests_total", status="502") == 1
    assert value(found, "mooring_worker_restarts_total", cause="WorkerCrashLoop") == 1
    after = scraped(service)
    assert value(after, "mooring_queue_wait_seconds_count") == 3
    assert value(after, "mooring_queue_wait_seconds_bucket", le="0.0005") < 3


def test_callers_that_go_away_are_counted(service: Service) -> None:
    service.apply(SCORE)
    address = service.ready()["url"].removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1]))) as caller:
        caller.sendall(b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf")
        until(lambda: value(scraped(service), "mooring_requests_in_progress") == 1, "the request is seen")
    until(lambda: value(scraped(service), "mooring_requests_in_progress") == 0, "the request is given up")
    assert value(scraped(service), "mooring_requests_total", status="499") == 1


def test_the_supervisor_hangs(service: Service) -> None:
    service.apply(SCORE)
    service.ready()
    fresh = scraped(service)
    service.post(b"1")
    os.kill(service.process.pid, signal.SIGSTOP)
    try:
        stale = scraped(service)
    finally:
        os.kill(service.process.pid, signal.SIGCONT)
    assert value(stale, "mooring_requests_total", status="200") == 1
    assert value(stale, "mooring_workers", state="Ready") == value(fresh, "mooring_workers", state="Ready")


def test_who_may_read(service: Service) -> None:
    service.apply(SCORE, spec={"auth_keys": ["secret"]})
    service.ready()
    assert service.get("/metrics").status == 401
    assert service.get("/metrics", authorization="Bearer wrong").status == 401
    assert scraped(service, authorization="Bearer secret")
    assert service.request("POST", "/metrics", b"x", authorization="Bearer secret").status == 405
    service.apply_spec({"auth_keys": []})
    until(lambda: service.get("/metrics").status == 200, "the keys are gone")
    # A proxy on this machine is not its callers.
    refused = service.get("/metrics", x_forwarded_for="203.0.113.7")
    assert refused.status == 403
    assert "MOORING_METRICS_OPEN" in refused.json()["message"]
    service.apply(SCORE, env={"MOORING_METRICS_OPEN": "true"})
    service.ready()
    assert service.get("/metrics", x_forwarded_for="203.0.113.7").status == 200


def test_callers_from_elsewhere(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; says which address would
        except OSError:
            pytest.skip("no address but loopback")
        own = probe.getsockname()[0]
    with running(tmp_path) as service:
        service.apply(SCORE, spec={"host": own})
        service.ready()
        assert service.post(b"1").status == 200
        assert service.get("/metrics").status == 403
