"""Storage accounts beside Azurite: calls a second, processor time a call, and a list of 100,000 blobs.

    python -m benchmarks.functions.storage [--calls 500] [--blobs 100000] [--threads 4]

Both are driven by the official SDK, in turns within one run; processor time is that of the server's process alone.
Azurite comes from npm into a temporary directory; without npm its columns stay empty. The list is ours alone: it is
filled through the server's own store while no server runs, and then read by the SDK page by page.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from mooring_server.domain.storage.conditions import NONE
from mooring_server.store.storage import blobs, containers
from mooring_server.store.storage.blobs import Guarded
from mooring_server.store.storage.ledger import Ledger, Tx
from mooring_server.store.storage.records import NewBlob, Piece

ACCOUNT = "/mooring/v1/subscriptions/s/resourceGroups/g/storageAccounts/bench"
AZURITE = ("--disableTelemetry", "--skipApiVersionCheck", "--silent")
TICK = os.sysconf("SC_CLK_TCK")
TURNS = 5


@dataclass
class Peer:
    """A storage service that runs."""

    name: str
    pid: int
    connection_string: str

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self, kind: str = "VmRSS") -> float:
        """MB."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(text.split(f"{kind}:")[1].split()[0]) / 1024


@contextmanager
def ours(home: Path) -> Iterator[Peer]:
    """A server of Mooring with one account."""
    with (home.parent / "mooring.log").open("ab") as log:
        command = [sys.executable, "-m", "mooring_server", "--home", str(home)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        told: dict[str, Any] = {}
        while told.get("pid") != process.pid:
            assert process.poll() is None, "the server ended"
            time.sleep(0.05)
            if (home / "server.json").exists():
                told = json.loads((home / "server.json").read_text())
        headers = {"Authorization": f"Bearer {told['token']}"}
        with httpx.Client(base_url=told["url"], headers=headers, timeout=60) as client:
            client.put(ACCOUNT, json={}).raise_for_status()
            text = client.post(ACCOUNT + "/connectionString").json()["connectionString"]
        yield Peer("mooring", process.pid, text)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def azurite(directory: Path) -> Iterator[Peer | None]:
    """Azurite without telemetry, or None where there is no npm."""
    npm = shutil.which("npm")
    if npm is None:
        yield None
        return
    install = [npm, "install", "azurite@3", "--no-audit", "--no-fund", "--no-update-notifier"]
    subprocess.run(install, cwd=directory, check=True, stdout=subprocess.DEVNULL)
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    ports = [_free_port() for _ in range(3)]
    arguments = [f"--{name}Port={port}" for name, port in zip(("blob", "queue", "table"), ports, strict=True)]
    script = directory / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
    log = directory / "azurite.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["node", str(script), *arguments, f"--location={directory}", *AZURITE],
            env={**os.environ, "AZURITE_ACCOUNTS": f"bench:{key}"},
            stdout=output,
            stderr=output,
        )
    try:
        for port in ports[:2]:
            while not _listens(port):
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
        blob, queue = (f"http://127.0.0.1:{port}/bench" for port in ports[:2])
        account = f"DefaultEndpointsProtocol=http;AccountName=bench;AccountKey={key}"
        text = f"{account};BlobEndpoint={blob};QueueEndpoint={queue}"
        yield Peer("Azurite", process.pid, text)
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


Call = Callable[[int], Any]


def calls_of(peer: Peer) -> dict[str, Call]:
    """What is measured, by name."""
    container = BlobServiceClient.from_connection_string(peer.connection_string).create_container("bench")
    queue = QueueServiceClient.from_connection_string(peer.connection_string).create_queue("bench")
    small, large = secrets.token_bytes(1000), secrets.token_bytes(1_000_000)
    container.upload_blob("large", large)

    def receive(_number: int) -> None:
        message = queue.receive_message()
        assert message is not None
        queue.delete_message(message)

    return {
        "upload 1 kB": lambda n: container.upload_blob(f"b{n:06d}", small, overwrite=True),
        "download 1 kB": lambda n: container.download_blob(f"b{n:06d}").readall(),
        "properties": lambda n: container.get_blob_client(f"b{n:06d}").get_blob_properties(),
        "list 100 names": lambda _n: next(
            container.list_blobs(name_starts_with="b", results_per_page=100).by_page()
        ),
        "upload 1 MB": lambda n: container.upload_blob(f"large{n % 10}", large, overwrite=True),
        "download 1 MB": lambda _n: container.download_blob("large").readall(),
        "queue: send": lambda n: queue.send_message(str(n)),
        "queue: receive, delete": receive,
    }


