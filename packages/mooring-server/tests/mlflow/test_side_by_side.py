"""The same models and payloads to `mlflow models serve` and to images of ours."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mooring_runtime.testing import Answer, running, until
from mooring_server.images.builder import ImageBuilder
from mooring_server.images.nocode import nocode_request
from mooring_server.images.types import BuildRequest, ModelTree, TreeFile
from mooring_server.images.unpack import Unpacker
from mooring_server.store.content import ContentStore

HERE = Path(__file__).parent
# Where ours answers although MLflow does not: columns without a signature are found by the names that the model
# itself was fitted with.
FRIENDLIER = {
    ("unsigned", '{"dataframe_split": {"columns": ["bp", "bmi", "age"]'),
    ("unsigned", '{"dataframe_records": [{"age": 0.5, "bmi": -1.25, "bp": 2.0, "unasked": 1}]}'),
}


class Silent:
    """A build that tells nobody."""

    def phase(self, name: str, detail: str = "") -> None:
        pass

    def log(self, message: str) -> None:
        pass


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(python: Path, arguments: list[str], port: int, health: str, folder: Path) -> Iterator[int]:
    """A server of MLflow's on a port."""
    env = {
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with (folder / f"{port}.log").open("wb") as output:
        process = subprocess.Popen(
            [str(python), *arguments],
            env=env,
            cwd=folder,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )

    def answers() -> bool:
        assert process.poll() is None, (folder / f"{port}.log").read_text()
        try:
            return ask(port, "GET", health).status == 200
        except OSError:
            return False

    try:
        until(answers, "MLflow's server answers", 300)
        yield port
    finally:
        # What the command starts is in its group.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def ask(port: int, method: str, path: str, body: str = "", kind: str = "application/json") -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body=body.encode() or None, headers={"Content-Type": kind})
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


def image_of(model: Path, store: ContentStore, builder: ImageBuilder) -> tuple[str, dict[str, Any]]:
    """The digest of an image for a model's folder, and its environment."""
    files = []
    for path in sorted(model.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            data = path.read_bytes()
            files.append(
                TreeFile(
                    f"{model.name}/{path.relative_to(model).as_posix()}", store.put_bytes(data), len(data)
                )
            )
    tree = ModelTree(model.name, 1, tuple(files))
    environment, app, entry = nocode_request(model.name, 1, None, None, tree.files, store)
    request = BuildRequest(f"ws/{model.name}", "1", environment, entry, None, app, (tree,))
    return builder.build(request, Silent()).digest, environment


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["reference-mlflow", "reference-mlflow-2"])
def test_the_answers_are_those_of_mlflow(
    tmp_path: Path, name: str, reference_python: Callable[[str], Path]
) -> None:
    python = reference_python(name)
    suite = tmp_path / "suite"
    suite.mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "MLFLOW_DISABLE_TELEMETRY": "true"}
    made = subprocess.run(
        [str(python), "-W", "ignore", str(HERE / "suite.py"), str(suite)],
        check=False,
        capture_output=True,
        text=True,
        env=env,
        cwd=tmp_path,
    )
    assert made.returncode == 0, made.stderr
    payloads: dict[str, list[list[str]]] = json.loads((suite / "payloads.json").read_text())
    port = free_port()
    command = ["-m", "mlflow", "models", "serve", "-m", str(suite / "ridge"), "-p", str(port)]
    with served(python, [*command, "--env-manager", "local"], port, "/ping", tmp_path):
        real = [ask(port, "POST", "/invocations", body, kind) for kind, body in payloads["ridge"]]
    port = free_port()
    with served(python, [str(HERE / "serve_suite.py"), str(suite), str(port)], port, "/ridge/ping", tmp_path):
        theirs = {
            model: [ask(port, "POST", f"/{model}/invocations", body, kind) for kind, body in cases]
            for model, cases in payloads.items()
        }
    assert [(a.status, a.body) for a in theirs["ridge"] if a.status == 200] == [
        (a.status, a.body) for a in real if a.status == 200
    ]
    assert [a.status for a in theirs["ridge"]] == [a.status for a in real]
    store = ContentStore(tmp_path / "content")
    builder = ImageBuilder(store, tmp_path / "cache")
    unpacker = Unpacker(store, tmp_path / "unpacked")
    differences = []
    friendlier = set()
    for model, cases in payloads.items():
        digest, environment = image_of(suite / model, store, builder)
        pip = environment["python"]["condaDependencies"]["dependencies"][-1]["pip"]
        assert not [line for line in pip if line.startswith("mlflow=")]
        image = unpacker.materialise(digest)
        folder = tmp_path / f"our-{model}"
        folder.mkdir()
        with running(folder) as service:
            service.apply("", app_root=str(image.app_root), python=str(image.python), env=dict(image.env))
            # MLflow's import alone takes seconds.
            service.client.wait_settled(300)
            service.ready()
            for (kind, body), their in zip(cases, theirs[model], strict=True):
                our = service.request("POST", "/invocations", body.encode(), content_type=kind)
                score = service.request("POST", "/score", body.encode(), content_type=kind)
                assert (score.status, score.body) == (our.status, our.body)
                if our.status == 400:
                    assert our.json()["message"]
                known = {key for key in FRIENDLIER if key[0] == model and body.startswith(key[1])}
                friendlier |= known
                if known:
                    assert (their.status, our.status) == (400, 200)
                elif their.status != our.status or (our.status == 200 and their.json() != our.json()):
                    differences.append((model, kind, body, their.body[:300], our.body[:300]))
    assert not differences
    assert friendlier == FRIENDLIER
