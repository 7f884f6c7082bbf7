"""Requests that wait in a worker's socket, behind a real supervisor, front and workers."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mooring_runtime.testing import running, until

SCORE = """
import os, time

def init(): pass

def run(data):
    with open(os.environ["SEEN"], "a") as seen:
        seen.write(data + "\\n")
    if data.startswith("die"):
        os._exit(7)
    if data == "hold":
        while not os.path.exists(os.environ["GATE"]):
            time.sleep(0.005)
    return data
"""


def test_nothing_is_run_twice_or_lost(tmp_path: Path) -> None:
    env = {"SEEN": str(tmp_path / "seen"), "GATE": str(tmp_path / "gate")}
    limits = {"max_queue": 1000, "max_queue_wait_ms": 300000}
    # More requests than a worker may fail at before the service is given up.
    bodies = [f"die {number}" if number in {60, 150, 240} else str(number) for number in range(300)]
    with running(tmp_path) as service:
        service.apply(SCORE, limits, env=env, workers=2)
        service.ready()
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda body: service.post(body.encode()), bodies))
        seen = Counter((tmp_path / "seen").read_text().splitlines())
    assert seen == Counter(bodies)
    for body, answer in zip(bodies, answers, strict=True):
        if body.startswith("die"):
            assert answer.status == 502
        else:
            assert (answer.status, answer.json()) == (200, body)


def test_nobody_waits_behind_a_long_call_while_another_worker_is_free(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    env = {"SEEN": str(tmp_path / "seen"), "GATE": str(gate)}
    with running(tmp_path) as service, ThreadPoolExecutor(24) as pool:
        service.apply(SCORE, env=env, workers=2)
        service.ready()
        for _ in range(10):  # both workers are known to be brief
            assert service.post(b"brief").status == 200
        held = pool.submit(service.post, b"hold")
        until(lambda: "hold" in (tmp_path / "seen").read_text(), "a worker is held")
        answers = [pool.submit(service.post, str(number).encode()) for number in range(200)]
        assert {answer.result().status for answer in answers} == {200}
        assert not held.done()
        gate.touch()
        assert held.result().json() == "hold"
