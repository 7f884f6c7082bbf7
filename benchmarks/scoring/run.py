"""One measurement: a server is started, checked, loaded and ended."""

from __future__ import annotations

import http.client
import json
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.scoring import load, memory
from benchmarks.scoring.load import Sample, Wrong
from benchmarks.scoring.servers import NotStarted, Running, Server

CONNECTIONS = (1, 16, 64)
START_SECONDS = 120.0
POLL_SECONDS = 0.01
WARM_SECONDS = 2.0
CONTENT = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Question:
    """A row and what the model says of it."""

    row: list[float]
    answer: float


@dataclass(frozen=True)
class Visit:
    """What was seen of one server in one round.

    Attributes:
        start: seconds from the start of its first process to its first right answer.
        memory: bytes, the most under load.
        samples: by number of connections.
    """

    start: float
    memory: int
    samples: dict[int, Sample]


def visit(
    server: Server,
    app: Path,
    question: Question,
    seconds: float,
    connections: Sequence[int] = CONNECTIONS,
) -> Visit:
    """Measures once, with each number of connections.

    Raises:
        NotStarted: the server does not come up.
        NotInstallable: its environment cannot be made.
        Wrong: it does not answer as it should.
        Silent: it does not answer under load.
    """
    body = server.body(question.row)
    with tempfile.TemporaryDirectory(prefix="mooring-bench-") as name:
        begun = time.perf_counter()
        with server.running(app, Path(name)) as running:
            headers = {**CONTENT, **running.headers}
            _first_answer(server, running, body, headers)
            start = time.perf_counter() - begun
            _check(server, running, body, headers, question)
            url = f"http://127.0.0.1:{running.port}{server.path}"
            load.warm(url, body, headers, 16, WARM_SECONDS)
            seen: list[int] = []
            samples = {
                count: load.apply(
                    url, body, headers, count, seconds, lambda: seen.append(memory.used(running.leader))
                )
                for count in connections
            }
            _check(server, running, body, headers, question)
    return Visit(start, max(seen), samples)


def _ask(server: Server, running: Running, body: str, headers: dict[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=START_SECONDS)
    try:
        connection.request("POST", server.path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _first_answer(server: Server, running: Running, body: str, headers: dict[str, str]) -> None:
    """Returns when a request is answered with 200; until then servers refuse, close or say 503."""
    deadline = time.monotonic() + START_SECONDS
    last = "it does not listen"
    while time.monotonic() < deadline:
        if running.ended():
            raise NotStarted(f"it ended.\n{running.log()}")
        try:
            status, text = _ask(server, running, body, headers)
        except (OSError, http.client.HTTPException) as error:
            last = repr(error)
        else:
            if status == 200:
                return
            last = f"{status}: {text[:300]!r}"
        time.sleep(POLL_SECONDS)
    raise NotStarted(f"no answer within {START_SECONDS:g} s; the last: {last}\n{running.log()}")


def _check(server: Server, running: Running, body: str, headers: dict[str, str], question: Question) -> None:
    status, text = _ask(server, running, body, headers)
    value: Any = json.loads(text) if status == 200 else None
    if isinstance(value, dict) and len(value) == 1:
        value = next(iter(value.values()))
    right = (
        isinstance(value, list) and len(value) == 1 and math.isclose(value[0], question.answer, rel_tol=1e-9)
    )
    if not right:
        raise Wrong(f"{server.name} answered {status} {text[:300]!r}, not {question.answer}")
