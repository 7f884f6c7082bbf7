"""`@batched` behind a real supervisor, front and worker."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from mooring_runtime.testing import WORKER_DIR, Answer, Service, running, until

SCORE = """
import os, time
from mooring.scoring import BadRequest, batched

def init(): pass

@batched(max_size=3)
def run(inputs):
    with open(os.environ["SEEN"], "a") as seen:
        seen.write(" ".join(inputs) + "\\n")
    if "hold" in inputs:
        while not os.path.exists(os.environ["GATE"]):
            time.sleep(0.005)
    if "die" in inputs:
        os._exit(7)
    if "sleep" in inputs:
        time.sleep(60)
    return [BadRequest("never") if each == "bad" else [each, len(inputs)] for each in inputs]
"""


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


@pytest.fixture
def service(tmp_path: Path, gate: Path) -> Iterator[Service]:
    with running(tmp_path) as started:
        env = {"SEEN": str(tmp_path / "seen"), "GATE": str(gate)}
        started.apply(SCORE, {"scoring_timeout_ms": 5000}, env=env)
        started.ready()
        yield started


def together(service: Service, gate: Path, *bodies: str) -> list[Answer]:
    """The answers to requests that wait for the same worker, in this order, until all have come."""
    seen = gate.parent / "seen"
    with ThreadPoolExecutor(len(bodies) + 1) as pool:
        held = pool.submit(service.post, b"hold")
        until(lambda: seen.exists() and "hold" in seen.read_text(), "the worker is held")
        waiting: list[Future[Answer]] = []
        for number, body in enumerate(bodies):
            waiting.append(pool.submit(service.post, body.encode(), x_ms_request_id=f"r{number}"))
            queued = f"\nmooring_queue_length {number + 1}\n".encode()
            until(lambda queued=queued: queued in service.get("/metrics").body, f"{body} waits")
        gate.touch()
        assert held.result().json() == ["hold", 1]
        return [each.result() for each in waiting]


def test_requests_that_wait_share_a_call(service: Service, gate: Path) -> None:
    assert service.post(b"alone").json() == ["alone", 1]
    answers = together(service, gate, "a", "bad", "c", "d")
    assert sorted(answer.status for answer in answers) == [200, 200, 200, 400]
    assert answers[1].json() == {"message": "never"}
    assert answers[1].headers["x-ms-run-function-failed"] == "False"
    assert [answer.headers["x-ms-request-id"] for answer in answers] == ["r0", "r1", "r2", "r3"]
    sizes = [len(line.split()) for line in (gate.parent / "seen").read_text().splitlines()]
    assert sizes == [1, 1, 3, 1]
    for body, answer in zip(["a", "c", "d"], (answers[0], *answers[2:]), strict=True):
        assert answer.json()[0] == body
        assert float(answer.headers["x-ms-run-fn-exec-ms"]) >= 0


def test_a_worker_that_dies_costs_the_batch_it_ran(service: Service, gate: Path) -> None:
    answers = together(service, gate, "die", "die", "die", "die", "e", "f")
    died = [answer for answer in answers if answer.status == 502]
    assert len(died) in {3, 4, 5, 6}
    for answer in died:
        assert answer.headers["x-ms-request-id"] in answer.json()["message"]
    lines = (gate.parent / "seen").read_text().split("\n")
    # Nothing was run twice.
    assert sum(line.split().count("die") for line in lines) == 4
    assert sum(line.split().count("e") + line.split().count("f") for line in lines) == 2
    service.ready()
    assert service.post(b"again").json() == ["again", 1]


def test_a_batch_that_takes_too_long(service: Service, gate: Path) -> None:
    answers = together(service, gate, "sleep", "x", "y")
    assert [answer.status for answer in answers] == [500, 500, 500]
    assert all("Scoring timeout" in answer.json()["message"] for answer in answers)


def test_without_the_package(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path.append({str(WORKER_DIR / 'fallback')!r})\n"
        "from mooring.scoring import BadRequest, batched\n"
        "print(batched(max_size=5)(lambda inputs: inputs)._mooring_batched, BadRequest('x').mooring_status)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, check=True, cwd=tmp_path
    )
    assert done.stdout == b"5 400\n"
