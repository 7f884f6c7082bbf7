"""Deploying through MLflow's client beside `mlflow models serve`: what `make bench-mlflow` prints.

One scikit-learn model that takes arrays is logged to a real server and deployed with `mlflow.deployments`; the same
folder is served by MLflow's own server, in an environment of its own. Everything happens in a temporary
MOORING_HOME, which is deleted afterwards. A wrong answer fails the run. Figures are medians, ratios medians of
each round's.

    python -m benchmarks.mlflow [--rounds 3] [--seconds 5]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from benchmarks.build.bench import server
from benchmarks.build.table import Table, silently

from benchmarks.scoring import load
from benchmarks.scoring.__main__ import prepare, train
from benchmarks.scoring.load import MISSING, Wrong, wrk
from benchmarks.scoring.peers import SERVERS
from benchmarks.scoring.report import Target
from benchmarks.scoring.run import CONTENT, Question, Visit, visit
from benchmarks.scoring.servers import Server

CONNECTIONS = 16
FOLDER = "mlflow-model"
PEER = next(server for server in SERVERS if server.name == "MLflow")
# In the environment of the model's packages, which has no MLflow, as the deployment's image has none.
OURS = Server(
    "Mooring",
    "model",
    "mooring-runtime",
    "",
    path=PEER.path,
    field=PEER.field,
    variables=(("MOORING_MODEL_FILE", FOLDER),),
)
MOST_SECONDS, TIMES = 5.0, 5.0


class Logged:
    """The model's folder in runs of the workspace, and its deployments."""

    def __init__(self, workspace: Any, folder: Path, question: Question) -> None:
        import mlflow
        from mlflow.deployments import get_deploy_client

        mlflow.set_tracking_uri(workspace.get_mlflow_tracking_uri())
        self._mlflow = mlflow
        self._client = get_deploy_client(mlflow.get_tracking_uri())
        self._folder = folder
        self._question = question
        self._count = 0

    def log(self) -> str:
        """The URI of a model that was logged just now: with the same packages, and one other file than the last."""
        (self._folder / "note.txt").write_text(f"{time.time_ns()}")
        with self._mlflow.start_run() as run:
            self._mlflow.log_artifacts(str(self._folder), "model")
        return f"runs:/{run.info.run_id}/model"

    def deploy(self, uri: str) -> tuple[float, str]:
        """Seconds from the call to the first right prediction; the name of the service. The last one goes before."""
        if self._count:
            self._client.delete_deployment(f"bench{self._count}")
        self._count += 1
        name = f"bench{self._count}"
        body = {PEER.field: [self._question.row]}
        started = time.perf_counter()
        self._client.create_deployment(name, uri)
        got = self._client.predict(name, body).get_predictions().values.ravel().tolist()
        seconds = time.perf_counter() - started
        check(name, got, self._question)
        return seconds, name

    def deploy_on(self, uri: str, cores: int) -> str:
        """The name of a service with so many cores instead of the default's tenth of one."""
        file = self._folder.with_name("deploy-config.json")
        resources = {"cpu": cores, "memoryInGB": 1}
        file.write_text(json.dumps({"computeType": "aci", "containerResourceRequirements": resources}))
        name = f"bench-{cores}-core"
        self._client.create_deployment(name, uri, config={"deploy-config-file": str(file)})
        return name

    def rate(self, name: str, seconds: float) -> float:
        """Requests a second at a deployment as it is."""
        url = self._client.get_deployment(name)["scoringUri"]
        body = json.dumps({PEER.field: [self._question.row]})
        load.warm(url, body, CONTENT, CONNECTIONS, seconds)
        sample = load.apply(url, body, CONTENT, CONNECTIONS, seconds)
        request = urllib.request.Request(url, body.encode(), CONTENT)
        with urllib.request.urlopen(request) as answer:
            check(name, json.load(answer)["predictions"], self._question)
        return sample.rate


def check(name: str, got: list[float], question: Question) -> None:
    """Compare a prediction.

    Raises:
        Wrong: it is another one.
    """
    if len(got) != 1 or not math.isclose(got[0], question.answer, rel_tol=1e-9):
        raise Wrong(f"{name} answered {got}, not {question.answer}")


