"""The server is killed at random instants of everything it does; nobody may notice more than a lost answer."""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from crashing import Load, Users, assert_gone, assert_settled, kill_at_random, left_over, operations
from support import WS, RunningServer, kill_all

ECHO = b"def init(): pass\ndef run(data): return data\n"


def tell(text: str) -> None:
    """Shown when the test fails, and with ``pytest -s``."""
    sys.stdout.write(f"{text}\n")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    kill_all(tmp_path / "home")


@pytest.mark.parametrize(
    ("kills", "every"),
    [pytest.param(24, 12, id="few"), pytest.param(200, 2, id="many", marks=[pytest.mark.full])],
)
@pytest.mark.timeout(2400)
def test_killed_again_and_again(home: Path, kills: int, every: int) -> None:
    """``MOORING_CRASH_SEED`` repeats the choices of a run (not its instants), ``MOORING_CRASH_KILLS`` the length."""
    seed = int(os.environ.get("MOORING_CRASH_SEED") or random.SystemRandom().randrange(1 << 32))
    kills = int(os.environ.get("MOORING_CRASH_KILLS") or kills)
    tell(f"MOORING_CRASH_SEED={seed}")
    choice = random.Random(seed)
    server = RunningServer(
        home, variables={"MOORING_GC_GRACE_SECONDS": "60", "MOORING_GC_INTERVAL_SECONDS": "0.5"}
    ).start()
    assert server.client.put(WS, json={}).status_code == 201
    for name in ("steady", "flux"):
        assert server.wait(server.deploy(name, ECHO, authEnabled=True))["state"] == "Succeeded"
    load = Load()
    users = Users(server, choice)
    kept = {}
    for name in ("steady", "flux"):
        kept[name] = server.client.get(f"{WS}/services/{name}").json()["scoringUri"]
        key = server.client.post(f"{WS}/services/{name}/listkeys").json()["secondaryKey"]
        load.call(kept[name], key)
    server.kill()
    began = time.monotonic()
    moments: Counter[str] = Counter()
    try:
        for number in range(1, kills + 1):
            moments[kill_at_random(server, choice, users.run_until_death)] += 1
            if number % every == 0:
                server.start()
                assert_settled(server)
                server.kill()
            assert load.failures == [], f"after kill {number}, seed {seed}"
    finally:
        load.stop()
    took = time.monotonic() - began
    server.start()
    assert_settled(server, deep=True)
    assert users.refused == []
    tell(
        f"{kills} kills in {took:.1f} s: {dict(moments)}; interrupted {users.interrupted}, done {users.done}"
    )
    tell(f"{load.count} requests, all answered; operations {Counter(o[2] for o in operations(home))}")

    services = server.client.get(f"{WS}/services").json()["value"]
    assert {s["name"]: s["scoringUri"] for s in services}.items() >= kept.items()
    uris = {s["scoringUri"] for s in services if s["scoringUri"]}
    directories = set((home / "services").iterdir())
    for service in services:
        assert (
            server.wait(server.client.delete(f"{WS}/services/{service['name']}").json())["state"]
            == "Succeeded"
        )
    assert_gone(home, directories, uris)
    server.close()
    assert left_over(home) == []
