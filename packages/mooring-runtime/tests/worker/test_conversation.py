"""A real worker process and a front that says anything at all."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mooring_runtime.testing import WORKER_DIR
from mooring_runtime.worker import frames

SCORE = """
import socket
def init(): socket.setdefaulttimeout(0.05)
def run(data): return data
"""
FULL = {"id": "a", "method": "POST", "path": "/", "query": "", "headers": [], "host": "h", "scheme": "http",
        "client": "c"}  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
HEADS = (
    st.binary(max_size=20)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.fixed_dictionaries({}, optional={name: st.just(value) | JSON for name, value in FULL.items()}).map(
        lambda value: json.dumps(value).encode()
    )
)
SAID = st.lists(
    st.binary(min_size=1, max_size=40)
    | st.builds(
        frames.encode,
        st.integers(0, 9),
        st.sampled_from(sorted(frames.KINDS)),
        HEADS,
        st.binary(max_size=9),
    ),
    min_size=1,
    max_size=3,
).map(b"".join)


class Worker:
    """A worker without a supervisor; its log in ``log``."""

    def __init__(self, folder: Path) -> None:
        (folder / "score.py").write_text(SCORE)
        self.log = folder / "worker.log"
        self.path = str(folder / "s")
        report, written = os.pipe()
        with socket.socket(socket.AF_UNIX) as listener, self.log.open("wb") as log:
            listener.bind(self.path)
            listener.listen()
            facts = {"report_fd": written, "listen_fd": listener.fileno(), "app_root": str(folder),
                     "source_directory": None, "entry_script": "score.py"}  # fmt: skip
            self.process = subprocess.Popen(
                [sys.executable, str(WORKER_DIR / "main.py")],
                env={**os.environ, "MOORING_WORKER": json.dumps(facts)},
                pass_fds=(written, listener.fileno()),
                stdout=log,
                stderr=log,
            )
        os.close(written)
        with os.fdopen(report) as events:
            assert [json.loads(next(events))["event"] for _ in range(2)] == ["started", "ready"]

    def say(self, said: bytes) -> bytes:
        """All it answers to a front that says this and hangs up."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(self.path)
            connection.sendall(said)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while True:
                try:
                    part = connection.recv(1 << 16)
                except ConnectionResetError:
                    return answer  # it hung up with something unread
                if not part:
                    return answer
                answer += part


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    started = Worker(tmp_path_factory.mktemp("worker"))
    yield started
    started.process.terminate()
    assert started.process.wait(10) == 0


def works(worker: Worker) -> None:
    ((number, kind, _, body),) = frames.Decoder().feed(
        worker.say(frames.encode(9, frames.TEXT, b"id", b"abc"))
    )
    assert (number, kind, body) == (9, frames.RESULT, b'"abc"')


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(said=b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
@example(said=frames.encode(1, frames.FULL, b"{}", b""))
@example(said=frames.encode(1, frames.FULL, b"[" * 100000, b""))
@example(said=frames.encode(1, frames.FULL, json.dumps({**FULL, "headers": 5}).encode(), b""))
@example(said=frames.encode(1, frames.RESULT, b"", b""))
@example(said=frames.encode(1, frames.TEXT, b"\xff", b"\xff"))
@given(said=SAID)
def test_whatever_a_front_says(worker: Worker, said: bytes) -> None:
    worker.say(said)
    assert worker.process.poll() is None, worker.log.read_text()
    works(worker)


def test_a_default_timeout_of_the_script_does_not_end_the_connection(worker: Worker) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(worker.path)
        connection.settimeout(0.5)  # ten times the script's
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(20)
        connection.sendall(frames.encode(1, frames.TEXT, b"id", b"abc"))
        assert connection.recv(100).endswith(b'"abc"')


def test_what_the_front_has_taken_back_is_not_begun(worker: Worker) -> None:
    shared, giving = os.pipe2(os.O_NONBLOCK)
    os.write(giving, b"12")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(worker.path)
        socket.send_fds(connection, [frames.encode(0, frames.TOKENS, b"", b"")], [shared])
        connection.sendall(b"".join(frames.encode(n, frames.TEXT, b"id", b"x") for n in (1, 2, 3, 4)))
        decoder = frames.Decoder()
        answers: list[tuple[int, int]] = []
        while len(answers) < 4:
            answers += [(number, kind) for number, kind, _, _ in decoder.feed(connection.recv(1 << 16))]
    assert answers == [(1, frames.RESULT), (2, frames.RESULT), (3, frames.SKIPPED), (4, frames.SKIPPED)]
    os.close(shared)
    # The worker lets go of its end with the connection.
    works(worker)
    with pytest.raises(BrokenPipeError):
        os.write(giving, b"x")
    os.close(giving)
