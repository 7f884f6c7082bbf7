"""What scripts do wrong: each fault costs the request it happened in, and everybody else is answered."""

from __future__ import annotations

import http.client
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from confined import confined, why_not

from mooring_runtime.testing import Answer, Service, running, until

SCORE = """
import ctypes, json, os, signal, socket, sys, threading, time, traceback, warnings
from azureml.contrib.services.aml_response import AMLResponse
def init(): pass
def run(data):
    names = dict(globals())
    exec(data, names)
    return names.get("answer", "done")
"""
LIMIT = 512 << 20
TIMEOUT_MS = 1500
PATIENT = {"scoring_timeout_ms": 300000, "max_queue_wait_ms": 60000}


@dataclass(frozen=True)
class Fault:
    """What a script does, and the answer that its caller gets.

    Attributes:
        dies: whether another worker takes the place of the one that did it.
    """

    name: str
    code: str
    status: int = 200
    says: str = "done"
    dies: bool = False
    failed: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "failed", self.status >= 500 and "JSON" not in self.says)


def dies(name: str, code: str) -> Fault:
    return Fault(name, code, 502, "The worker died while it ran the scoring script. Request id:", dies=True)


def hangs(name: str, code: str) -> Fault:
    return Fault(name, code, 500, "Scoring timeout after 1500 ms", dies=True)


def raises(name: str, code: str) -> Fault:
    return Fault(name, code, 500, "An unexpected error occurred in scoring script.")


def unserialisable(name: str, code: str) -> Fault:
    return Fault(name, code, 500, "a value that is not JSON serializable")


ORDINARY = [
    dies("segfault", "ctypes.string_at(0)"),
    dies("os._exit", "os._exit(3)"),
    dies("killed between request and reply", "os.kill(os.getpid(), signal.SIGKILL)"),
    dies("10 GB", "kept = [b'x' * (1 << 20) for _ in range(10 << 10)]"),
    dies("all descriptors closed", "os.closerange(3, 256)"),
    hangs("a loop", "while True: pass"),
    hangs("a deadlock with the GIL held", "ctypes.PyDLL(None).sleep(100)"),
    raises("sys.exit", "sys.exit(3)"),
    raises("recursion", "def f(): f()\nf()"),
    unserialisable("a set", "answer = {1}"),
    raises("stderr is None", "sys.stdout = sys.stderr = None\nraise ValueError"),
    Fault("a child that returns", "answer = 'child' if os.fork() == 0 else 'parent'", says="parent"),
    Fault("a child that stays", "if os.fork() == 0: time.sleep(600)"),
    Fault(
        "threads left behind", "[threading.Thread(target=time.sleep, args=(600,)).start() for _ in range(9)]"
    ),
    Fault("bytes on stdout", "os.write(1, bytes(range(256)) * 999)"),
]
MORE = [
    dies("abort", "os.abort()"),
    dies("an alarm", "signal.alarm(1); time.sleep(30)"),
    dies("SIGTERM to itself", "os.kill(os.getpid(), signal.SIGTERM); time.sleep(1)"),
    dies("descriptors replaced", "[os.dup2(1, number) for number in range(3, 40)]"),
    dies("socket.socket patched", "socket.socket.sendall = socket.socket.recv = None"),
    hangs("a deadlock", "lock = threading.Lock(); lock.acquire(); lock.acquire()"),
    hangs("a stopped process", "os.kill(os.getpid(), signal.SIGSTOP)"),
    hangs("signals ignored", "[signal.signal(n, signal.SIG_IGN) for n in (6, 15)]\nwhile True: pass"),
    raises("KeyboardInterrupt", "raise KeyboardInterrupt"),
    raises("GeneratorExit", "raise GeneratorExit"),
    raises("MemoryError", "raise MemoryError"),
    raises("an exception without text", "class E(Exception):\n  def __str__(self): 1/0\nraise E"),
    raises("stderr closed", "sys.stderr.close(); raise ValueError"),
    raises("1 and 2 closed", "os.close(1); os.close(2); raise ValueError"),
    raises("traceback patched", "traceback.print_exc = None; json.loads = None; raise ValueError"),
    raises("a status that is none", "answer = AMLResponse('x', 42)"),
    raises(
        "a megabyte of headers", "answer = AMLResponse('x', 200, {'X%d' % n: 'v' * 9999 for n in range(99)})"
    ),
    raises("a surrogate in a header", "answer = AMLResponse('x', 200, {'x': chr(0xd800)})"),
    unserialisable("a deep list", "answer = []\nfor _ in range(99999): answer = [answer]"),
    unserialisable("an object that raises", "class L(dict):\n  def items(self): 1/0\nanswer = L(a=1)"),
    Fault("a child that raises", "if os.fork() == 0: raise ValueError"),
    Fault("a child that exits", "if os.fork() == 0: sys.exit(1)"),
    Fault("time patched", "time.time = time.perf_counter = time.sleep = None"),
    Fault("json patched", "json.loads = json.dumps = json.JSONEncoder = None"),
    Fault("a default timeout", "socket.setdefaulttimeout(0.1)"),
    Fault("warnings are errors", "warnings.simplefilter('error'); import gc; gc.collect()"),
    Fault("modules gone", "sys.modules.clear()"),
    Fault("environment gone", "os.environ.clear(); sys.path.clear(); os.chdir('/')"),
    Fault("a line of 64 MiB", "sys.stdout.write('x' * (64 << 20))"),
]
FAULTS = [*ORDINARY, *(pytest.param(fault, marks=pytest.mark.full) for fault in MORE)]
MODES = ["none", *(pytest.param(mode, marks=pytest.mark.full) for mode in ("bwrap", "landlock"))]


