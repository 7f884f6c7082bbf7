from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mooring_runtime.supervisor import files, proctable
from mooring_runtime.supervisor.child import MARK
from mooring_runtime.supervisor.client import SupervisorClient, SupervisorUnavailable
from mooring_runtime.supervisor.failure import SupervisorError
from mooring_runtime.testing import Service, until

ECHO = """
import json
def init():
    print("init done")
def run(data):
    return {"revision": %r, "got": json.loads(data)}
"""
PID = "import os\ndef init(): pass\ndef run(data): return os.getpid()"


def test_start_then_score(service: Service) -> None:
    service.apply(ECHO % "one", workers=2)
    state = service.ready()
    assert service.post(b"[1]").json() == {"revision": "one", "got": [1]}
    assert state["active_revision"] == state["target_revision"] == "r1"
    assert [worker["state"] for worker in state["workers"]] == ["Ready", "Ready"]
    assert state["front"]["state"] == "Ready"
    assert all(worker["rss_bytes"] > 1 << 20 for worker in state["workers"])
    service.logged("init done")
    written = service.client.last_state()
    assert written is not None
    assert written["phase"] == "Ready"
    assert (service.directory / files.SPEC).stat().st_mode & 0o777 == 0o600


def test_without_a_spec_it_waits(service: Service) -> None:
    state = service.client.status()
    assert state["phase"] == "Starting"
    assert state["service"] is None


def test_a_wrong_spec_is_refused(service: Service) -> None:
    with pytest.raises(SupervisorError, match="revision is missing") as caught:
        service.client.apply({"service": "x"})
    assert caught.value.failure.code == "SpecInvalid"


def test_stop_ends_everything(service: Service) -> None:
    service.apply(ECHO % "one")
    service.ready()
    final = service.client.stop(1.0)
    assert final["phase"] == "Stopping"
    assert final["workers"] == [{**final["workers"][0], "pid": None, "state": "Exited"}]
    assert service.process.wait(10) == 0
    assert not (service.directory / files.CONTROL).exists()
    assert proctable.marked(f"{MARK}={service.directory}") == []
    with pytest.raises(SupervisorUnavailable):
        service.client.status()
    assert "Traceback" not in service.log("supervisor")


def test_sigterm_stops_too(service: Service) -> None:
    service.apply(ECHO % "one")
    service.ready()
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(10) == 0
    assert proctable.marked(f"{MARK}={service.directory}") == []


def test_stop_lets_requests_finish(service: Service, tmp_path: Path) -> None:
    started = tmp_path / "started"
    score = f"""
import pathlib, time
def init(): pass
def run(data):
    pathlib.Path({str(started)!r}).touch()
    time.sleep(0.5)
    return "finished"
"""
    service.apply(score)
    service.ready()
    answers = []
    thread = threading.Thread(target=lambda: answers.append(service.post(b"x")))
    thread.start()
    until(started.exists, "the request runs")
    service.client.stop(10.0)
    thread.join()
    assert answers[0].json() == "finished"


def test_a_second_supervisor_gives_up(service: Service) -> None:
    command = [sys.executable, "-m", "mooring_runtime.supervisor", "--dir", str(service.directory)]
    second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert second.returncode == 75
    assert "another supervisor owns" in second.stderr
    assert service.client.alive()


def test_launch_detached(tmp_path: Path) -> None:
    directory = tmp_path / ("a-long-name-" * 12) / "service"
    client = SupervisorClient(directory)
    state = client.launch()
    try:
        assert client.launch()["pid"] == state["pid"]
        assert os.getsid(state["pid"]) != os.getsid(0)
    finally:
        client.stop(0)
    until(lambda: state["pid"] not in proctable.table(), "the supervisor has ended")


def test_launch_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SupervisorUnavailable, match="does not start"):
        SupervisorClient(tmp_path / "file" / "service").launch()


def test_update_under_load_loses_no_request(service: Service) -> None:
    service.apply(ECHO % "one", workers=2)
    service.ready()
    stop = threading.Event()
    answers: list[tuple[int, str]] = []

    def load() -> None:
        while not stop.is_set():
            answer = service.post(b"1")
            answers.append((answer.status, answer.json().get("revision", answer.body)))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for name in ("two", "three"):
        service.apply(ECHO % name, workers=2)
        service.ready()
        until(lambda name=name: answers[-1][1] == name, "the new revision answers")
    stop.set()
    for thread in threads:
        thread.join()
    assert {status for status, _ in answers} == {200}
    assert {name for _, name in answers} == {"one", "two", "three"}
    until(lambda: len(service.client.status()["workers"]) == 2, "the old workers have ended")


