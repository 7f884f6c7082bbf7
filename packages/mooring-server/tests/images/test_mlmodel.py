"""MLflow model folders are read as data."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from mooring_server.domain.errors import InvalidRequest
from mooring_server.images.mlmodel import MlModel
from mooring_server.images.nocode import nocode_request
from mooring_server.images.types import TreeFile

from .conftest import Workshop

COLUMNS = [{"type": "double", "name": "a"}, {"type": "long", "name": "b", "required": True}]
REQUIREMENTS = "mlflow==3.17.2\n# comment\nnumpy==2.4.6\nscikit-learn==1.9.1  # why\ncloudpickle==3.1.2\n"


def folder(
    workshop: Workshop, prefix: str = "model/", *, without: tuple[str, ...] = (), **changes: Any
) -> tuple[TreeFile, ...]:
    """The files of a model that MLflow has saved, with changes to its description."""
    content: dict[str, Any] = {
        "flavors": {
            "python_function": {
                "loader_module": "mlflow.sklearn",
                "model_path": "model.pkl",
                "predict_fn": "predict",
                "python_version": "3.11.7",
            },
            "sklearn": {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"},
        },
        "mlflow_version": "3.17.2",
        "signature": {"inputs": json.dumps(COLUMNS), "outputs": '[{"type": "long"}]', "params": None},
    }
    files = {
        "MLmodel": yaml.safe_dump({**content, **changes}).encode(),
        "model.pkl": b"never opened",
        "requirements.txt": REQUIREMENTS.encode(),
        "helpers/own.py": b"",
    }
    return tuple(workshop.file(prefix + n, data) for n, data in files.items() if n not in without)


def flavors(**pyfunc: Any) -> dict[str, Any]:
    return {"python_function": {"loader_module": "mlflow.pyfunc.model", "python_version": "3.11.7", **pyfunc}}


def test_a_scikit_learn_model_is_served_without_mlflow(workshop: Workshop) -> None:
    environment, app, entry = nocode_request("m", 1, "Custom", None, folder(workshop), workshop.store)
    assert environment["environmentVariables"] == {"MOORING_MODEL_FILE": "model"}
    python, pip = environment["python"]["condaDependencies"]["dependencies"]
    assert python == "python=3.11"
    assert pip["pip"] == ["numpy==2.4.6", "scikit-learn==1.9.1", "cloudpickle==3.1.2", "joblib", "pandas"]
    assert environment["changes"] == [
        "mlflow==3.17.2 is not installed: this model is served by scikit-learn alone."
    ]
    contents = {file.path: workshop.store.read(file.digest) for file in app}
    assert b'Service("MLflow")' in contents[entry]
    plan = json.loads(contents["mlmodel.json"])
    assert (plan["flavor"], plan["data"], plan["inputs"]) == ("sklearn", "model.pkl", COLUMNS)


def test_what_python_code_needs(workshop: Workshop) -> None:
    model = MlModel(folder(workshop, "", flavors=flavors(code="helpers")), workshop.store, "m:1")
    plan = model.plan()
    assert (model.folder, plan["flavor"], plan["code"]) == ("", "pyfunc", "helpers")
    conda, changes = model.environment(plan)
    assert conda["dependencies"][1]["pip"] == [
        "mlflow-skinny==3.17.2",
        "numpy==2.4.6",
        "scikit-learn==1.9.1",
        "cloudpickle==3.1.2",
        "pandas",
    ]
    assert changes == [
        "mlflow==3.17.2 is installed as mlflow-skinny==3.17.2: the rest of MLflow is its server."
    ]


@pytest.mark.parametrize(
    "inputs",
    [
        [{"type": "datetime", "name": "a"}],
        [{"type": "double", "name": "a", "required": False}],
        [{"type": "double"}],
        [{"type": "tensor", "name": "x", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}],
    ],
)
def test_signatures_that_mlflow_itself_enforces(workshop: Workshop, inputs: list[dict[str, Any]]) -> None:
    files = folder(workshop, signature={"inputs": json.dumps(inputs)})
    assert MlModel(files, workshop.store, "m:1").plan()["flavor"] == "pyfunc"


def test_packages_from_conda_and_from_nowhere(workshop: Workshop) -> None:
    conda = {"dependencies": ["python=3.10", "pip<=25", {"pip": ["mlflow[extras]<4", "scikit-learn==1.5.2"]}]}
    files = folder(workshop, without=("requirements.txt",), flavors=flavors())
    with pytest.raises(InvalidRequest, match=r"neither a requirements\.txt nor a conda\.yaml"):
        MlModel(files, workshop.store, "m:1").environment({"flavor": "pyfunc"})
    files = (*files, workshop.file("model/conda.yaml", yaml.safe_dump(conda).encode()))
    model = MlModel(files, workshop.store, "m:1")
    found, changes = model.environment(model.plan())
    pip = ["mlflow[extras]<4", "scikit-learn==1.5.2", "numpy", "pandas"]
    assert found["dependencies"] == ["python=3.10", "pip<=25", {"pip": pip}]
    assert changes == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flavors": {"sklearn": {}}}, "no flavor python_function"),
        ({"flavors": "all"}, "no flavor python_function"),
        ({"flavors": flavors(code="../other")}, "its code folder '../other' is not in the folder"),
        ({"signature": {"inputs": "{"}}, "the inputs of its signature are not JSON"),
        ({"signature": {"inputs": "[1]"}}, "the inputs of its signature are no list of types"),
        ({"signature": ["inputs"]}, "its signature is no mapping"),
    ],
)
def test_descriptions_that_are_none(workshop: Workshop, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        nocode_request("m", 1, None, None, folder(workshop, **change), workshop.store)
    assert caught.value.code == "MLmodelInvalid"
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [", "MLmodel is not YAML"),
        (b"\xff\xfe\x00", "MLmodel is no text"),
        (b"- 1", "MLmodel holds no mapping"),
        (b"!!python/object/apply:os.system ['true']", "MLmodel is not YAML"),
        (b"#" * 5_000_000, "MLmodel has 5,000,000 bytes"),
    ],
)
def test_files_that_are_no_descriptions(workshop: Workshop, content: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        nocode_request("m", 1, None, None, (workshop.file("MLmodel", content),), workshop.store)
    assert caught.value.code == "MLmodelInvalid"
    assert message in caught.value.message


def test_the_model_file_must_be_in_the_folder(workshop: Workshop) -> None:
    with pytest.raises(InvalidRequest, match=r"'model\.pkl' is not in the folder"):
        nocode_request("m", 1, None, None, folder(workshop, without=("model.pkl",)), workshop.store)
