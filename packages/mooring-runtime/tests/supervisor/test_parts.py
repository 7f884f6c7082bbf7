"""The small parts: files, addresses, listings, processes, limits that are watched."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mooring_runtime.supervisor import files, proctable, tree
from mooring_runtime.supervisor.address import Reservation
from mooring_runtime.supervisor.cgroup import Hierarchy
from mooring_runtime.supervisor.client import SupervisorClient, SupervisorUnavailable
from mooring_runtime.supervisor.limits import Limiter
from mooring_runtime.supervisor.spec import RevisionSpec
from mooring_runtime.supervisor.worker_process import environment
from mooring_runtime.testing import until

NOWHERE = Hierarchy(1, None, None)


def test_json_files(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    assert files.read_json(path) is None
    files.write_json(path, {"a": 1}, durable=True)
    assert files.read_json(path) == {"a": 1}
    assert path.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["a.json"]


def test_locks(tmp_path: Path) -> None:
    with files.locked(tmp_path / "lock"), pytest.raises(files.Locked), files.locked(tmp_path / "lock"):
        raise AssertionError("two locks")
    with files.locked(tmp_path / "lock"):
        pass


def test_sockets_with_long_paths(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 200)
    folder.mkdir()
    for _ in range(2):  # the second takes the place of the first
        listener = files.listen(folder, "s.sock")
        with files.short_path(folder, "s.sock") as path, socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
        listener.close()


def test_reservation() -> None:
    first = Reservation("127.0.0.1", 0)
    assert first.url(tls=False) == f"http://127.0.0.1:{first.port}"
    with pytest.raises(OSError, match="in use"):
        Reservation("127.0.0.1", first.port)
    with socket.socket() as client, pytest.raises(ConnectionRefusedError):
        client.connect(("127.0.0.1", first.port))
    with socket.socket() as front:
        front.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        front.bind(("127.0.0.1", first.port))
        front.listen()
        with socket.create_connection(("127.0.0.1", first.port)):
            pass
    first.close()
    Reservation("127.0.0.1", first.port).close()


def test_listing(tmp_path: Path) -> None:
    assert "no such directory" in tree.listing(tmp_path / "absent")
    assert "(empty)" in tree.listing(tmp_path)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.txt").write_text("123")
    (tmp_path / "a.txt").symlink_to("nowhere")
    text = tree.listing(tmp_path)
    assert "  a.txt" in text
    assert "  b/c.txt  3 bytes" in text
    for number in range(30):
        (tmp_path / f"{number}.bin").touch()
    assert len(tree.listing(tmp_path, limit=10).splitlines()) == 11


def test_processes() -> None:
    command = "import subprocess, sys; subprocess.run(['sleep', '600'], start_new_session=True)"
    process = subprocess.Popen(
        [sys.executable, "-c", command],
        start_new_session=True,
        env={**os.environ, "MY_MARK": str(os.getpid())},
    )
    try:
        until(lambda: len(proctable.family(proctable.table(), process.pid)) == 2, "it has a child")
        family = proctable.family(proctable.table(), process.pid)
        assert family[0].rss > 1 << 20
        assert set(proctable.marked(f"MY_MARK={os.getpid()}")) == {entry.pid for entry in family}
    finally:
        for entry in proctable.family(proctable.table(), process.pid):
            proctable.kill(entry.pid)
        process.wait()
    proctable.kill(process.pid)  # nobody there: no matter


def test_memory_that_is_watched(tmp_path: Path) -> None:
    revision = RevisionSpec("1", "p", "/w", "/a", "s.py", memory_bytes=64 << 20)
    limiter = Limiter(tmp_path, NOWHERE)
    bounds = limiter.bounds(revision)
    assert limiter.bounds(revision) is bounds
    assert limiter.isolation(revision) == {"memory": "watch", "cpu": "none", "processes": "none"}
    assert bounds.exceeded_by([]) is None
    command = "x = bytearray(100 << 20); print('taken', flush=True); import time; time.sleep(600)"
    process = subprocess.Popen(
        [sys.executable, "-c", command], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        assert bounds.exceeded_by([process.pid]) == process.pid
    finally:
        process.kill()
        process.communicate()
    memory = bounds.out_of_memory(process.pid)
    assert memory is not None
    assert memory.limit == 64 << 20
    assert memory.used > 100 << 20
    assert bounds.out_of_memory(process.pid) is None
    limiter.keep([])
    assert limiter.isolation(revision) == {"memory": "none", "cpu": "none", "processes": "none"}
    assert limiter.watching == []
    assert not limiter.stale


def test_environment_of_workers() -> None:
    revision = RevisionSpec("1", "p", "/w", "/a", "s.py", "src", {"PATH": "/user", "X": "1"})
    made = environment(revision, {"PATH": "/ours", "HOME": "/home", "TOKEN": "secret", "PYTHONPATH": "/p"})
    assert made == {
        "AML_APP_ROOT": "/a",
        "AZUREML_ENTRY_SCRIPT": "s.py",
        "AZUREML_SOURCE_DIRECTORY": "src",
        "HOME": "/home",
        "PATH": "/user",
        "PYTHONNOUSERSITE": "1",
        "X": "1",
    }


def test_nobody_answers(tmp_path: Path) -> None:
    client = SupervisorClient(tmp_path)
    assert not client.alive()
    assert client.last_state() is None
    with pytest.raises(SupervisorUnavailable, match="no supervisor answers"):
        client.status()
    with pytest.raises(SupervisorUnavailable):
        SupervisorClient(tmp_path / "absent").status()
