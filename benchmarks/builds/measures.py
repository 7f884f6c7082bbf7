"""Mooring's own figures: builds, deployments, uploads, starts."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.builds.bench import Bench, server
from benchmarks.builds.table import Table, silently, timed

PATIENT = json.dumps({"data": [[0.0] * 10]})


def first_builds(table: Table, folder: Path) -> Path:
    """Builds of an environment never seen. Returns the home that has its layers then.

    uv's downloads lie in the home's own cache: the second home begins with those of the first, and nothing else.
    """
    first, second = folder / "home-first", folder / "home"
    with server(first) as workspace:
        bench = Bench(workspace, folder)
        bench.change_script()
        seconds = bench.image(bench.change_model())
        table.seconds("first build of an environment, nothing downloaded", [seconds])
    (second / "cache").mkdir(mode=0o700, parents=True)
    second.chmod(0o700)
    shutil.move(first / "cache" / "uv", second / "cache" / "uv")
    shutil.rmtree(first)
    with server(second) as workspace:
        bench = Bench(workspace, folder)
        table.seconds("the same, wheels downloaded, no layers", [bench.image(bench.change_model())])
    return second


def rebuilds(table: Table, bench: Bench, count: int) -> None:
    """Images that differ in one thing."""
    bench.change_script()
    model = bench.change_model()
    bench.image(model)
    table.seconds("image rebuild, nothing changed", [bench.image(model) for _ in range(count)], 0.5)
    changed = []
    for _ in range(count):
        model = bench.change_model()
        changed.append(bench.image(model))
    table.seconds("image rebuild, only the model changed", changed, 0.5)
    changed = []
    for _ in range(count):
        bench.change_script()
        changed.append(bench.image(model))
    table.seconds("image rebuild, only score.py changed", changed, 0.5)


def deployments(table: Table, bench: Bench, count: int, calls: int) -> None:
    """From a changed script to a service that answers with it; then the time of a call."""
    model = bench.change_model()
    first = []
    for number in range(count):
        bench.change_script()
        first.append(timed(lambda name=f"bench{number}": silently(lambda: bench.deploy(name, model))))
    table.seconds("changed script to Healthy, Model.deploy, new service", first, 3)
    service = silently(lambda: bench.deploy("bench0", model))

    def update() -> None:
        bench.change_script()
        service.update(models=[model], inference_config=bench.inference_config())
        service.wait_for_deployment()

    table.seconds(
        "changed script to Healthy, service.update",
        [timed(lambda: silently(update)) for _ in range(count)],
        3,
    )
    service.run(PATIENT)
    latencies = sorted(timed(lambda: service.run(PATIENT)) for _ in range(calls))
    median, last = statistics.median(latencies), latencies[int(len(latencies) * 0.99)]
    table.text(f"service.run (n={calls}), median / p99", f"{median * 1000:.1f} / {last * 1000:.1f} ms")


REGISTER = """
import json, re, sys, time
from mooring.sdk.model import Model
from mooring.sdk.workspace import Workspace
ws = Workspace.get("bench", subscription_id="bench", resource_group="bench")
def peak_kib():
    # getrusage would tell the peak of the process that this one was forked from.
    with open("/proc/self/status") as file:
        return int(re.search(r"VmHWM:\\s+(\\d+)", file.read())[1])

before = peak_kib()
started = time.perf_counter()
Model.register(ws, sys.argv[1], "big")
seconds = time.perf_counter() - started
print(json.dumps({"seconds": seconds, "peak": peak_kib(), "before": before}))
"""


def register(table: Table, folder: Path, megabytes: int) -> None:
    """A large file. The client is a process of its own, so that the peak is its own."""
    big = folder / "big.bin"
    with big.open("wb") as file:
        for _ in range(megabytes // 10):
            file.write(os.urandom(10_000_000))
    done = subprocess.run(
        [sys.executable, "-c", REGISTER, str(big)], capture_output=True, text=True, check=True
    )
    big.unlink()
    figures = json.loads(done.stdout.splitlines()[-1])
    table.seconds(f"register a file of {megabytes} MB", [figures["seconds"]])
    table.text("  rate", f"{megabytes / figures['seconds']:.0f} MB/s")
    table.text("  the client's peak memory", f"{figures['peak'] / 1024:.0f} MiB")
    table.text("  of that before the upload", f"{figures['before'] / 1024:.0f} MiB")


def starts(table: Table, folder: Path, count: int) -> None:
    """Server start (with an existing home, as on every start but the first), and imports."""
    from mooring.sdk import local_server

    os.environ["MOORING_HOME"] = str(folder / "home-start")

    def start() -> None:
        silently(local_server.start)

    first = timed(start)
    local_server.stop()
    table.seconds("server start to ready, new home", [first])
    values = []
    for _ in range(count):
        values.append(timed(start))
        local_server.stop()
    table.seconds("server start to ready", values, 2)
    for statement, target in (("import azureml.core", 0.5), ("pass", None)):
        # Compiled files are written by the first run; a variable that forbids it would measure the compiler.
        environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        command = [sys.executable, "-c", statement]
        subprocess.run(command, check=True, env=environ)
        values = [timed(lambda: subprocess.run(command, check=True, env=environ)) for _ in range(count)]  # noqa: B023
        table.seconds(f"python -c '{statement}'", values, target)
    command = [str(Path(sys.executable).with_name("mooring")), "--help"]
    values = [
        timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)) for _ in range(count)
    ]
    table.seconds("mooring --help", values, 0.3)
