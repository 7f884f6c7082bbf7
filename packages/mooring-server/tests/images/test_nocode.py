"""Models deployed without code, scored by the generated scripts in Pythons of their own."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mooring_server.domain.errors import InvalidRequest
from mooring_server.images.nocode import nocode_request
from mooring_server.images.types import BuildRequest, ModelTree

from .conftest import Recorder, Workshop

DRIVER = """
import json, score, sys
score.init()
print(json.dumps([score.run(request) for request in json.loads(sys.argv[1])]))
"""
TRAIN = """
import sys, joblib, pickle
from sklearn.linear_model import LogisticRegression, Ridge
x, y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
joblib.dump(LogisticRegression().fit(x, y), sys.argv[1] + "/classifier.joblib")
pickle.dump(Ridge().fit(x, y), open(sys.argv[1] + "/ridge.pkl", "wb"))
"""


def score(python: str | Path, app: Path, model: Path, requests: list[Any]) -> list[Any]:
    environment = {
        "AZUREML_MODEL_DIR": str(model.parent),
        "MOORING_MODEL_FILE": model.name,
        "PYTHONPATH": str(app),
    }
    command = [str(python), "-c", DRIVER, json.dumps([json.dumps(request) for request in requests])]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert run.returncode == 0, run.stderr
    answers: list[Any] = json.loads(run.stdout)
    return answers


@pytest.mark.parametrize(("framework", "package"), [("ScikitLearn", "scikit-learn"), ("Onnx", "onnxruntime")])
def test_the_request(workshop: Workshop, framework: str, package: str) -> None:
    files = (workshop.file("model.onnx" if framework == "Onnx" else "model.pkl"),)
    environment, app, entry = nocode_request("m", 1, framework, "1.2.3", files, workshop.store)
    assert f"{package}==1.2.3" in environment["python"]["condaDependencies"]["dependencies"][0]["pip"]
    assert environment["environmentVariables"] == {"MOORING_MODEL_FILE": files[0].path}
    assert [file.path for file in app] == [entry] == ["score.py"]
    script = ast.parse(workshop.store.read(app[0].digest))
    assert {"init", "run"} <= {node.name for node in script.body if isinstance(node, ast.FunctionDef)}
    newest, _, _ = nocode_request("m", 1, framework, None, files, workshop.store)
    assert package in newest["python"]["condaDependencies"]["dependencies"][0]["pip"]


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
    _, app, _ = nocode_request("m", 1, "ScikitLearn", None, (workshop.file("a"),), workshop.store)
    (tmp_path / "score.py").write_bytes(workshop.store.read(app[0].digest))
    requests = [{"data": [[0.0], [3.0]]}, {"data": [[0.0], [3.0]], "method": "predict"}]
    proba, classes = score(sys.executable, tmp_path, tmp_path / "classifier.joblib", requests)
    assert [row[0] + row[1] for row in proba] == pytest.approx([1, 1])
    assert classes == [0, 1]
    plain, explicit = score(sys.executable, tmp_path, tmp_path / "ridge.pkl", requests)
    assert plain == explicit
    assert plain[0] < plain[1]


ONNX = """
import sys, onnx
from onnx import TensorProto, helper
x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])
graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "double", [x], [y])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
onnx.save(model, sys.argv[1])
"""


@pytest.mark.full
def test_onnx_models_score(workshop: Workshop, tmp_path: Path) -> None:
    files = (workshop.file("model.onnx"),)
    environment, app, entry = nocode_request("m", 1, "Onnx", None, files, workshop.store)
    environment["python"]["condaDependencies"]["dependencies"][0]["pip"].append("onnx")
    request = BuildRequest("ws/m", "1", environment, entry, None, app, (ModelTree("m", 1, files),))
    image = workshop.unpacker.materialise(workshop.builder.build(request, Recorder()).digest)
    assert image.env["MOORING_MODEL_FILE"] == "model.onnx"
    model = tmp_path / "model.onnx"
    subprocess.run([str(image.python), "-c", ONNX, str(model)], check=True, timeout=120)
    requests = [{"data": [[1, 2]]}, {"x": [[1, 2]]}, [[3, 4]]]
    assert score(image.python, image.app_root, model, requests) == [
        {"y": [[2.0, 4.0]]},
        {"y": [[2.0, 4.0]]},
        {"y": [[6.0, 8.0]]},
    ]
