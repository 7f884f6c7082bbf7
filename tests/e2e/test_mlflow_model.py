"""A folder in MLflow's format, from its registration to predictions, without MLflow anywhere."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from urllib.parse import urljoin

import httpx
import numpy as np
import pytest
import sklearn
import yaml
from sklearn.linear_model import Ridge

from azureml.core import Workspace
from azureml.core.model import Model
from azureml.exceptions import WebserviceException

X = np.array([[1.0, 2.0], [2.0, 1.0], [3.0, 5.0]])
TENSOR = [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}]


def save(folder: Path, model: Ridge, **python_function: str) -> Path:
    """What MLflow's scikit-learn flavour writes."""
    folder.mkdir()
    (folder / "model.pkl").write_bytes(pickle.dumps(model))
    pins = ["mlflow==3.17.2", f"scikit-learn=={sklearn.__version__}", f"numpy=={np.__version__}"]
    (folder / "requirements.txt").write_text("\n".join(pins))
    description = {
        "flavors": {
            "python_function": {
                "loader_module": "mlflow.sklearn",
                "model_path": "model.pkl",
                "predict_fn": "predict",
                "python_version": ".".join(map(str, sys.version_info[:3])),
                **python_function,
            },
            "sklearn": {"pickled_model": "model.pkl", "serialization_format": "pickle"},
        },
        "signature": {"inputs": json.dumps(TENSOR), "outputs": None, "params": None},
    }
    (folder / "MLmodel").write_text(yaml.safe_dump(description))
    return folder


@pytest.mark.full  # the guide's page, which is always run, deploys one by MLflow's client
def test_a_folder_becomes_a_service(sdk_home: Path, tmp_path: Path) -> None:
    ws = Workspace("sub", "rg", "mlflow-models")
    ridge = Ridge().fit(X, X[:, 0])
    model = Model.register(ws, str(save(tmp_path / "ridge", ridge)), "ridge")
    service = Model.deploy(ws, "ridge", [model])
    service.wait_for_deployment()
    expected = {"predictions": ridge.predict(X).tolist()}
    assert service.run(json.dumps({"inputs": X.tolist()})) == expected
    uri = service.scoring_uri
    assert uri is not None
    answer = httpx.post(urljoin(uri, "/invocations"), json={"instances": X.tolist()})
    assert answer.json() == expected
    refused = httpx.post(urljoin(uri, "/invocations"), json={"inputs": [[1, 2, 3]]})
    message = "The model takes an array of the shape [?, 2], but 'inputs' has [1, 3]."
    assert (refused.status_code, refused.json()) == (400, {"message": message})
    described = httpx.get(urljoin(uri, "/swagger.json?version=3")).json()
    assert set(described["paths"]) == {"/", "/score", "/invocations", "/swagger.json"}
    assert "mlflow==3.17.2 is not installed" in " ".join(service.image.changes if service.image else [])
    service.delete()


def test_folders_that_cannot_be_served(sdk_home: Path, tmp_path: Path) -> None:
    ws = Workspace("sub", "rg", "mlflow-models")
    folder = save(tmp_path / "broken", Ridge().fit(X, X[:, 0]), code="missing")
    model = Model.register(ws, str(folder), "broken")
    with pytest.raises(WebserviceException, match="its code folder 'missing' is not in the folder") as caught:
        Model.deploy(ws, "broken", [model])
    assert caught.value.code == "MlmodelInvalid"
    model = Model.register(ws, str(folder / "model.pkl"), "plain")
    with pytest.raises(WebserviceException, match="folders with MLflow's file MLmodel") as caught:
        Model.deploy(ws, "plain", [model])
    assert caught.value.code == "FrameworkNotSupported"
