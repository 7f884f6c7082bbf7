"""The blob trigger of a function app: from upload to output, how fast blobs drain, and many that wait at the start.

    python -m benchmarks.functions.triggers [--blobs 300] [--drained 2000] [--pending 10000]

Server, storage account and function app are real ones, as users have them; the model doubles a number, in one worker.
Outputs are seen in the storage account's own feed of changes, so that looking for them costs nothing. Processor time
is that of the server (which is the storage) and of the function host; the workers' is the model's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mooring_runtime.storage.blobs import Blobs
from mooring_runtime.storage.connection import parse_connection

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "e2e"))
if TYPE_CHECKING:
    from functions_support import App
    from support import RunningServer

TICK = os.sysconf("SC_CLK_TCK")
WARM_UP = 20
UPLOADS_AT_ONCE = 16
TARGET_MS = 100


def cpu(pid: int) -> float:
    """Seconds of processor time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory(pid: int) -> float:
    """The most that it had, MB."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024


class Outputs:
    """The container ``output``, as its account tells of it."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._after = 0
        self.names: set[str] = set()

    async def more(self) -> None:
        """Wait until there is another one."""
        said = await self._blobs.changes(self._after, "output", "", 25, 5000)
        if said is None:
            raise RuntimeError("this storage has no feed of changes")
        _, self._after, changes = said
        self.names.update(change.blob.name for change in changes)

    async def until(self, done: Callable[[set[str]], bool]) -> float:
        """The moment at which it was so."""
        while not done(self.names):
            await self.more()
        return time.perf_counter()


async def upload(blobs: Blobs, folder: str, count: int) -> None:
    """So many inputs, some at once."""
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            await blobs.put("input", f"{folder}/{number:06d}.json", json.dumps({"x": number}).encode())

    await asyncio.gather(*(some() for _ in range(UPLOADS_AT_ONCE)))


async def measure_latency(blobs: Blobs, outputs: Outputs, count: int) -> None:
    """One blob after the other."""
    taken = []
    for number in range(WARM_UP + count):
        began = time.perf_counter()
        await blobs.put("input", f"one/{number}.json", b'{"x": 1}')
        seen = await outputs.until(lambda names, n=number: f"one/{n}_out.json" in names)  # type: ignore[misc]
        taken.append(1000 * (seen - began))
    cuts = statistics.quantiles(taken[WARM_UP:], n=100)
    verdict = "met" if cuts[49] < TARGET_MS else "missed"
    print(
        f"upload to output: p50 {cuts[49]:.1f} ms (target {TARGET_MS} ms: {verdict}), p99 {cuts[98]:.1f} ms"
    )


async def measure_drain(blobs: Blobs, outputs: Outputs, count: int, server: int, host: int) -> None:
    """Blobs that come while the app runs, faster than it can take them."""
    before, began = (cpu(server), cpu(host)), time.perf_counter()
    await upload(blobs, "drained", count)
    uploaded = time.perf_counter() - began
    seen = await outputs.until(lambda names: sum(n.startswith("drained/") for n in names) == count)
    used = [1000 * (now - then) / count for now, then in zip((cpu(server), cpu(host)), before, strict=True)]
    print(
        f"{count:,} blobs uploaded in {uploaded:.1f} s, scored within {seen - began:.1f} s: "
        f"{count / (seen - began):.0f} /s; CPU a blob: storage {used[0]:.2f} ms, function host {used[1]:.2f} ms"
    )


async def measure_pending(
    blobs: Blobs, outputs: Outputs, count: int, app: App, server: RunningServer
) -> None:
    """Blobs that are there when the app starts."""
    from test_functions_blob import front_of

    app.client.post(f"{app.path}/stop")
    app.status("Stopped")
    await upload(blobs, "pending", count)
    began = time.perf_counter()
    app.client.post(f"{app.path}/start")
    first = await outputs.until(lambda names: any(n.startswith("pending/") for n in names))
    last = await outputs.until(lambda names: sum(n.startswith("pending/") for n in names) == count)
    most = memory(front_of(server.home, "bench"))
    print(
        f"{count:,} blobs pending at the start: first output after {first - began:.1f} s, all after "
        f"{last - began:.1f} s ({count / (last - first):.0f} /s); function host at most {most:.0f} MB"
    )


async def measure(connection: str, app: App, server: RunningServer, options: argparse.Namespace) -> None:
    """Print all of it."""
    from test_functions_blob import front_of

    blobs = Blobs(parse_connection(connection))
    outputs = Outputs(blobs)
    assert server.process is not None
    await measure_latency(blobs, outputs, options.blobs)
    host = front_of(server.home, "bench")
    await measure_drain(blobs, outputs, options.drained, server.process.pid, host)
    await measure_pending(blobs, outputs, options.pending, app, server)
    blobs.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blobs", type=int, default=300)
    parser.add_argument("--drained", type=int, default=2000)
    parser.add_argument("--pending", type=int, default=10_000)
    options = parser.parse_args(arguments)

    from functions_support import GROUP, App, Storage, make_package
    from support import RunningServer, kill_all

    from azureml.contrib.functions import BLOB_TRIGGER
    from azureml.core import Workspace

    with tempfile.TemporaryDirectory(prefix="mooring-bench-") as folder:
        home = Path(folder) / "home"
        os.environ["MOORING_HOME"] = str(home)
        server = RunningServer(home).start()
        try:
            server.client.put(GROUP, json={"location": "local"})
            ws = Workspace.create("bench", subscription_id="sub", resource_group="rg", show_output=False)
            storage = Storage(server, "benchstorage")
            storage.containers("input", "output")
            made = make_package(ws, Path(folder) / "app", trigger=BLOB_TRIGGER)
            app = App(server, "bench", storageAccount=storage.name)
            app.set(TriggerConnectionString=storage.connection)
            app.contain(made)
            app.status("Running")
            asyncio.run(measure(storage.connection, app, server, options))
            app.client.delete(app.path)
            app.status("Gone")
            server.stop()
        finally:
            kill_all(home)


if __name__ == "__main__":
    main()
