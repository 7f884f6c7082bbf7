"""Workers whose memory grows, under load."""

from __future__ import annotations

import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from mooring_runtime.supervisor.failure import SupervisorError
from mooring_runtime.testing import Service, until

LEAKS = """
import os
kept = []
def init(): pass
def run(data):
    kept.append(bytearray(os.urandom(1) * (1 << 20)))
    return os.getpid()
"""


def replaced(service: Service) -> float:
    families = parse(service.get("/metrics").body.decode())
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == "mooring_worker_restarts_total" and sample.labels["cause"] == "MemoryGrowth"
    )


def test_a_script_that_leaks_loses_no_request(service: Service) -> None:
    service.apply(LEAKS, workers=2, env={"MOORING_WORKER_MAX_RSS": "60"})
    service.ready()
    done = threading.Event()
    statuses: list[int] = []
    pids: set[int] = set()

    def call() -> None:
        while not done.is_set():
            answer = service.post(b"1")
            statuses.append(answer.status)
            if answer.status == 200:
                pids.add(answer.json())

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    try:
        until(lambda: replaced(service) >= 3, "three workers are replaced")
    finally:
        done.set()
        for caller in callers:
            caller.join()
    assert set(statuses) == {200}
    assert len(pids) >= 4
    state = service.client.status()
    assert "MOORING_WORKER_MAX_RSS is 60" in "".join(row["last_exit"] or "" for row in state["workers"])
    assert "to be replaced: grew to" in service.log("supervisor")


def test_a_limit_below_what_the_model_needs(service: Service) -> None:
    service.apply(LEAKS, env={"MOORING_WORKER_MAX_RSS": "1"})
    service.ready()
    service.logged("needs", "supervisor")
    first = service.post(b"1").json()
    assert replaced(service) == 0
    assert service.post(b"1").json() == first


@pytest.mark.parametrize("text", ["60MB", "0", "-1", "1.5"])
def test_a_limit_that_is_none(service: Service, text: str) -> None:
    with pytest.raises(
        SupervisorError, match="MOORING_WORKER_MAX_RSS must be a whole number of MiB"
    ) as raised:
        service.apply(LEAKS, env={"MOORING_WORKER_MAX_RSS": text})
    assert raised.value.failure.code == "SpecInvalid"
