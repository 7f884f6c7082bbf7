"""The front in front of a worker that says anything at all."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mooring_runtime.testing import Answer, Service, running
from mooring_runtime.worker import frames

# Stands in for the worker's folder: it answers with the bytes that the request's body tells it to say.
NONSENSE = f"""
import base64, json, os, socket, sys
sys.path.insert(0, {str(Path(frames.__file__).parent)!r})
import frames
settings = json.loads(os.environ["MOORING_WORKER"])
def report(event): os.write(settings["report_fd"], json.dumps(event).encode() + b"\\n")
os.write(settings["report_fd"], base64.b64decode(os.environ["REPORT"]))
report({{"event": "started"}})
report({{"event": "ready", "mode": "text", "schema": None}})
listener = socket.socket(fileno=settings["listen_fd"])
while True:
    connection, _ = listener.accept()
    decoder = frames.Decoder()
    while True:
        data = connection.recv(1 << 16)
        if not data:
            break
        for number, kind, head, body in decoder.feed(data):
            if kind != frames.CANCEL:
                said = base64.b64decode(body).replace(b"NUMB", number.to_bytes(4, "little"))
                connection.sendall(said)
"""
GOOD = frames.encode(0, frames.RESULT, b"0.001", b'"good"')
NAMES = st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
REPLIES = st.fixed_dictionaries(
    {},
    optional={
        "status": st.integers(-1, 1100) | JSON,
        "headers": st.lists(st.tuples(NAMES, NAMES)) | JSON,
        "ms": st.none() | JSON,
        "failed": st.booleans() | JSON,
        "stream": st.booleans() | JSON,
    },
)
HEADS = st.binary(max_size=30) | (JSON | REPLIES).map(lambda value: json.dumps(value).encode())


def numbered(frame: bytes) -> bytes:
    """The frame as an answer to whatever it is said to."""
    return frame[:4] + b"NUMB" + frame[8:]


SAID = st.lists(
    st.builds(frames.encode, st.integers(0, 3), st.sampled_from(sorted(frames.KINDS)), HEADS, st.binary())
    | st.builds(
        lambda *fields: numbered(frames.encode(0, *fields)),
        st.sampled_from(sorted(frames.KINDS)),
        HEADS,
        st.binary(max_size=20),
    )
    | st.binary(min_size=1, max_size=40),
    min_size=1,
    max_size=3,
).map(b"".join)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("nonsense")) as started:
        (started.directory / "main.py").write_text(NONSENSE)
        yield started


def start(service: Service, report: bytes = b"") -> None:
    """A new worker, whatever has become of those before."""
    env = {"REPORT": base64.b64encode(report).decode()}
    service.apply(
        "",
        {"scoring_timeout_ms": 1000, "max_queue_wait_ms": 60000},
        worker_dir=str(service.directory),
        env=env,
    )


def say(service: Service, said: bytes) -> Answer:
    return service.post(base64.b64encode(said))


def check(service: Service, said: bytes) -> Answer:
    """The answer to nonsense; the next caller is answered by this worker or the next."""
    start(service)
    service.ready()
    front = service.client.status()["front"]["pid"]
    answer = say(service, said)
    good = say(service, numbered(GOOD))
    assert (good.status, good.body) == (200, b'"good"') or good.status == 502, good
    assert service.client.status()["front"]["pid"] == front
    return answer


ORDINARY = [
    b"nonsense nonsense",
    frames.encode(77, frames.RESULT, b"1.0", b"1"),
    numbered(frames.encode(0, frames.REPLY, b'{"status": "x", "headers": [], "ms": null}', b"")),
]
MORE = [
    b"\x4d" * 16,
    numbered(frames.encode(0, frames.TEXT, b"", b"")),
    numbered(frames.encode(0, frames.CHUNK, b"", b"")),
    numbered(frames.encode(0, frames.END, b"", b"")),
    numbered(frames.encode(0, frames.REPLY, b"[]", b"")),
    numbered(frames.encode(0, frames.REPLY, b"{", b"")),
    numbered(frames.encode(0, frames.REPLY, b"[" * 100000, b"")),
    numbered(frames.encode(0, frames.REPLY, b'{"status": 99, "headers": [], "ms": null}', b"")),
    numbered(frames.encode(0, frames.REPLY, b'{"status": 200, "headers": [["a", 5]], "ms": null}', b"")),
    numbered(
        frames.encode(0, frames.REPLY, b'{"status": 200, "headers": [["a", "\\ud800"]], "ms": null}', b"")
    ),
    numbered(frames.encode(0, frames.RESULT, b"\xff", b"1")),
]


@pytest.mark.parametrize(
    "said",
    [*ORDINARY, *(pytest.param(said, marks=pytest.mark.full) for said in MORE)],
    ids=lambda said: repr(said[:40]),
)
def test_nonsense_is_a_502_and_another_worker_comes(service: Service, said: bytes) -> None:
    start(service)
    service.ready()
    answer = say(service, said)
    assert answer.status == 502, answer
    assert answer.headers["x-ms-run-function-failed"] == "True"
    assert "no answer" in answer.json()["message"]
    assert say(service, numbered(GOOD)).body == b'"good"'
    worker = service.client.wait(lambda seen: seen["workers"][0]["restarts"] == 1, 120)["workers"][0]
    assert worker["last_exit"] == "signal 9 (SIGKILL), connection to the front lost"


@pytest.mark.full
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=SAID)
def test_whatever_a_worker_says(service: Service, said: bytes) -> None:
    check(service, said)


@pytest.mark.parametrize(
    "report", [b"nonsense\n", b"[]\n", b'{"event": 5}\n{"event": "ready"}\n', b"\xff\n", b"x" * 100000]
)
def test_nonsense_in_a_workers_report(service: Service, report: bytes) -> None:
    pid = service.process.pid
    start(service, report)
    state = service.settled()
    assert service.process.pid == pid
    assert service.process.poll() is None
    if state["phase"] == "Ready":
        assert say(service, numbered(GOOD)).body == b'"good"'
