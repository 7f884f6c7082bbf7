"""A process that ends is told at once, by its name."""

import queue
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mooring_server.targets.watch import ProcessWatch

SLEEP = [sys.executable, "-c", "input()"]


@pytest.fixture
def process() -> Iterator["subprocess.Popen[bytes]"]:
    started = subprocess.Popen(SLEEP, stdin=subprocess.PIPE)
    yield started
    started.kill()
    started.communicate()


def test_told_once(process: "subprocess.Popen[bytes]") -> None:
    told: queue.Queue[str] = queue.Queue()
    watch = ProcessWatch()
    watch.start(told.put)
    for _ in range(3):
        watch.add("mine", process.pid)
    process.kill()
    assert told.get(timeout=120) == "mine"
    process.wait()
    watch.add("mine", process.pid)  # it is no more: nothing to watch
    watch.stop()
    assert told.empty()
    watch.stop()


def test_what_is_expected_is_not_told(process: "subprocess.Popen[bytes]") -> None:
    told: queue.Queue[str] = queue.Queue()
    watch = ProcessWatch()
    watch.start(told.put)
    watch.add("mine", process.pid)
    watch.forget("mine")
    watch.forget("another")
    other = subprocess.Popen(SLEEP, stdin=subprocess.PIPE)
    watch.add("other", other.pid)
    process.kill()
    process.wait()
    other.communicate(b"\n")
    assert told.get(timeout=120) == "other"
    watch.stop()
    assert told.empty()
