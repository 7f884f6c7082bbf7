from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

from mooring_runtime.supervisor import proctable
from mooring_runtime.supervisor.child import MARK
from mooring_runtime.testing import Answer, Service, until

PID = """
import os
def init(): pass
def run(data):
    if data == "exit": os._exit(4)
    if data == "hang":
        import time
        hang_here = time.sleep
        hang_here(600)
    return os.getpid()
"""


def test_a_killed_worker_is_replaced(service: Service) -> None:
    service.apply(PID)
    pid = service.ready()["workers"][0]["pid"]
    os.kill(pid, signal.SIGKILL)
    answer = until(lambda: [a for a in [service.post(b"1")] if a.status == 200], "it answers again")[0]
    assert answer.json() != pid
    worker = service.ready()["workers"][0]
    assert worker["restarts"] == 1
    assert worker["last_exit"] == "signal 9 (SIGKILL)"


def test_exit_in_run_costs_one_request(service: Service) -> None:
    service.apply(PID, workers=2)
    service.ready()
    answers: dict[str, list[Answer]] = {"exit": [], "ok": []}

    def many() -> None:
        answers["ok"] += [service.post(b"1") for _ in range(20)]

    threads = [threading.Thread(target=many) for _ in range(3)]
    for thread in threads:
        thread.start()
    answers["exit"].append(service.post(b"exit", x_ms_request_id="my-request"))
    for thread in threads:
        thread.join()
    lost = answers["exit"][0]
    assert lost.status == 502
    assert "my-request" in lost.json()["message"]
    assert lost.headers["x-ms-run-function-failed"] == "True"
    assert {answer.status for answer in answers["ok"]} == {200}
    service.client.wait(
        lambda state: sorted(worker["restarts"] for worker in state["workers"]) == [0, 1], 120
    )
    assert service.ready()["front"]["restarts"] == 0


def test_scoring_timeout_costs_one_worker(service: Service) -> None:
    service.apply(PID, {"scoring_timeout_ms": 500}, workers=2)
    pids = {worker["pid"] for worker in service.ready()["workers"]}
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(service.post(b"hang")))
    thread.start()
    others = [service.post(b"1") for _ in range(20)]
    thread.join()
    assert {answer.status for answer in others} == {200}
    assert answers[0].status == 500
    assert answers[0].json() == {"message": "Scoring timeout after 500 ms"}
    assert answers[0].headers["x-ms-run-function-failed"] == "True"
    assert "x-ms-run-fn-exec-ms" not in answers[0].headers
    state = service.client.wait(
        lambda seen: seen["phase"] == "Ready" and {w["pid"] for w in seen["workers"]} != pids, 10
    )
    assert len(pids & {worker["pid"] for worker in state["workers"]}) == 1
    assert any("scoring timeout" in (worker["last_exit"] or "") for worker in state["workers"])
    assert "in run" in service.log("worker")


def test_callers_wait_for_the_successor_of_a_killed_front(service: Service) -> None:
    """Nobody is refused: the supervisor keeps the listening socket. It is stopped here to see that."""
    service.apply(PID)
    state = service.ready()
    address = urlsplit(state["url"])
    os.kill(state["pid"], signal.SIGSTOP)
    try:
        os.kill(state["front"]["pid"], signal.SIGKILL)
        until(lambda: ended(state["front"]["pid"]), "the front has ended")
        with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=60) as caller:
            caller.sendall(
                b"POST /score HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 1\r\n\r\n1"
            )
            os.kill(state["pid"], signal.SIGCONT)
            answer = b"".join(iter(lambda: caller.recv(65536), b""))
    finally:
        os.kill(state["pid"], signal.SIGCONT)
    assert answer.startswith(b"HTTP/1.1 200 OK")


def ended(pid: int) -> bool:
    """Also if nobody has asked for its exit status yet."""
    return b") Z " in Path(f"/proc/{pid}/stat").read_bytes()


def test_a_killed_front_is_replaced_on_the_same_port(service: Service) -> None:
    service.apply(PID)
    state = service.ready()
    os.kill(state["front"]["pid"], signal.SIGKILL)
    again = service.client.wait(
        lambda seen: seen["phase"] == "Ready" and seen["front"]["pid"] != state["front"]["pid"], 10
    )
    assert again["port"] == state["port"]
    assert again["front"]["restarts"] == 1
    assert service.post(b"1").json() == state["workers"][0]["pid"]


def test_nothing_outlives_a_killed_supervisor_and_the_next_brings_all_back(service: Service) -> None:
    service.apply(PID, {"auth_keys": ["k"]}, workers=2)
    state = service.ready()
    service.kill()
    until(lambda: not proctable.marked(f"{MARK}={service.directory}"), "front and workers have ended")
    service.restart()
    again = service.ready()
    assert again["port"] == state["port"]
    assert again["active_revision"] == "r1"
    assert again["generation"] == state["generation"]
    assert service.post(b"1", Authorization="Bearer k").status == 200


def test_a_spec_that_cannot_be_read_waits_for_the_next(service: Service) -> None:
    service.apply(PID)
    service.ready()
    service.kill()
    (service.directory / "spec.json").write_text('{"from": "the future"}')
    service.restart()
    failure = service.failed()
    assert failure["code"] == "SpecInvalid"
    assert "spec.json" in failure["message"]
    service.apply(PID)
    service.ready()
    assert service.post(b"1").status == 200


def test_the_old_revision_comes_back_too(service: Service) -> None:
    service.apply(PID)
    service.ready()
    service.apply("1/0")
    service.failed()
    service.kill()
    service.restart()
    service.failed()
    service.client.wait(lambda seen: seen["front"]["state"] == "Ready", 120)
    until(lambda: service.get("/readyz").status == 200, "the old revision is back")
    assert service.post(b"1").status == 200
    assert service.client.status()["active_revision"] == "r1"


def test_children_of_workers_are_killed_with_them(service: Service) -> None:
    score = """
import subprocess
def init():
    subprocess.Popen(["sleep", "600"], start_new_session=True)
def run(data):
    return 1
"""
    service.apply(score)
    service.ready()
    assert len(proctable.marked(f"{MARK}={service.directory}")) == 3
    service.kill()
    service.restart()
    service.ready()
    until(lambda: len(proctable.marked(f"{MARK}={service.directory}")) == 3, "the first sleep has ended")
    service.client.stop(0)
    until(lambda: not proctable.marked(f"{MARK}={service.directory}"), "everything has ended")


def test_a_full_queue(service: Service) -> None:
    service.apply(PID, {"scoring_timeout_ms": 2000, "max_queue": 1, "max_queue_wait_ms": 300})
    service.ready()
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda: answers.append(service.post(b"hang"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    messages = sorted((answer.status, answer.json()["message"]) for answer in answers)
    assert [status for status, _ in messages] == [500, 503, 503, 503]
    assert any("overloaded" in message for _, message in messages)
    assert any("within 300 ms" in message for _, message in messages)