@dataclass
class Place:
    """A service in one mode of the sandbox."""

    service: Service
    spec: dict[str, Any]

    def deploy(self, score: str = SCORE, workers: int = 2, **limits: int) -> None:
        """New workers, whatever has become of those before."""
        self.service.apply(score, {**PATIENT, **limits}, workers=workers, **self.spec)
        self.service.ready()


@pytest.fixture(scope="module", params=MODES)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    if request.param == "none":
        with running(tmp_path_factory.mktemp("faults")) as service:
            yield Place(service, {"memory_bytes": LIMIT})
        return
    if why := why_not(request.param, os.geteuid()):
        pytest.skip(why)
    with confined(request.param, os.geteuid()) as sandboxed:
        spec = {"sandbox": {"mode": request.param}, "memory_bytes": LIMIT, "python": sandboxed.python}
        yield Place(sandboxed.service, spec)


def post(service: Service, body: bytes) -> Answer:
    """A request of somebody who has all the time there is."""
    address = urlsplit((service.client.last_state() or {})["url"])
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=300)
    connection.request("POST", "/score", body)
    response = connection.getresponse()
    answer = Answer(response.status, {}, response.read())
    connection.close()
    return answer


@contextmanager
def others(service: Service) -> Iterator[list[Answer]]:
    """Somebody else's requests, one after the other, while something happens; their answers."""
    answers: list[Answer] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set() or not answers:
            answers.append(post(service, b"answer = 'mine'"))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        until(lambda: answers, "the first answer")
        yield answers
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_costs_its_own_request(place: Place, fault: Fault) -> None:
    service = place.service
    hangs = "timeout" in fault.says
    place.deploy(scoring_timeout_ms=TIMEOUT_MS if hangs else PATIENT["scoring_timeout_ms"])
    before = service.client.status()
    with others(service) as answers:
        answer = service.post(fault.code.encode(), x_ms_request_id=f"id of {fault.name}")
    assert answer.status == fault.status, answer
    assert answer.headers["x-ms-run-function-failed"] == str(fault.failed)
    assert answer.headers["x-ms-request-id"] == f"id of {fault.name}"
    assert ("x-ms-run-fn-exec-ms" in answer.headers) is (answer.status == 200)
    said = answer.json() if answer.status == 200 else answer.json()["message"]
    assert fault.says in said
    assert {(a.status, a.body) for a in answers} == {(200, b'"mine"')}
    if fault.dies:
        service.client.wait(
            lambda now: now["phase"] == "Ready" and sum(w["restarts"] for w in now["workers"]) == 1, 30
        )
    if answer.status == 500 and not fault.dies:
        service.logged(f"request id of {fault.name}: ")
    assert service.post(b"").json() == service.post(b"").json() == "done"
    after = service.client.status()
    assert sum(worker["restarts"] for worker in after["workers"]) == fault.dies
    assert (after["front"]["pid"], after["front"]["restarts"]) == (before["front"]["pid"], 0)