def test_requests_in_flight_finish_on_the_old_revision(service: Service, tmp_path: Path) -> None:
    started, go = tmp_path / "started", tmp_path / "go"
    slow = f"""
import pathlib, time
def init(): pass
def run(data):
    pathlib.Path({str(started)!r}).touch()
    while not pathlib.Path({str(go)!r}).exists():
        time.sleep(0.01)
    return "old"
"""
    service.apply(slow)
    service.ready()
    answers = []
    thread = threading.Thread(target=lambda: answers.append(service.post(b"x")))
    thread.start()
    until(started.exists, "the request runs")
    service.apply(ECHO % "new")
    state = service.ready()
    assert "Draining" in {worker["state"] for worker in state["workers"]}
    assert service.post(b"1").json()["revision"] == "new"
    go.touch()
    thread.join()
    assert answers[0].json() == "old"


def test_the_same_spec_changes_nothing(service: Service) -> None:
    service.apply(PID)
    state = service.ready()
    again = service.client.apply(service.spec)
    assert again["workers"][0]["pid"] == state["workers"][0]["pid"]
    assert again["phase"] == "Ready"


def test_scale_keeps_the_workers(service: Service) -> None:
    service.apply(PID)
    first = service.ready()["workers"][0]["pid"]
    service.apply_spec({"revision": {**service.spec["revision"], "workers": 3}})
    service.client.wait(lambda state: state["phase"] == "Ready" and len(state["workers"]) == 3, 120)
    service.apply_spec({"revision": {**service.spec["revision"], "workers": 1}})
    state = service.client.wait(lambda state: len(state["workers"]) == 1, 120)
    assert state["workers"][0]["pid"] == first


def test_keys_change_without_new_workers(service: Service) -> None:
    service.apply(PID, {"auth_keys": ["first", "second"]})
    pid = service.ready()["workers"][0]["pid"]
    refused = service.post(b"1")
    assert refused.status == 401
    assert "Authorization" in refused.json()["message"]
    assert service.post(b"1", Authorization="Bearer wrong").status == 401
    assert service.post(b"1", Authorization="Bearer second").json() == pid
    service.apply_spec({"auth_keys": ["third"]})
    until(lambda: service.post(b"1", Authorization="Bearer third").status == 200, "the new key works")
    assert service.post(b"1", Authorization="Bearer second").status == 401
    assert service.client.status()["workers"][0]["pid"] == pid


def test_a_later_apply_supersedes_one_that_hangs(service: Service) -> None:
    service.apply(ECHO % "one")
    service.ready()
    service.apply("import time\ndef init(): time.sleep(600)\ndef run(data): pass")
    assert service.client.status()["phase"] == "Switching"
    service.apply(ECHO % "three")
    service.ready()
    assert service.post(b"1").json()["revision"] == "three"
    until(lambda: len(service.client.status()["workers"]) == 1, "the others have ended")


def test_back_to_the_active_revision(service: Service) -> None:
    service.apply(PID)
    pid = service.ready()["workers"][0]["pid"]
    good = service.spec["revision"]
    service.apply("1/0")
    service.failed()
    service.apply_spec({"revision": good})
    assert service.client.status()["failure"] is None
    assert service.ready()["workers"][0]["pid"] == pid


def test_a_taken_port_is_refused(service: Service, tmp_path: Path) -> None:
    service.apply(PID)
    port = service.ready()["port"]
    other = Service(tmp_path / "other")
    try:
        with pytest.raises(SupervisorError) as caught:
            other.apply(PID, {"port": port})
        assert caught.value.failure.code == "PortUnavailable"
        assert str(port) in caught.value.failure.message
        other.apply(PID)
        assert other.ready()["port"] != port
    finally:
        other.close()


def test_another_port(service: Service) -> None:
    service.apply(PID)
    old = service.ready()
    spare = Service(service.directory.parent / "spare")
    spare.apply(PID)
    port = spare.ready()["port"]
    spare.close()
    service.apply_spec({"port": port})
    state = service.client.wait(
        lambda seen: seen["phase"] == "Ready" and seen["front"]["pid"] != old["front"]["pid"], 20
    )
    assert state["port"] == port
    assert service.post(b"1").json() == old["workers"][0]["pid"]


def test_another_host_on_the_same_port(service: Service) -> None:
    service.apply(PID)
    old = service.ready()
    service.apply_spec({"host": "0.0.0.0"})
    state = service.client.wait(
        lambda seen: seen["phase"] == "Ready" and seen["front"]["pid"] != old["front"]["pid"], 20
    )
    assert state["url"] == f"http://0.0.0.0:{old['port']}"
    assert service.post(b"1").json() == old["workers"][0]["pid"]


def test_the_state_is_json_for_readers_without_a_socket(service: Service) -> None:
    service.apply(ECHO % "one")
    state = service.ready()
    service.kill()
    written = json.loads((service.directory / files.STATE).read_text())
    assert written["port"] == state["port"]
    assert time.strptime(written["updated"][:19], "%Y-%m-%dT%H:%M:%S")