def measure(peers: list[Peer], count: int, threads: int) -> None:
    """Print a table: calls a second and milliseconds of processor time a call, in turns."""
    everything = {peer.name: calls_of(peer) for peer in peers}
    print(
        f"{'':24}" + "".join(f"{peer.name + ' /s':>14}{'CPU ms':>9}" for peer in peers) + f"{'CPU ratio':>11}"
    )
    with ThreadPoolExecutor(threads) as pool:
        for what in everything[peers[0].name]:
            some = count if "MB" not in what and "list" not in what else max(count // 5, 10)
            seconds, cpu = dict.fromkeys(everything, 0.0), dict.fromkeys(everything, 0.0)
            for turn in range(TURNS):
                numbers = range(turn * some // TURNS, (turn + 1) * some // TURNS)
                for peer in peers:
                    before, began = peer.cpu(), time.perf_counter()
                    list(pool.map(everything[peer.name][what], numbers))
                    seconds[peer.name] += time.perf_counter() - began
                    cpu[peer.name] += peer.cpu() - before
            row = "".join(f"{some / seconds[n]:14.0f}{1000 * cpu[n] / some:9.2f}" for n in everything)
            ratio = cpu[peers[0].name] / cpu[peers[-1].name] if len(peers) > 1 else float("nan")
            print(f"{what:24}{row}{ratio:11.2f}", flush=True)


def fill(home: Path, count: int) -> None:
    """``count`` blobs in a container ``many``, through the server's own store."""
    directory = next((home / "storage").glob("bench-*"))
    with ThreadPoolExecutor(1) as pool:
        ledger = Ledger(directory, pool, lambda: None)
        ledger.write(lambda tx: containers.create(tx, "many", {})).result()

        def some(tx: Tx, numbers: range) -> None:
            for number in numbers:
                target = Guarded("many", f"{number % 100:02d}/{number:06d}.json", NONE, None, ledger.etag)
                blobs.put(tx, target, NewBlob({"Content-Type": "application/json"}), [Piece(2, None, b"{}")])

        for start in range(0, count, 5000):
            ledger.write(lambda tx, n=start: some(tx, range(n, min(n + 5000, count)))).result()  # type: ignore[misc]
        ledger.close()


def measure_list(peer: Peer, count: int) -> None:
    """Print what a list of all blobs takes, and how much memory the server got by it."""
    container = BlobServiceClient.from_connection_string(peer.connection_string).get_container_client("many")
    next(container.list_blobs(results_per_page=5000).by_page())
    before, cpu, began = peer.memory(), peer.cpu(), time.perf_counter()
    found = sum(1 for _ in container.list_blob_names())
    assert found == count, found
    seconds, cpu = time.perf_counter() - began, peer.cpu() - cpu
    print(
        f"list {count:,} blobs: {seconds:.1f} s, server CPU {cpu:.1f} s ({1e6 * cpu / count:.0f} us a blob)"
    )
    print(
        f"memory of the server: {before:.0f} MB after one page, at most {peer.memory('VmHWM'):.0f} MB for all"
    )
    began = time.perf_counter()
    prefixes = sum(1 for _ in container.walk_blobs())
    print(f"its {prefixes} folders by delimiter: {1000 * (time.perf_counter() - began):.0f} ms")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--blobs", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=4)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="mooring-bench-") as directory:
        home, reference = Path(directory) / "home", Path(directory) / "azurite"
        home.mkdir(mode=0o700)
        reference.mkdir()
        with ours(home) as mine, azurite(reference) as other:
            measure([mine, other] if other else [mine], options.calls, options.threads)
        fill(home, options.blobs)
        with ours(home) as mine:
            measure_list(mine, options.blobs)


if __name__ == "__main__":
    main()
