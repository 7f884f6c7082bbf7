"""Mooring's scoring server beside its peers, on the same score function: what `make bench-scoring` prints.

Each server has an environment of its own (`benchmarks.scoring.environments`) and 2 workers. A round visits all of
them, one after the other: started, checked, loaded with wrk at 1, 16 and 64 connections, ended. Figures are medians of
the rounds; ratios are medians of each round's ratio. A wrong answer fails the run. A server that cannot be installed
or started here is listed with the reason.

    python -m benchmarks.scoring [--rounds 3] [--seconds 5] [--only Mooring --only KServe] [--model cheap]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from benchmarks.scoring import report
from benchmarks.scoring.environments import NotInstallable, environment
from benchmarks.scoring.load import MISSING, Silent, Wrong, wrk
from benchmarks.scoring.peers import SERVERS
from benchmarks.scoring.run import Question, Visit, visit
from benchmarks.scoring.servers import THREADS, NotStarted, Server, worker_env

APPS = Path(__file__).parent / "apps"
MODELS = {"cheap": "ridge, about 0.15 ms a call", "heavy": "random forest, about 20 ms a call"}


def train(folder: Path) -> dict[str, tuple[Path, Question]]:
    """Both models: each in a folder with all scripts, and a question with its answer."""
    python = str(environment("model") / "bin" / "python")
    command = [python, str(APPS / "train.py"), str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **THREADS})
    answers = json.loads(done.stdout)
    made = {}
    for name in MODELS:
        shutil.copytree(APPS, folder / name, dirs_exist_ok=True)
        made[name] = (folder / name, Question(answers["row"], answers[name]))
    return made


def prepare(server: Server, app: Path) -> str:
    """Installs the server, and writes the model as it wants it; its version.

    Raises:
        NotInstallable: it cannot be made here.
    """
    python = environment(server.lock) / "bin" / "python"
    if server.lock == "mlflow":
        command = [str(python), "mlflow_model.py", "mlflow-model"]
        env = {**os.environ, **worker_env(app)}
        done = subprocess.run(command, cwd=app, check=False, capture_output=True, text=True, env=env)
        if done.returncode:
            raise NotInstallable(done.stderr.strip())
    return server.version()


class Comparison:
    """The servers with one model.

    Attributes:
        versions: of the servers that are there.
        visits: of the servers that could be measured.
        missing: why the others could not.
    """

    def __init__(self, servers: Sequence[Server], app: Path, question: Question) -> None:
        self.versions: dict[str, str] = {}
        self.visits: dict[str, list[Visit]] = {}
        self.missing: dict[str, str] = {}
        self._servers = servers
        self._app = app
        self._question = question
        for server in servers:
            self._prepare(server)

    def _prepare(self, server: Server) -> None:
        try:
            self.versions[server.name] = prepare(server, self._app)
        except NotInstallable as reason:
            self.missing[server.name] = str(reason)

    def measure(self, rounds: int, seconds: float) -> None:
        """Visits all so many times.

        Raises:
            Wrong: a server does not answer as it should.
        """
        for number in range(rounds):
            for server in self._servers:
                if server.name not in self.missing:
                    sys.stderr.write(f"round {number + 1} of {rounds}: {server.name}\n")
                    self._visit(server, seconds)

    def _visit(self, server: Server, seconds: float) -> None:
        try:
            seen = visit(server, self._app, self._question, seconds)
        except (NotStarted, Silent) as reason:
            self.missing[server.name] = str(reason)
            self.visits.pop(server.name, None)
        else:
            self.visits.setdefault(server.name, []).append(seen)

    def show(self, model: str) -> None:
        """The tables."""
        print(f"{model} model: {MODELS[model]}")
        print("\n".join(report.table(self.visits)))
        for server, reason in self.missing.items():
            print(f"{server:<32}not measured: {reason}")
        targets = report.cheap_targets(self.visits) if model == "cheap" else report.heavy_targets(self.visits)
        print("", *(target.line() for target in targets), "", sep="\n", flush=True)


def compare(models: Sequence[str], servers: Sequence[Server], rounds: int, seconds: float) -> None:
    """Measures and prints."""
    print(
        f"{platform.machine()}, {os.cpu_count()} cores; {rounds} rounds of {seconds:g} s a load\n", flush=True
    )
    versions: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="mooring-scoring-") as name:
        made = train(Path(name))
        for model in models:
            comparison = Comparison(servers, *made[model])
            comparison.measure(rounds, seconds)
            comparison.show(model)
            versions |= comparison.versions
    for server in servers:
        if server.name in versions:
            print(f"{f'{server.name} {versions[server.name]}':<40}{server.settings}")


def main() -> int:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of each load")
    parser.add_argument("--only", action="append", choices=[server.name for server in SERVERS])
    parser.add_argument("--model", choices=list(MODELS), help="one of them only")
    arguments = parser.parse_args()
    if wrk() is None:
        sys.stderr.write(f"{MISSING}\n")
        return 1
    signal.signal(signal.SIGTERM, _interrupt)
    servers = [server for server in SERVERS if arguments.only is None or server.name in arguments.only]
    try:
        models = [arguments.model] if arguments.model else list(MODELS)
        compare(models, servers, arguments.rounds, arguments.seconds)
    except Wrong as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
