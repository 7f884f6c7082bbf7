"""How fast builds, deployments and start-up are: what `make bench-build` prints.

Everything happens in a temporary MOORING_HOME against a real server, which is stopped and deleted afterwards.
Figures are medians; the targets are those of two cores. Nothing is asserted.

    python benchmarks/build.py [--quick]     quick: fewer repetitions, and a 100 MB file instead of 1 GB
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCORE = """
import json, os
import joblib

def init():
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.pkl"))

def run(body):
    return model.predict(json.loads(body)["data"]).tolist()

# revision {revision}
"""
PATIENT = json.dumps({"data": [[0.0] * 10]})


@dataclass
class Row:
    """A line of the table."""

    what: str
    figure: str
    target: str = ""
    met: bool | None = None


class Table:
    """Prints each figure as soon as it is known: the whole run takes minutes."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        print(f"{'':<58}{'measured':>16}  target")

    def seconds(self, what: str, values: list[float], target: float | None = None) -> None:
        """A median, with its target in seconds."""
        value = statistics.median(values)
        digits = 3 if value < 1 else 2
        self._add(
            Row(
                f"{what} (n={len(values)})",
                f"{value:.{digits}f} s",
                f"< {target:g} s" if target else "",
                None if target is None else value < target,
            )
        )

    def text(self, what: str, figure: str) -> None:
        """Anything else."""
        self._add(Row(what, figure))

    def _add(self, row: Row) -> None:
        self.rows.append(row)
        mark = {True: "  met", False: "  MISSED", None: ""}[row.met]
        print(f"{row.what:<58}{row.figure:>16}  {row.target}{mark}", flush=True)


def timed(function: Callable[[], Any]) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


@contextlib.contextmanager
def server(home: Path) -> Iterator[Any]:
    """A server of its own with a workspace; gone afterwards, with its services."""
    from mooring.cli import processes
    from mooring.sdk import local_server
    from mooring.sdk.workspace import Workspace

    os.environ["MOORING_HOME"] = str(home)
    try:
        yield silently(
            lambda: Workspace.create("bench", subscription_id="bench", resource_group="bench", exist_ok=True)
        )
    finally:
        running = processes.services(home)
        local_server.stop()
        for service in running:
            processes.stop(service)


class Bench:
    """The measurements that share a workspace."""

    def __init__(self, workspace: Any, folder: Path) -> None:
        self.workspace = workspace
        self.folder = folder
        self.changes = 0

    def change_script(self) -> None:
        """Write score.py anew."""
        self.changes += 1
        (self.folder / "score.py").write_text(SCORE.format(revision=self.changes))

    def change_model(self) -> Any:
        """Train with another alpha and register the result."""
        import joblib
        from sklearn.datasets import load_diabetes
        from sklearn.linear_model import Ridge

        from mooring.sdk.model import Model

        self.changes += 1
        joblib.dump(Ridge(alpha=self.changes).fit(*load_diabetes(return_X_y=True)), self.folder / "model.pkl")
        return silently(lambda: Model.register(self.workspace, str(self.folder / "model.pkl"), "bench"))

    def image(self, model: Any) -> float:
        """Build an image; seconds."""
        from mooring.sdk.image import ContainerImage, Image

        config = ContainerImage.image_configuration("score.py", "python", conda_file="env.yml")

        def build() -> None:
            image = Image.create(self.workspace, "bench", [model], config)
            image.wait_for_creation()

        return timed(lambda: silently(build))

    def inference_config(self) -> Any:
        """score.py and its environment."""
        from mooring.sdk.environment import Environment
        from mooring.sdk.model import InferenceConfig

        return InferenceConfig(
            "score.py", environment=Environment.from_conda_specification("bench", "env.yml")
        )


def silently(function: Callable[[], Any]) -> Any:
    """Run without the SDK's messages."""
    with (
        open(os.devnull, "w") as nowhere,  # noqa: PTH123
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        return function()


def write_environment(folder: Path) -> None:
    """The packages that the pickle needs."""
    import joblib
    import numpy as np
    import sklearn

    version = "{}.{}".format(*sys.version_info[:2])
    pins = [
        f"scikit-learn=={sklearn.__version__}",
        f"numpy=={np.__version__}",
        f"joblib=={joblib.__version__}",
    ]
    lines = "".join(f"    - {pin}\n" for pin in pins)
    (folder / "env.yml").write_text(f"name: bench\ndependencies:\n- python={version}\n- pip\n- pip:\n{lines}")


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
    from mooring.sdk.aci import AciWebservice
    from mooring.sdk.model import Model

    model = bench.change_model()
    config = AciWebservice.deploy_configuration(cpu_cores=1, memory_gb=1)

    def deploy(name: str) -> Any:
        service = Model.deploy(
            bench.workspace, name, [model], bench.inference_config(), config, overwrite=True
        )
        service.wait_for_deployment()
        return service

    first = []
    for number in range(count):
        bench.change_script()
        first.append(timed(lambda name=f"bench{number}": silently(lambda: deploy(name))))
    table.seconds("changed script to Healthy, Model.deploy, new service", first, 3)
    service = silently(lambda: deploy("bench0"))

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


DOCKERFILE = """
FROM {base}
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY score.py model.pkl /app/
"""


def podman(table: Table, bench: Bench, base: str | None, count: int) -> None:
    """The same change of score.py with a Dockerfile and a warm cache, as a ratio."""
    program = shutil.which("podman")
    if program is None or base is None:
        reason = "podman is not installed" if program is None else "no --podman-base image was given"
        table.text(f"podman build, only score.py changed: not measured, {reason}", "")
        return
    context = bench.folder / "podman"
    context.mkdir()
    pins = [line.strip(" -") for line in (bench.folder / "env.yml").read_text().splitlines() if "==" in line]
    (context / "requirements.txt").write_text("\n".join(pins))
    (context / "Dockerfile").write_text(DOCKERFILE.format(base=base))
    command = [program, "build", "--quiet", "--tag", "mooring-bench", str(context)]

    def build() -> None:
        bench.change_script()
        for name in ("score.py", "model.pkl"):
            shutil.copy(bench.folder / name, context / name)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    build()
    theirs = statistics.median(timed(build) for _ in range(count))
    table.seconds("podman build, only score.py changed", [theirs])
    model = bench.change_model()
    bench.change_script()
    table.text("  times as long as Mooring", f"{theirs / bench.image(model):.1f}")


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--podman-base", help="a base image with Python and pip that podman has, for its row")
    arguments = parser.parse_args()
    count, calls, megabytes = (3, 200, 100) if arguments.quick else (7, 1000, 1000)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    with tempfile.TemporaryDirectory(prefix="mooring-bench-") as name:
        folder = Path(name)
        os.chdir(folder)
        write_environment(folder)
        table = Table()
        starts(table, folder, count)
        home = first_builds(table, folder)
        with server(home) as workspace:
            bench = Bench(workspace, folder)
            rebuilds(table, bench, count)
            deployments(table, bench, count, calls)
            register(table, folder, megabytes)
            podman(table, bench, arguments.podman_base, count)
        os.chdir("/")
    missed = [row.what for row in table.rows if row.met is False]
    print(f"\n{len(missed)} target(s) missed" + (f": {'; '.join(missed)}" if missed else ""))


if __name__ == "__main__":
    main()
