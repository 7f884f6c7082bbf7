"""Deleting things frees their space."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import WS, RunningServer, eventually, kill_all

ECHO = b"def init(): pass\ndef run(data): return data\n"
MODEL = 4 << 20


@pytest.fixture
def eager(tmp_path: Path) -> Iterator[RunningServer]:
    """A server that collects all the time and waits for nobody."""
    server = RunningServer(
        tmp_path / "home", variables={"MOORING_GC_GRACE_SECONDS": "2", "MOORING_GC_INTERVAL_SECONDS": "0.2"}
    ).start()
    try:
        assert server.client.put(WS, json={}).status_code == 201
        yield server
        server.close()
    finally:
        kill_all(server.home)


def used(home: Path) -> int:
    """Bytes of content and of what is unpacked; the caches of packages and layers are no part of it."""
    total = 0
    for folder in ("content", "cache/unpacked", "services"):
        for place, _, names in os.walk(home / folder):
            total += sum(size(Path(place) / name) for name in names)
    return total


def size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:  # it goes just now
        return 0


def test_models_images_and_services_give_their_space_back(eager: RunningServer) -> None:
    empty = used(eager.home)
    file = {"path": "m.bin", "digest": eager.upload(os.urandom(MODEL))}
    assert eager.client.post(f"{WS}/models", json={"name": "m", "files": [file]}).status_code == 201
    assert eager.wait(eager.deploy("svc", ECHO, models=["m:1"]))["state"] == "Succeeded"
    full = used(eager.home)
    assert full - empty > 3 * MODEL  # the model, its layer, and the layer unpacked
    assert eager.wait(eager.client.delete(f"{WS}/services/svc").json())["state"] == "Succeeded"
    eventually(lambda: used(eager.home) - empty < 1.5 * MODEL, "the image went with its service")
    assert eager.client.get(f"{WS}/models/m:1/files/m.bin").content[:1]
    assert eager.client.delete(f"{WS}/models/m:1").status_code == 204
    eventually(lambda: used(eager.home) - empty < 100_000, "the model is gone")
    assert eager.client.get("/mooring/v1/check").json()["findings"] == []
    eager.upload(b"nobody ever refers to this")
    eventually(lambda: not list((eager.home / "content" / "blobs").rglob("?" * 64)), "nothing is left")