INIT_FORKS = """
import os, time
def init():
    global child
    child = os.fork()
    if child == 0 and {raises}: raise ValueError
def run(data): return child != 0
"""


@pytest.mark.parametrize("raises", [False, True])
def test_a_child_that_comes_back_from_init_serves_nobody(place: Place, raises: bool) -> None:
    place.deploy(INIT_FORKS.format(raises=raises), workers=1)
    assert [place.service.post(b"").json() for _ in range(5)] == [True] * 5
    assert place.service.client.status()["workers"][0]["restarts"] == 0


STREAM_FORKS = """
import os
from azureml.contrib.services.aml_response import AMLResponse
def init(): pass
def parts():
    yield "a"
    os.fork()
    yield "b"
    yield "c"
def run(data): return AMLResponse(parts(), 200)
"""


def test_a_child_that_comes_back_from_a_generator_sends_nothing(place: Place) -> None:
    place.deploy(STREAM_FORKS, workers=1)
    assert [place.service.post(b"").body for _ in range(5)] == [b"abc"] * 5
    assert place.service.client.status()["workers"][0]["restarts"] == 0


@pytest.mark.parametrize(
    ("code", "says"),
    [("sys.exit('no model')", "sys.exit('no model')"), ("sys.stderr = None; raise ValueError('v')", "v")],
)
def test_a_fault_in_init_keeps_what_serves(place: Place, code: str, says: str) -> None:
    place.deploy()
    spec = {**place.spec, "workers": 1}
    place.service.apply(SCORE.replace("def init(): pass", f"def init():\n    {code}"), **spec)
    assert says in place.service.failed()["message"]
    assert place.service.post(b"").json() == "done"


@pytest.mark.full
def test_a_million_prints(place: Place) -> None:
    place.deploy()
    with others(place.service) as answers:
        printed = place.service.post(b"for number in range(1000000): print('line', number)")
    assert printed.json() == "done"
    assert {answer.status for answer in answers} == {200}
    place.service.logged("line 999999")
    logs = list((place.service.directory / "logs").glob("worker.log*"))
    assert sum(path.stat().st_size for path in logs) < 50 << 20


def resident(pid: int) -> int:
    """The most memory a process has used, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) << 10


def test_a_gigabyte_is_refused_unread(service: Service) -> None:
    service.apply("def init(): pass\ndef run(data): return len(data)")
    service.ready()
    front = service.client.status()["front"]["pid"]
    before = resident(front)
    answer = service.request("POST", "/score", b"x", content_length=str(1 << 30))
    assert answer.status == 413
    assert answer.headers["x-ms-run-function-failed"] == "False"
    assert "The request body may have 104857600 bytes" in answer.json()["message"]
    assert resident(front) - before < 16 << 20
    assert service.post(b"abc").json() == 3


@pytest.mark.full
def test_a_gigabyte_is_taken_where_it_is_allowed(service: Service) -> None:
    size = 1 << 30
    raw = "from azureml.contrib.services.aml_request import rawhttp\ndef init(): pass\n@rawhttp\n"
    service.apply(
        raw + "def run(request): return len(request.get_data())",
        {"max_request_bytes": size, "scoring_timeout_ms": 300000},
    )
    state = service.ready()
    with others(service) as answers:
        assert post(service, bytes(size)).json() == size
    assert {answer.status for answer in answers} == {200}
    # Nothing in the front copies it as a whole.
    assert resident(state["front"]["pid"]) < 1.5 * size
    assert resident(state["workers"][0]["pid"]) < 4 * size
