"""The queue under the controllers."""

import threading
from collections import Counter
from collections.abc import Iterable

from mooring_server.controllers.runner import Runner


class Recorder:
    """Counts looks; fails and repeats as told; notices two looks at one key at once."""

    name = "recorder"

    def __init__(self) -> None:
        self.looks: Counter[int] = Counter()
        self.enough = threading.Semaphore(0)
        self.hold = threading.Event()
        self.hold.set()
        self.overlaps = 0
        self._inside: set[int] = set()
        self._lock = threading.Lock()

    def known(self) -> Iterable[int]:
        return (1, 2)

    def reconcile(self, key: int) -> float | None:
        with self._lock:
            self.overlaps += key in self._inside
            self._inside.add(key)
            self.looks[key] += 1
            count = self.looks[key]
        assert self.hold.wait(10)
        with self._lock:
            self._inside.discard(key)
        self.enough.release()
        if key == 3 and count < 3:
            raise ValueError("twice wrong")
        return 0.0 if key == 4 and count < 5 else None


def test_looks_at_everything_known_then_at_what_is_woken() -> None:
    recorder = Recorder()
    runner = Runner(recorder, 3)
    runner.start()
    runner.wake(4)  # asks to be looked at again, four times
    runner.wake(3)  # fails twice: looked at again after a back-off
    for _ in range(2 + 5 + 3):
        assert recorder.enough.acquire(timeout=120)
    runner.stop(5)
    assert recorder.looks == {1: 1, 2: 1, 3: 3, 4: 5}


def test_one_key_is_never_looked_at_twice_at_once_and_no_wake_is_lost() -> None:
    recorder = Recorder()
    runner = Runner(recorder, 4)
    runner.start()
    for _ in range(2):
        assert recorder.enough.acquire(timeout=120)
    recorder.hold.clear()
    runner.wake(7)
    while not recorder.looks[7]:
        threading.Event().wait(0.001)
    for _ in range(50):
        runner.wake(7)  # while it is being looked at: exactly one more look
    runner.wake(8)
    recorder.hold.set()
    for _ in range(3):
        assert recorder.enough.acquire(timeout=120)
    runner.stop(5)
    assert recorder.overlaps == 0
    assert recorder.looks[7] == 2
    assert recorder.looks[8] == 1
