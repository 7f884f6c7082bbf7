"""Models deployed without code: what is asked of the builder, and real services of real models."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mooring_runtime.testing import Service, running
from mooring_server.domain.errors import InvalidRequest
from mooring_server.images.nocode import nocode_request
from mooring_server.images.types import BuildRequest, ModelTree

from .conftest import Recorder, Workshop

TRAIN = """
import sys, joblib, pickle
from sklearn.linear_model import LogisticRegression, Ridge
x, y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
joblib.dump(LogisticRegression().fit(x, y), sys.argv[1] + "/classifier.joblib")
pickle.dump(Ridge().fit(x, y), open(sys.argv[1] + "/ridge.pkl", "wb"))
"""


@contextmanager
def serving(folder: Path, app: Path, model: Path, python: str | Path = sys.executable) -> Iterator[Service]:
    """A service of a model's file or folder with the app's files."""
    folder.mkdir()
    with running(folder) as service:
        env = {"AZUREML_MODEL_DIR": str(model.parent), "MOORING_MODEL_FILE": model.name}
        service.apply("", app_root=str(app), python=str(python), env=env)
        service.ready()
        yield service


def write_app(workshop: Workshop, folder: Path, framework: str) -> Path:
    _, app, _ = nocode_request("m", 1, framework, None, (workshop.file("a"),), workshop.store)
    for file in app:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(workshop.store.read(file.digest))
    return folder


def score(service: Service, body: Any) -> Any:
    answer = service.post(json.dumps(body).encode(), content_type="application/json")
    assert answer.status == 200, answer.body
    return answer.json()


@pytest.mark.parametrize(("framework", "package"), [("ScikitLearn", "scikit-learn"), ("Onnx", "onnxruntime")])
def test_the_request(workshop: Workshop, framework: str, package: str) -> None:
    files = (workshop.file("model.onnx" if framework == "Onnx" else "model.pkl"),)
    environment, app, entry = nocode_request("m", 1, framework, "1.2.3", files, workshop.store)
    assert f"{package}==1.2.3" in environment["python"]["condaDependencies"]["dependencies"][0]["pip"]
    assert environment["environmentVariables"] == {"MOORING_MODEL_FILE": files[0].path}
    contents = {file.path: workshop.store.read(file.digest) for file in app}
    assert "mooring_nocode/service.py" in contents
    script = ast.parse(contents[entry])
    assert {"init", "run"} <= {node.name for node in script.body if isinstance(node, ast.FunctionDef)}
    newest, _, _ = nocode_request("m", 1, framework, None, files, workshop.store)
    assert package in newest["python"]["condaDependencies"]["dependencies"][0]["pip"]


def test_skops_is_installed_for_its_files(workshop: Workshop) -> None:
    environment, _, _ = nocode_request(
        "m", 1, "ScikitLearn", None, (workshop.file("model.skops"),), workshop.store
    )
    assert "skops" in environment["python"]["condaDependencies"]["dependencies"][0]["pip"]


def test_unsupported_frameworks(workshop: Workshop) -> None:
    for framework in ("TensorFlow", "Custom", None):
        with pytest.raises(InvalidRequest) as caught:
            nocode_request("m", 1, framework, None, (), workshop.store)
        assert caught.value.code == "FrameworkNotSupported"
        assert "Onnx, ScikitLearn" in caught.value.message
    with pytest.raises(InvalidRequest) as caught:
        nocode_request("m", 1, "Onnx", "one; rm", (workshop.file("a.onnx"),), workshop.store)
    assert caught.value.code == "FrameworkVersionInvalid"


def test_which_file_is_the_model(workshop: Workshop) -> None:
    def chosen(*names: str) -> str:
        files = tuple(workshop.file(name) for name in names)
        environment, _, _ = nocode_request("m", 1, "ScikitLearn", None, files, workshop.store)
        name: str = environment["environmentVariables"]["MOORING_MODEL_FILE"]
        return name

    assert chosen("anything") == "anything"
    assert chosen("dir/README.md", "dir/ridge.pkl") == "dir/ridge.pkl"
    assert chosen("dir/encoder.pkl", "dir/model.joblib") == "dir/model.joblib"
    for names in (("a.pkl", "b.pkl"), ("a.txt", "b.txt")):
        with pytest.raises(InvalidRequest) as caught:
            chosen(*names)
        assert caught.value.code == "ModelFileUnclear"


def test_scikit_learn_models_score(workshop: Workshop, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", TRAIN, str(tmp_path)], check=True, timeout=120)
    app = write_app(workshop, tmp_path / "app", "ScikitLearn")
    with serving(tmp_path / "classifier", app, tmp_path / "classifier.joblib") as service:
        proba = score(service, {"data": [[0.0], [3.0]]})
        assert [row[0] + row[1] for row in proba] == pytest.approx([1, 1])
        assert score(service, {"data": [[0.0], [3.0]], "method": "predict"}) == [0, 1]
        refused = service.post(b'{"data": [[1, 2]]}')
        assert (refused.status, refused.headers["x-ms-run-function-failed"]) == (400, "False")
        message = "The model takes 1 feature a row, but the rows in 'data' have 2."
        assert refused.json() == {"message": message}
        described = service.get("/swagger.json").json()
        assert described["definitions"]["ServiceInput"]["required"] == ["data"]
        # Only services of MLflow models have MLflow's path.
        assert service.request("POST", "/invocations", b"{}").status == 404


def test_requests_at_the_same_time_get_their_own_answers(workshop: Workshop, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", TRAIN, str(tmp_path)], check=True, timeout=120)
    app = write_app(workshop, tmp_path / "app", "ScikitLearn")
    with (
        serving(tmp_path / "ridge", app, tmp_path / "ridge.pkl") as service,
        ThreadPoolExecutor(8) as callers,
    ):
        low, high = score(service, {"data": [[0.0], [1.0]]})

        def ask(number: int) -> tuple[int, Any]:
            row: list[Any] = [None] if number % 5 == 0 else [number]
            answer = service.post(json.dumps({"data": [row]}).encode())
            return answer.status, answer.json()

        for number, (status, answer) in enumerate(callers.map(ask, range(60))):
            if number % 5 == 0:
                assert (status, "NaN" in answer["message"]) == (400, True)
            else:
                assert (status, answer) == (200, [pytest.approx(low + (high - low) * number)])


ONNX = """
import sys, numpy, onnx, joblib, skops.io
from onnx import TensorProto, helper
from sklearn.ensemble import RandomForestClassifier
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
import pandas
def save(name, node, x, y):
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", x), ("y", y)))
    graph = helper.make_graph([node], name, [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, sys.argv[1] + "/" + name + ".onnx")
save("double", helper.make_node("Add", ["x", "x"], ["y"]), [None, 2], [None, 2])
save("across", helper.make_node("Softmax", ["x"], ["y"], axis=0), [None, 2], [None, 2])
numbers = numpy.arange(20.0).reshape(10, 2)
skops.io.dump(RandomForestClassifier(3, random_state=0).fit(numbers, numbers[:, 0] > 9), sys.argv[1] + "/forest.skops")
table = pandas.DataFrame(numbers, columns=["a", "b"]).assign(city=["x", "y"] * 5)
columns = ColumnTransformer([("n", StandardScaler(), ["a"]), ("c", OneHotEncoder(), ["city"])])
joblib.dump(make_pipeline(columns, LinearRegression()).fit(table, numbers[:, 1]), sys.argv[1] + "/columns.joblib")
"""


@pytest.fixture
def built(workshop: Workshop, tmp_path: Path) -> Any:
    """An image with both frameworks, and models made in it."""
    files = (workshop.file("model.onnx"),)
    environment, app, entry = nocode_request("m", 1, "Onnx", None, files, workshop.store)
    environment["python"]["condaDependencies"]["dependencies"][0]["pip"] += [
        "onnx",
        "skops",
        "scikit-learn",
        "pandas",
    ]
    request = BuildRequest("ws/m", "1", environment, entry, None, app, (ModelTree("m", 1, files),))
    image = workshop.unpacker.materialise(workshop.builder.build(request, Recorder()).digest)
    assert image.env["MOORING_MODEL_FILE"] == "model.onnx"
    subprocess.run([str(image.python), "-c", ONNX, str(tmp_path)], check=True, timeout=120)
    return image


BATCHES = """
import json, os, sys
from mooring_nocode.service import Service
service = Service("Onnx")
service.load()
bodies = [json.dumps({"data": [[i, 1.0]]}) for i in range(5)] + ['{"data": [[1]]}', '{"x": [["a", 1]]}']
together = service.run(bodies)
alone = [service.run([body])[0] for body in bodies]
print(json.dumps([service._model.row_wise, [str(a) for a in together], [str(a) for a in alone]]))
"""


@pytest.mark.full
def test_models_of_every_kind_score(workshop: Workshop, tmp_path: Path, built: Any) -> None:
    python = built.python
    with serving(tmp_path / "onnx", built.app_root, tmp_path / "double.onnx", python) as service:
        assert score(service, {"data": [[1, 2]]}) == {"y": [[2.0, 4.0]]}
        assert score(service, {"x": [[1, 2]]}) == {"y": [[2.0, 4.0]]}
        assert score(service, [[3, 4]]) == {"y": [[6.0, 8.0]]}
        for body, message in (
            ({"z": [[1, 2]]}, "exactly one of the keys"),
            ({"inputs": {"z": [[1, 2]]}}, "The model has no input 'z'; it has x."),
            ({"data": [[1, 2, 3]]}, "The input 'x' has the shape [?, 2], but [1, 3] came."),
            ({"data": [[1, "b"]]}, "The input 'x' takes tensor(float), but row 0, column 1 is 'b'."),
        ):
            answer = service.post(json.dumps(body).encode())
            assert (answer.status, message in answer.json()["message"]) == (400, True), answer.body
    app = write_app(workshop, tmp_path / "app", "ScikitLearn")
    with serving(tmp_path / "skops", app, tmp_path / "forest.skops", python) as service:
        assert score(service, {"data": [[0, 1], [18, 19]], "method": "predict"}) == [False, True]
    with serving(tmp_path / "columns", app, tmp_path / "columns.joblib", python) as service:
        row = {"city": "x", "b": 3, "a": 2.0}
        assert score(service, {"data": [row]}) == score(service, {"data": [[2.0, 3, "x"]]})
        refused = service.post(b'{"data": [{"a": 1}]}')
        assert (refused.status, "The columns b, city are missing" in refused.json()["message"]) == (400, True)


@pytest.mark.full
@pytest.mark.parametrize(("name", "row_wise"), [("double", True), ("across", False)])
def test_only_rows_that_are_scored_alone_are_put_together(
    tmp_path: Path, built: Any, name: str, row_wise: bool
) -> None:
    env = {
        "AZUREML_MODEL_DIR": str(tmp_path),
        "MOORING_MODEL_FILE": f"{name}.onnx",
        "PYTHONPATH": str(built.app_root),
    }
    run = subprocess.run(
        [str(built.python), "-c", BATCHES], capture_output=True, text=True, env=env, check=True
    )
    found, together, alone = json.loads(run.stdout)
    assert found == row_wise
    assert together == alone