def write_app(model: Path, folder: Path) -> None:
    """What a deployment's image has for the model's folder: it, and the entry script for models without code."""
    from mooring_server.images.nocode import nocode_request
    from mooring_server.images.types import TreeFile
    from mooring_server.store.content import ContentStore

    with tempfile.TemporaryDirectory(prefix="mooring-bench-") as name:
        store = ContentStore(Path(name))
        files = []
        for path in sorted(p for p in model.rglob("*") if p.is_file()):
            data = path.read_bytes()
            files.append(TreeFile(f"{FOLDER}/{path.relative_to(model)}", store.put_bytes(data), len(data)))
        _, app, _ = nocode_request("bench", 1, None, None, files, store)
        for file in app:
            target = folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(store.read(file.digest))
    shutil.copytree(model, folder / FOLDER)


def deployments(
    table: Table, folder: Path, model: Path, question: Question, count: int, seconds: float
) -> float:
    """Deploys, cold and cached; the median with a cached environment."""
    with server(folder / "home") as workspace:
        logged = Logged(workspace, model, question)
        uri = silently(logged.log)
        table.seconds(
            "create_deployment to first prediction, cold", [silently(lambda: logged.deploy(uri))[0]]
        )
        again = [silently(lambda: logged.deploy(uri))[0] for _ in range(count)]
        table.seconds("the same model, a new deployment", again)
        changed, name = [], ""
        for _ in range(count):
            uri = silently(logged.log)
            took, name = silently(lambda uri=uri: logged.deploy(uri))
            changed.append(took)
        table.seconds("another model, environment layer cached", changed, MOST_SECONDS)
        # Where control groups can be made, the default of ACI is a ceiling of 0.1 core, and these requests cost CPU.
        table.text("requests/s of such a deployment (0.1 core)", f"{logged.rate(name, seconds):,.0f}")
        name = silently(lambda: logged.deploy_on(uri, 1))
        table.text("requests/s of one with 1 core", f"{logged.rate(name, seconds):,.0f}")
    return statistics.median(changed)


def side_by_side(
    table: Table, apps: dict[Server, Path], question: Question, rounds: int, seconds: float
) -> dict[Server, list[Visit]]:
    """Both servers in turn, so that what disturbs the machine disturbs both."""
    visits: dict[Server, list[Visit]] = {each: [] for each in apps}
    for number in range(rounds):
        for each, app in apps.items():
            sys.stderr.write(f"round {number + 1} of {rounds}: {each.name}\n")
            visits[each].append(visit(each, app, question, seconds, [CONNECTIONS]))
    for each, seen in visits.items():
        samples = [one.samples[CONNECTIONS] for one in seen]
        table.text(
            f"{each.name}, 2 workers, {CONNECTIONS} connections", f"{_median(samples, 'rate'):,.0f} /s"
        )
        table.text(
            "  p50 / p99", f"{_median(samples, 'p50') * 1e3:.1f} / {_median(samples, 'p99') * 1e3:.1f} ms"
        )
    return visits


def _median(samples: list[Any], figure: str) -> float:
    return statistics.median(getattr(sample, figure) for sample in samples)


def measure(rounds: int, seconds: float) -> None:
    """All of it."""
    table = Table()
    with tempfile.TemporaryDirectory(prefix="mooring-mlflow-") as name:
        folder = Path(name)
        app, question = train(folder)["cheap"]
        version = prepare(PEER, app)
        ours = folder / "ours"
        write_app(app / FOLDER, ours)
        model = folder / "logged"
        shutil.copytree(app / FOLDER, model)
        cached = deployments(table, folder, model, question, rounds, seconds)
        visits = side_by_side(table, {OURS: ours, PEER: app}, question, rounds, seconds)
    starts = [seen.start for seen in visits[PEER]]
    table.seconds(f"mlflow {version} models serve, start to first prediction", starts)
    rates = [[seen.samples[CONNECTIONS].rate for seen in visits[each]] for each in (OURS, PEER)]
    times = statistics.median(a / b for a, b in zip(*rates, strict=True))
    table.text("cached deployment, of MLflow's start", f"{cached / statistics.median(starts):.2f}")
    print("", Target("requests/s, of `mlflow models serve`'s", times, TIMES).line(), sep="\n")


def main() -> int:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of each load")
    arguments = parser.parse_args()
    if wrk() is None:
        sys.stderr.write(f"{MISSING}\n")
        return 1
    os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true")
    busy = os.getloadavg()[0]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load average {busy:.1f} before; {arguments.rounds} rounds\n"
    )
    measure(arguments.rounds, arguments.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
