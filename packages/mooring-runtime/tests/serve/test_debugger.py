"""A real debugger (debugpy), and an editor in small that speaks the Debug Adapter Protocol to it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mooring_runtime.testing import until

SCORE = """\
def init():
    global factor
    factor = 2
def run(data):
    doubled = factor * int(data)
    return doubled
"""
IN_INIT, IN_RUN = 3, 6
PATIENCE = 60


class Editor:
    """A client of the Debug Adapter Protocol."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._file = self._socket.makefile("rb")
        self._number = 0
        self._unread: list[dict[str, Any]] = []

    def __enter__(self) -> Editor:  # noqa: PYI034 - typing has Self since 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def _message(self) -> dict[str, Any]:
        length = 0
        while line := self._file.readline().strip():
            length = int(line.partition(b":")[2])
        message: dict[str, Any] = json.loads(self._file.read(length))
        return message

    def _next(self, **wanted: object) -> dict[str, Any]:
        while True:
            for message in self._unread:
                if wanted.items() <= message.items():
                    self._unread.remove(message)
                    return message
            self._unread.append(self._message())

    def send(self, command: str, **arguments: object) -> int:
        self._number += 1
        request = {"seq": self._number, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(request).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        return self._number

    def response(self, number: int) -> dict[str, Any]:
        answer = self._next(type="response", request_seq=number)
        assert answer["success"], answer
        body: dict[str, Any] = answer.get("body") or {}
        return body

    def ask(self, command: str, **arguments: object) -> dict[str, Any]:
        return self.response(self.send(command, **arguments))

    def event(self, name: str) -> dict[str, Any]:
        body: dict[str, Any] = self._next(type="event", event=name)["body"]
        return body

    def attach(self, script: Path, *lines: int) -> None:
        self.ask("initialize", adapterID="debugpy", pathFormat="path")
        attached = self.send("attach", justMyCode=True)
        self._next(type="event", event="initialized")
        places = [{"line": line} for line in lines]
        answer = self.ask("setBreakpoints", source={"path": str(script)}, breakpoints=places)
        assert [place["verified"] for place in answer["breakpoints"]] == [True] * len(lines)
        self.ask("configurationDone")
        self.response(attached)

    def stopped(self) -> tuple[int, dict[str, Any]]:
        """The thread that has stopped at a breakpoint, and its innermost frame."""
        event = self.event("stopped")
        assert event["reason"] == "breakpoint"
        frames = self.ask("stackTrace", threadId=event["threadId"])["stackFrames"]
        return event["threadId"], frames[0]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "score.py"
    path.write_text(SCORE)
    return path


@pytest.fixture
def serving(script: Path) -> Iterator[Path]:
    """The log of a ``mooring-serve`` that waits for a debugger and has little time for a request."""
    path = script.with_name("output")
    command = [sys.executable, "-m", "mooring_runtime.serve", "score.py", "--port", "0"]
    with path.open("wb") as log:
        process = subprocess.Popen(
            [*command, "--debug_port", "0", "--debug_wait"],
            cwd=script.parent,
            env={**os.environ, "SCORING_TIMEOUT_MS": "300"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    yield path
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0


def said(log: Path, pattern: str) -> str:
    return str(until(lambda: re.search(pattern, log.read_text()), pattern, PATIENCE)[1])


def test_breakpoints_in_init_and_run(script: Path, serving: Path) -> None:
    with Editor(int(said(serving, r"attach a debugger to 127.0.0.1:(\d+)"))) as editor:
        editor.attach(script, IN_INIT, IN_RUN)
        thread, frame = editor.stopped()
        assert (frame["name"], frame["line"]) == ("init", IN_INIT)
        editor.ask("continue", threadId=thread)
        port = int(said(serving, r"POST http://127.0.0.1:(\d+)/score"))
        answers: list[tuple[int, bytes]] = []
        asking = threading.Thread(target=lambda: answers.append(post(port, b"21")))
        asking.start()
        thread, frame = editor.stopped()
        assert (frame["name"], frame["line"]) == ("run", IN_RUN)
        assert editor.ask("evaluate", expression="doubled", frameId=frame["id"])["result"] == "42"
        # Three times the scoring timeout, and a look at what is there meanwhile.
        late = "__import__('time').sleep(0.9)"
        editor.ask("evaluate", expression=late, frameId=frame["id"], context="repl")
        assert not answers
        editor.ask("evaluate", expression="doubled = 43", frameId=frame["id"], context="repl")
        editor.ask("continue", threadId=thread)
        asking.join(PATIENCE)
        assert answers == [(200, b"43")]
        editor.ask("disconnect", terminateDebuggee=False)
    assert post(port, b"4") == (200, b"8")


def post(port: int, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("POST", "/score", body)
    answer = connection.getresponse()
    read = answer.read()
    connection.close()
    return answer.status, read
